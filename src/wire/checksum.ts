// The Internet checksum, RFC 1071, and its incremental update, RFC 1624.
//
// Convention: a partial sum is a number 0 to 0xffff, the ones' complement sum of 16-bit words read in network order, not
// yet complemented. Partial sums of parts that start at even distances from the first byte are added by `combine`; the
// number that goes into a header is `finish(sum)`. A message that carries its checksum sums to 0xffff, so it is intact
// exactly when `finish` gives 0.
//
// Long runs are summed as 32-bit words in the order of the host and the result is swapped once (RFC 1071 section 2,
// "Byte Order Independence"). That needs a Uint32Array over the same memory. Asking a Uint8Array for its buffer and
// making a view both cost more than a short sum, so the views of the arrays seen last are kept, and short runs do without.

import { u16 } from './bytes.ts';

const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** Runs below this many bytes are summed in byte pairs: that is faster than finding the view. */
const SHORT_RUN = 48;

/** One remembered array: the words of its buffer, and where the array starts in it, bytes. */
class Words {
  bytes: Uint8Array = new Uint8Array(0);
  words: Uint32Array = new Uint32Array(0);
  base = 0;
}

// The arrays seen last, most recent first to be asked. They keep at most this many buffers alive.
const CACHED = 4;
const cache: readonly Words[] = Array.from({ length: CACHED }, () => new Words());
let latest = cache[0]!;
let victim = 0;

function wordsOf(b: Uint8Array): Words {
  if (latest.bytes === b) return latest;
  for (let i = 0; i < CACHED; i++) {
    if (cache[i]!.bytes === b) return (latest = cache[i]!);
  }
  return remember(b);
}

function remember(b: Uint8Array): Words {
  const { buffer } = b;
  let words: Uint32Array | null = null;
  for (let i = 0; i < CACHED; i++) {
    if (cache[i]!.words.buffer === buffer) words = cache[i]!.words;
  }
  victim = (victim + 1) % CACHED;
  const entry = cache[victim]!;
  entry.bytes = b;
  entry.words = words ?? new Uint32Array(buffer, 0, buffer.byteLength >>> 2);
  entry.base = b.byteOffset;
  return (latest = entry);
}

/** Folds a sum of 16-bit words, up to 2^53, to 16 bits. */
function fold(sum: number): number {
  const low = sum >>> 0;
  const high = (sum - low) / 0x100000000;
  let s = (low >>> 16) + (low & 0xffff) + (high >>> 16) + (high & 0xffff);
  s = (s >>> 16) + (s & 0xffff);
  return (s >>> 16) + (s & 0xffff);
}

const swap = (s: number): number => ((s & 0xff) << 8) | (s >>> 8);

/** Sum in network order, byte pairs, not folded. */
function pairs(b: Uint8Array, off: number, end: number): number {
  let sum = 0;
  let o = off;
  for (; o + 1 < end; o += 2) sum += (b[o]! << 8) | b[o + 1]!;
  return o < end ? sum + (b[o]! << 8) : sum;
}

/**
 * Adds `len` bytes at `off` to a partial sum. The first byte counts as the high half of a word whatever `off` is; an odd
 * last byte is padded with zero. Allocates nothing once the array (or its buffer) was seen.
 *
 * @param b        bytes; the range must lie inside
 * @param off      first byte
 * @param len      bytes, 0 to 2^20
 * @param initial  partial sum to add to, 0 for none
 * @returns        partial sum, 0 to 0xffff
 */
export function partial(b: Uint8Array, off: number, len: number, initial: number): number {
  const end = off + len;
  if (len < SHORT_RUN) return fold(initial + pairs(b, off, end));
  const view = wordsOf(b);
  const w = view.words;
  const base = view.base;
  // Bytes up to the first whole word of the buffer, whole words, bytes behind the last one.
  const first = off + (-(base + off) & 3);
  const from = (base + first) >>> 2;
  const to = (base + end) >>> 2;
  if (to > w.length) return fold(initial + pairs(b, off, end));
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let i = from;
  for (; i + 8 <= to; i += 8) {
    s0 += w[i]! + w[i + 1]!;
    s1 += w[i + 2]! + w[i + 3]!;
    s2 += w[i + 4]! + w[i + 5]!;
    s3 += w[i + 6]! + w[i + 7]!;
  }
  for (; i < to; i++) s0 += w[i]!;
  let words = fold(s0 + s1 + (s2 + s3));
  if (LITTLE_ENDIAN) words = swap(words);
  const last = to * 4 - base;
  if (last < end) words += pairs(b, last, end);
  if (first === off) return fold(initial + words);
  if (((first - off) & 1) === 0) return fold(initial + u16(b, off) + words);
  // Behind an odd number of bytes the halves of all words are exchanged; so is their sum.
  const head = first - off === 1 ? b[off]! << 8 : u16(b, off) + (b[off + 2]! << 8);
  return fold(initial + head + swap(fold(words)));
}

/** The checksum field of a partial sum: its complement, 0 to 0xffff. */
export const finish = (sum: number): number => ~sum & 0xffff;

/** The checksum field of a UDP partial sum: 0 would mean "none" and is sent as 0xffff (RFC 768, RFC 8200 section 8.1). */
export const udpFinish = (sum: number): number => (sum === 0xffff ? 0xffff : ~sum & 0xffff);

/** Sum of two partial sums. */
export function combine(a: number, b: number): number {
  const s = a + b;
  return s > 0xffff ? s - 0xffff : s;
}

/** Adds a number of up to 32 bits, such as a length, to a partial sum. */
export const partialAdd = (sum: number, value: number): number => combine(combine(sum, value >>> 16), value & 0xffff);

/** The checksum field after a 16-bit word changed from `old` to `now` (RFC 1624 section 3, equation 3). */
export const updateU16 = (check: number, old: number, now: number): number =>
  finish(combine(combine(~check & 0xffff, ~old & 0xffff), now & 0xffff));

/** The checksum field after a 32-bit number at an even offset changed from `old` to `now`. */
export const updateU32 = (check: number, old: number, now: number): number =>
  updateU16(updateU16(check, old >>> 16, now >>> 16), old, now);

/**
 * Partial sum of the IPv4 pseudo-header without the length (RFC 768, RFC 9293 section 3.1); add that by `partialAdd`.
 * Addresses signed or unsigned.
 */
export function pseudoIpv4(src: number, dst: number, protocol: number): number {
  return partialAdd(partialAdd(protocol, src), dst);
}

/** The same for IPv6 addresses given as four words each, signed or unsigned (RFC 8200 section 8.1). */
export function pseudoWords(
  s0: number,
  s1: number,
  s2: number,
  s3: number,
  d0: number,
  d1: number,
  d2: number,
  d3: number,
  protocol: number,
): number {
  const src = partialAdd(partialAdd(partialAdd(partialAdd(protocol, s0), s1), s2), s3);
  return partialAdd(partialAdd(partialAdd(partialAdd(src, d0), d1), d2), d3);
}
