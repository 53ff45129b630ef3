import test from 'ava';
import { i32, putU16, putU32, u16, u32 } from '../../src/wire/bytes.ts';
import { hex, toHex } from '../support/hex.ts';

const b = hex('00 fedcba98 7fff');

test('reads are big-endian, 32-bit numbers unsigned or signed as named', (t) => {
  t.is(u16(b, 1), 0xfedc);
  t.is(u32(b, 1), 0xfedcba98);
  t.is(i32(b, 1), 0xfedcba98 | 0);
  t.is(u16(b, 5), 0x7fff);
});

test('writes take signed and unsigned numbers and cut them to size', (t) => {
  const out = new Uint8Array(8);
  putU16(out, 0, 0x12345);
  putU32(out, 2, -2);
  t.is(toHex(out), '2345fffffffe0000');
  putU32(out, 4, 0xfedcba98);
  t.is(toHex(out), '2345fffffedcba98');
});

test('outside the array reads give 0 for missing bytes and writes do nothing', (t) => {
  t.is(u32(b, 5), 0x7fff0000);
  t.is(u16(b, 100), 0);
  const out = new Uint8Array(2);
  putU32(out, 1, 0x01020304);
  t.is(toHex(out), '0001');
});
