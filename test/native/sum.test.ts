import test from 'ava';
import fc from 'fast-check';
import { api } from './support.ts';

/** RFC 1071 read literally: 16-bit words in network order, carries added back. */
function reference(bytes: Uint8Array, initial: number): number {
  let sum = initial;
  for (let i = 0; i < bytes.length; i += 2) sum += bytes[i]! * 256 + (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = Math.floor(sum / 0x10000) + (sum % 0x10000);
  return sum;
}

const cases = [
  { name: 'the example of RFC 1071 section 3', bytes: [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7], want: 0xddf2 },
  { name: 'nothing', bytes: [], want: 0 },
  { name: 'one byte is the high half', bytes: [0x12], want: 0x1200 },
  { name: 'three bytes', bytes: [0x12, 0x34, 0x56], want: 0x6834 },
  { name: 'zeros stay zero', bytes: new Array(40).fill(0), want: 0 },
  { name: 'ones stay 0xffff', bytes: new Array(40).fill(0xff), want: 0xffff },
];

for (const { name, bytes, want } of cases) {
  test(`sum: ${name}`, (t) => {
    const memory = Uint8Array.from([...bytes, 0xee, 0xee]);
    t.is(api.sum(api.newBatch(memory, 1), 0, bytes.length, 0), want);
  });
}

test('sum: initial is added, whatever its 32 bits', (t) => {
  const batch = api.newBatch(new Uint8Array(100), 1);
  for (const initial of [0, 1, 0xfffe, 0xffff, 0x10000, 0x1fffe, 0xffffffff])
    t.is(api.sum(batch, 0, 100, initial), reference(new Uint8Array(0), initial));
});

test('sum: 16 MiB of 0xff do not overflow', (t) => {
  const batch = api.newBatch(new Uint8Array(1 << 24).fill(0xff), 1);
  t.is(api.sum(batch, 0, 1 << 24, 0), 0xffff);
  t.is(api.sum(batch, 1, (1 << 24) - 1, 0), reference(Uint8Array.of(0xff), 0xffff));
});

test('sum: any bytes, offset, length and initial as the reference has it', (t) => {
  const memory = new Uint8Array(4003).subarray(3);
  const batch = api.newBatch(memory, 1);
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 64 }),
      fc.nat(4000),
      fc.nat(4000),
      fc.nat(0xffffffff),
      (pattern, off, length, initial) => {
        const len = Math.min(length, 4000 - off);
        for (let i = 0; i < 4000; i++) memory[i] = pattern[i % pattern.length]! + (i >> 8);
        return api.sum(batch, off, len, initial) === reference(memory.subarray(off, off + len), initial);
      },
    ),
    { numRuns: 500 },
  );
  t.pass();
});
