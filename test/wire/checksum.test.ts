import test from 'ava';
import fc from 'fast-check';
import { u32 } from '../../src/wire/bytes.ts';
import {
  combine,
  finish,
  partial,
  partialAdd,
  pseudoIpv4,
  pseudoWords,
  udpFinish,
  updateU16,
  updateU32,
} from '../../src/wire/checksum.ts';
import { frame } from '../support/frames.ts';
import { hex } from '../support/hex.ts';

/** The definition, word for word (RFC 1071 section 1): 16-bit words, end-around carry, an odd byte padded with zero. */
function reference(b: Uint8Array, initial: number): number {
  let sum = initial;
  for (let i = 0; i < b.length; i += 2) {
    sum += b[i]! * 256 + (b[i + 1] ?? 0);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return sum;
}

/** Partial sums 0 and 0xffff are the two zeros of ones' complement: alike in every further sum but that of nothing. */
const same = (a: number, b: number): boolean => a % 0xffff === b % 0xffff && (a === 0) === (b === 0);

test('RFC 1071 section 3: the numerical example', (t) => {
  const b = hex('0001 f203 f4f5 f6f7');
  t.is(partial(b, 0, 8, 0), 0xddf2);
  t.is(finish(0xddf2), 0x220d);
});

test('RFC 1624 section 4: the corner case of RFC 1141 gives 0x0000, not 0xffff', (t) => {
  t.is(updateU16(0xdd2f, 0x5555, 0x3285), 0x0000);
});

test('nothing sums to the initial value', (t) => {
  t.is(partial(new Uint8Array(0), 0, 0, 0), 0);
  t.is(partial(new Uint8Array(4), 2, 0, 0x1234), 0x1234);
});

test('an odd last byte is the high half of its word', (t) => {
  t.is(partial(hex('0102 03'), 0, 3, 0), 0x0402);
});

test('partial equals the definition at every alignment of array, offset and length', (t) => {
  const memory = new Uint8Array(400);
  for (let i = 0; i < memory.length; i++) memory[i] = (i * 89 + 13) & 255;
  for (let base = 0; base < 4; base++) {
    const b = new Uint8Array(memory.buffer, base, 390);
    for (let off = 0; off < 8; off++) {
      for (let len = 0; len < 140; len++) {
        const want = reference(b.slice(off, off + len), 0x8001);
        if (!same(partial(b, off, len, 0x8001), want)) t.fail(`base ${base} off ${off} len ${len}`);
      }
    }
  }
  t.pass();
});

test('partial equals the definition for random bytes, places and lengths', (t) => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 3000 }),
      fc.nat(7),
      fc.nat(7),
      fc.integer({ min: 0, max: 0xffff }),
      (bytes, base, off, initial) => {
        // A buffer whose length is no multiple of 4: the last bytes belong to no whole word.
        const b = new Uint8Array(new ArrayBuffer(base + off + bytes.length), base);
        b.set(bytes, off);
        return same(partial(b, off, bytes.length, initial), reference(bytes, initial));
      },
    ),
    { numRuns: 400 },
  );
  t.pass();
});

test('partial is exact for a long run of ones', (t) => {
  const b = new Uint8Array(1 << 20).fill(0xff);
  t.is(partial(b, 0, b.length, 0), 0xffff);
  b[b.length - 1] = 0xfe;
  t.is(partial(b, 0, b.length, 0), 0xfffe);
});

test('partial follows arrays through its cache, more of them than it holds', (t) => {
  const shared = Uint8Array.from({ length: 4096 }, (_, i) => (i * 7) & 255);
  const arrays = Array.from({ length: 12 }, (_, i) =>
    i % 2 === 0
      ? shared.subarray(i * 101, i * 101 + 1000)
      : Uint8Array.from({ length: 1000 }, (_, j) => (i + j * j) & 255),
  );
  for (let round = 0; round < 3; round++) {
    for (const b of arrays) t.true(same(partial(b, 1, 777, 0), reference(b.slice(1, 778), 0)));
  }
});

test('partial of an array whose memory was transferred away reads nothing and does not throw', (t) => {
  const b = new Uint8Array(256).fill(1);
  t.is(partial(b, 0, 256, 0), reference(b, 0));
  structuredClone(b.buffer, { transfer: [b.buffer] });
  t.is(partial(b, 0, 256, 0), 0);
});

test('partial of an array that has grown since it was seen', (t) => {
  const Resizable = ArrayBuffer as unknown as new (
    length: number,
    options: { maxByteLength: number },
  ) => ArrayBuffer & { resize(length: number): void };
  const buffer = new Resizable(100, { maxByteLength: 400 });
  const b = new Uint8Array(buffer);
  t.is(partial(b, 0, 100, 0), 0);
  buffer.resize(400);
  b.fill(3);
  t.is(partial(b, 0, 400, 0), reference(b, 0));
});

test('combine joins the sums of parts', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(100), (bytes, at) => {
      const cut = Math.min(bytes.length, at * 2);
      const joined = combine(partial(bytes, 0, cut, 0), partial(bytes, cut, bytes.length - cut, 0));
      return (
        same(joined, reference(bytes, 0)) &&
        same(partial(bytes, cut, bytes.length - cut, partial(bytes, 0, cut, 0)), joined)
      );
    }),
    { numRuns: 200 },
  );
  t.pass();
});

test('partialAdd takes 16 and 32 bits, signed too', (t) => {
  t.is(partialAdd(0, 0xffff_fffe), partialAdd(0, -2));
  t.is(partialAdd(0x1000, 0x0001_0002), 0x1003);
  t.is(partialAdd(0xffff, 1), 1);
});

test('RFC 1624 equation 3: updates equal a new sum', (t) => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 20, maxLength: 60 }),
      fc.nat(7),
      fc.integer({ min: 0, max: 0xffffffff }),
      (bytes, word, value) => {
        // A leading 0x45 as in every IPv4 header: the data is never all zeros.
        bytes[0] = 0x45;
        const o = 2 + word * 2;
        const before = finish(partial(bytes, 0, bytes.length, 0));
        const now = bytes.slice();
        now[o] = value >>> 24;
        now[o + 1] = value >>> 16;
        now[o + 2] = value >>> 8;
        now[o + 3] = value;
        const half = bytes.slice();
        half[o] = now[o]!;
        half[o + 1] = now[o + 1]!;
        const old = u32(bytes, o);
        return (
          updateU32(before, old, value) === finish(reference(now, 0)) &&
          updateU32(before, old | 0, value | 0) === finish(reference(now, 0)) &&
          updateU16(before, old >>> 16, value >>> 16) === finish(reference(half, 0))
        );
      },
    ),
    { numRuns: 400 },
  );
  t.pass();
});

test('RFC 768: a UDP checksum of 0 is sent as 0xffff', (t) => {
  t.is(udpFinish(0xffff), 0xffff);
  t.is(udpFinish(0xfffe), 1);
  t.is(udpFinish(0), 0xffff);
});

test('RFC 9293 section 3.1: the pseudo-header of a captured SYN', (t) => {
  const b = frame('tcp-syn');
  const len = b.length - 34;
  const pseudo = pseudoIpv4(u32(b, 26), u32(b, 30), 6);
  t.is(pseudo, pseudoIpv4(u32(b, 26) | 0, u32(b, 30) | 0, 6));
  t.is(finish(partial(b, 34, len, partialAdd(pseudo, len))), 0);
});

test('RFC 8200 section 8.1: the pseudo-header of a captured router advertisement', (t) => {
  const b = frame('ipv6-router-advertisement');
  const w = (i: number): number => u32(b, 22 + 4 * i);
  const len = b.length - 54;
  const pseudo = pseudoWords(w(0), w(1), w(2), w(3), w(4), w(5), w(6), w(7), 58);
  t.is(finish(partial(b, 54, len, partialAdd(pseudo, len))), 0);
});
