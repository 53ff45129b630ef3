import test from 'ava';
import fc from 'fast-check';
import * as pcapng from '../../src/wire/pcapng.ts';
import { frame } from '../support/frames.ts';
import { hex, toHex } from '../support/hex.ts';

const flat = (text: string): string => toHex(hex(text));

test('section header (draft section 4.1): byte order magic, version 1.0, length not known', (t) => {
  t.is(toHex(pcapng.sectionHeader('')), flat('0a0d0d0a 1c000000 4d3c2b1a 0100 0000 ffffffffffffffff 1c000000'));
  const named = pcapng.sectionHeader('vdenet');
  t.is(
    toHex(named),
    flat(`0a0d0d0a 2c000000 4d3c2b1a 0100 0000 ffffffffffffffff
          0400 0600 7664656e6574 0000  0000 0000 2c000000`),
  );
});

test('interface description (section 4.2): Ethernet, name and resolution', (t) => {
  t.is(
    toHex(pcapng.interfaceDescription('vde0', 65535, 9)),
    flat('01000000 28000000 0100 0000 ffff0000  0200 0400 76646530  0900 0100 09000000  0000 0000 28000000'),
  );
});

test('enhanced packet (section 4.3): microseconds, direction and comment', (t) => {
  const b = hex('ee 0102030405 ee');
  t.is(
    toHex(pcapng.enhancedPacket(2, 6, 1_700_000_000, 123_456_789, b, 1, 5, 0, pcapng.DIRECTION_INBOUND, 'hi')),
    flat(`06000000 3c000000 02000000 240a0600 40222018 05000000 05000000 0102030405 000000
          0100 0200 6869 0000  0200 0400 01000000  0000 0000 3c000000`),
  );
});

test('a packet without options has none', (t) => {
  const block = pcapng.enhancedPacket(0, 6, 0, 0, hex('01020304'), 0, 4, 0, pcapng.DIRECTION_UNKNOWN, '');
  t.is(toHex(block), flat('06000000 24000000 00000000 00000000 00000000 04000000 04000000 01020304 24000000'));
});

test('snaplen keeps the beginning and the original length', (t) => {
  const b = frame('tcp-syn');
  const block = pcapng.enhancedPacket(0, 6, 0, 0, b, 0, b.length, 54, pcapng.DIRECTION_OUTBOUND, '');
  const view = new DataView(block.buffer);
  t.is(view.getUint32(20, true), 54);
  t.is(view.getUint32(24, true), b.length);
  t.deepEqual(block.slice(28, 82), b.slice(0, 54));
  t.is(block.length, 28 + 56 + 8 + 4 + 4);
});

test('times are exact to the nanosecond', (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0xffffffff }), fc.integer({ min: 0, max: 999_999_999 }), (sec, nsec) => {
      for (const digits of [6, 9] as const) {
        const view = new DataView(
          pcapng.enhancedPacket(0, digits, sec, nsec, new Uint8Array(0), 0, 0, 0, 0, '').buffer,
        );
        const time = (BigInt(view.getUint32(12, true)) << 32n) | BigInt(view.getUint32(16, true));
        const ns = BigInt(sec) * 1_000_000_000n + BigInt(nsec);
        t.is(time, digits === 9 ? ns : ns / 1000n);
      }
    }),
    { numRuns: 200 },
  );
});

test('every block has its length at both ends, a multiple of 4, and walks to the end of its options', (t) => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 40 }),
      fc.string({ maxLength: 20 }),
      fc.nat(2),
      (data, comment, direction) => {
        const blocks = [
          pcapng.sectionHeader(comment),
          pcapng.interfaceDescription(comment, 0, 6),
          pcapng.enhancedPacket(0, 6, 1, 1, data, 0, data.length, 0, direction, comment),
        ];
        for (const block of blocks) {
          const view = new DataView(block.buffer);
          t.is(block.length & 3, 0);
          t.is(view.getUint32(4, true), block.length);
          t.is(view.getUint32(block.length - 4, true), block.length);
        }
      },
    ),
    { numRuns: 100 },
  );
});
