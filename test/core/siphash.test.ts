import test from 'ava';
import { halfSipHash, sipHash24, sipHashHigh } from '../../src/core/siphash.ts';

// Bytes 00 01 02 ... as words; the reference's vectors use them as key and as input.
const words = new Int32Array(Uint8Array.from({ length: 64 }, (_, i) => i).buffer);

// Vectors of the reference implementation (github.com/veorq/SipHash, vectors.h), for inputs of whole words.
const vectors: { len: number; sip: bigint; half: number }[] = [
  { len: 0, sip: 0x726fdb47dd0e0e31n, half: 0x5b9f35a9 },
  { len: 4, sip: 0xcf2794e0277187b7n, half: 0x89466e2a },
  { len: 8, sip: 0x93f5f5799a932462n, half: 0x8f84b8d0 },
  { len: 12, sip: 0x751e8fbc860ee5fbn, half: 0x2f87f057 },
  { len: 16, sip: 0x3f2acc7f57c29bdbn, half: 0x84acb5d9 },
  { len: 60, sip: 0x6ca4ecb15c5f91e1n, half: -1 },
];

for (const { len, sip, half } of vectors) {
  test(`SipHash-2-4 of ${len} bytes`, (t) => {
    const low = sipHash24(words, words, len / 4) >>> 0;
    t.is((BigInt(sipHashHigh() >>> 0) << 32n) | BigInt(low), sip);
  });
  if (half >= 0) {
    test(`HalfSipHash-2-4 of ${len} bytes`, (t) => {
      t.is(halfSipHash(2, 4, words[0]!, words[1]!, words, len / 4) >>> 0, half);
    });
  }
}

test('HalfSipHash-1-3 depends on every word and on the key', (t) => {
  const input = Int32Array.of(1, 2, 3);
  const seen = new Set<number>([halfSipHash(1, 3, 7, 8, input, 3)]);
  for (let i = 0; i < 3; i++) {
    const changed = input.slice();
    changed[i]! ^= 1;
    seen.add(halfSipHash(1, 3, 7, 8, changed, 3));
  }
  seen.add(halfSipHash(1, 3, 6, 8, input, 3));
  seen.add(halfSipHash(1, 3, 7, 9, input, 3));
  seen.add(halfSipHash(1, 3, 7, 8, input, 2));
  t.is(seen.size, 7);
});
