// SipHash-2-4 and HalfSipHash (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012) over 32-bit words.
//
// Short inputs of integers (addresses, ports) are hashed under a secret key, so that nobody who chooses the inputs can
// foresee the result: SipHash with its 128-bit key where the value itself is seen by others (initial sequence numbers,
// RFC 6528), HalfSipHash-1-3 where it only picks a slot of a hash table. Words count as little-endian bytes, so the
// results are those of the reference implementations for the same bytes.

const rotl = (x: number, n: number): number => (x << n) | (x >>> (32 - n));

/**
 * HalfSipHash with `c` rounds per word and `d` at the end, 32-bit result.
 *
 * @param k0, k1  key, 64 bits
 * @param words   input, `n` words from the start
 * @returns       signed 32-bit integer
 */
export function halfSipHash(c: number, d: number, k0: number, k1: number, words: Int32Array, n: number): number {
  let v0 = k0 | 0;
  let v1 = k1 | 0;
  let v2 = k0 ^ 0x6c796765;
  let v3 = k1 ^ 0x74656462;
  // One word more than the input: its length in bytes; then the finalisation, which runs without a word.
  for (let i = 0; i <= n + 1; i++) {
    const m = i < n ? words[i]! : i === n ? n << 26 : 0;
    if (i <= n) v3 ^= m;
    else v2 ^= 0xff;
    for (let r = i <= n ? c : d; r > 0; r--) {
      v0 = (v0 + v1) | 0;
      v1 = rotl(v1, 5) ^ v0;
      v0 = rotl(v0, 16);
      v2 = (v2 + v3) | 0;
      v3 = rotl(v3, 8) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = rotl(v3, 7) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = rotl(v1, 13) ^ v2;
      v2 = rotl(v2, 16);
    }
    v0 ^= m;
  }
  return v1 ^ v3;
}

// The 64-bit state of SipHash as pairs of words. One object for all calls: nothing is allocated, nothing re-enters.
const s = new Int32Array(8);

/** v[a] += v[b] */
function add(a: number, b: number): void {
  const lo = (s[a]! >>> 0) + (s[b]! >>> 0);
  s[a] = lo;
  s[a + 1] = s[a + 1]! + s[b + 1]! + (lo > 0xffffffff ? 1 : 0);
}

/** v[a] = rotl(v[a], n) ^ v[b], n below 32 */
function rotXor(a: number, n: number, b: number): void {
  const lo = s[a]!;
  const hi = s[a + 1]!;
  s[a] = ((lo << n) | (hi >>> (32 - n))) ^ s[b]!;
  s[a + 1] = ((hi << n) | (lo >>> (32 - n))) ^ s[b + 1]!;
}

/** v[a] = rotl(v[a], 32) */
function swap(a: number): void {
  const lo = s[a]!;
  s[a] = s[a + 1]!;
  s[a + 1] = lo;
}

function rounds(n: number): void {
  for (; n > 0; n--) {
    add(0, 2);
    rotXor(2, 13, 0);
    swap(0);
    add(4, 6);
    rotXor(6, 16, 4);
    add(0, 6);
    rotXor(6, 21, 0);
    add(4, 2);
    rotXor(2, 17, 4);
    swap(4);
  }
}

/**
 * SipHash-2-4.
 *
 * @param key    four words
 * @param words  input, `n` words from the start
 * @returns      the low 32 bits of the result, signed; `sipHashHigh` gives the others
 */
export function sipHash24(key: Int32Array, words: Int32Array, n: number): number {
  const k0 = key[0]!;
  const k1 = key[1]!;
  const k2 = key[2]!;
  const k3 = key[3]!;
  s[0] = k0 ^ 0x70736575;
  s[1] = k1 ^ 0x736f6d65;
  s[2] = k2 ^ 0x6e646f6d;
  s[3] = k3 ^ 0x646f7261;
  s[4] = k0 ^ 0x6e657261;
  s[5] = k1 ^ 0x6c796765;
  s[6] = k2 ^ 0x79746573;
  s[7] = k3 ^ 0x74656462;
  for (let i = 0; i <= n; i += 2) {
    // The last block holds what is left of the input and, in its highest byte, the length in bytes.
    const lo = i < n ? words[i]! : 0;
    const hi = i + 1 < n ? words[i + 1]! : n << 26;
    s[6] = s[6]! ^ lo;
    s[7] = s[7]! ^ hi;
    rounds(2);
    s[0] = s[0]! ^ lo;
    s[1] = s[1]! ^ hi;
  }
  s[4] = s[4]! ^ 0xff;
  rounds(4);
  s[1] = s[1]! ^ s[3]! ^ s[5]! ^ s[7]!;
  return s[0]! ^ s[2]! ^ s[4]! ^ s[6]!;
}

/** The high 32 bits of the latest `sipHash24`, signed. */
export const sipHashHigh = (): number => s[1]!;
