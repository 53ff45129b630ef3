// Data that arrived before what precedes it, and the SACK blocks that tell the peer of it (RFC 2018, RFC 2883).
//
// Bytes are kept in chunks of the engine's pool, laid out by their distance from a base sequence, and taken only for the
// stretches that hold something; ranges of sequence numbers, sorted and disjoint, say which bytes are valid. The receive
// window bounds the distance, MAX_RANGES the bookkeeping, the pool (but for the last quarter, which is for what is sent) the
// bytes: what does not fit is dropped and will be sent again. The object exists only while something is out of order.

import { type BytePool, CHUNK_BITS, CHUNK_MASK, CHUNK_SIZE, type Chunk } from '../core/byte-pool.ts';
import { copyInto } from '../core/copy.ts';
import { seqDiff, seqGt, seqInt, seqLe, seqLt, seqMax } from '../core/seq.ts';

/** Ranges that there is room for at first, and at most: a few MiB in flight may lose every other segment of a burst. */
const FIRST_RANGES = 16;
const MAX_RANGES = 1024;
/** Ranges remembered as the latest that grew, for the order of SACK blocks (RFC 2018 section 4). */
const RECENT = 4;

export class Reassembly {
  private readonly pool: BytePool;
  /** Sequence of the first byte of the first chunk. */
  private base: number;
  private readonly chunks: (Chunk | null)[] = [];
  /** Range i is [left[i], right[i]). */
  private left = new Int32Array(FIRST_RANGES);
  private right = new Int32Array(FIRST_RANGES);
  private count = 0;
  /** A sequence inside each of the ranges that grew last, latest first. */
  private readonly recent = new Int32Array(RECENT);
  private recentCount = 0;

  /** @param rcvNxt  next sequence expected */
  constructor(pool: BytePool, rcvNxt: number) {
    this.pool = pool;
    this.base = rcvNxt;
  }

  get empty(): boolean {
    return this.count === 0;
  }

  /** Sequence behind the range that begins at or before `seq` and reaches it, or `seq` when there is none. */
  coveredTo(seq: number): number {
    const i = this.firstTo(seq);
    return i < this.count && seqLe(this.left[i]!, seq) ? this.right[i]! : seq;
  }

  /** The first range that reaches `seq` or lies behind it; `count` when there is none. */
  private firstTo(seq: number): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (seqLt(this.right[middle]!, seq)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private grow(): void {
    const { left, right } = this;
    this.left = new Int32Array(2 * left.length);
    this.right = new Int32Array(2 * right.length);
    this.left.set(left);
    this.right.set(right);
  }

  /**
   * Keeps `len` bytes of sequence `seq`, all inside the receive window and behind rcvNxt.
   *
   * @returns  false when they did not fit and were dropped
   */
  insert(b: Uint8Array, off: number, len: number, seq: number): boolean {
    const end = seqInt(seq, len);
    // Ranges from `first` up to `last` touch or overlap the new one and become one with it.
    const first = this.firstTo(seq);
    let last = first;
    while (last < this.count && seqLe(this.left[last]!, end)) last++;
    if (first === last && this.count === MAX_RANGES) return false;
    if (!this.store(b, off, len, seq)) return false;
    if (first === last && this.count === this.left.length) this.grow();
    let l = seq;
    let r = end;
    if (first < last) {
      if (seqLt(this.left[first]!, l)) l = this.left[first]!;
      r = seqMax(r, this.right[last - 1]!) | 0;
    }
    const shift = 1 - (last - first);
    if (shift !== 0) {
      this.left.copyWithin(last + shift, last, this.count);
      this.right.copyWithin(last + shift, last, this.count);
      this.count += shift;
    }
    this.left[first] = l;
    this.right[first] = r;
    this.remember(seq);
    return true;
  }

  private store(b: Uint8Array, off: number, len: number, seq: number): boolean {
    const start = seqDiff(seq, this.base);
    const lastChunk = (start + len - 1) >> CHUNK_BITS;
    while (this.chunks.length <= lastChunk) this.chunks.push(null);
    for (let i = start >> CHUNK_BITS; i <= lastChunk; i++) {
      if (this.chunks[i] !== null) continue;
      const chunk = this.pool.take(this.pool.maxChunks >> 2);
      if (chunk === null) return false;
      this.chunks[i] = chunk;
    }
    let from = off;
    let to = start;
    let left = len;
    while (left > 0) {
      const at = to & CHUNK_MASK;
      const n = Math.min(left, CHUNK_SIZE - at);
      copyInto(b, from, n, this.chunks[to >> CHUNK_BITS]!.bytes, at);
      from += n;
      to += n;
      left -= n;
    }
    return true;
  }

  /** The range that holds `seq` comes first among the SACK blocks from now on. */
  remember(seq: number): void {
    const r = this.recent;
    r.copyWithin(1, 0, RECENT - 1);
    r[0] = seq;
    if (this.recentCount < RECENT) this.recentCount++;
  }

  /** Bytes that can be read from `rcvNxt` on in one piece: length of the run, limited to its chunk; 0 when none. */
  readable(rcvNxt: number): number {
    if (this.count === 0 || seqGt(this.left[0]!, rcvNxt)) return 0;
    const n = seqDiff(this.right[0]!, rcvNxt);
    if (n <= 0) return 0;
    const at = seqDiff(rcvNxt, this.base) & CHUNK_MASK;
    return Math.min(n, CHUNK_SIZE - at);
  }

  /** Where the bytes that `readable` counted are. They stay valid until `drop`. */
  bytesAt(rcvNxt: number): Uint8Array {
    return this.chunks[seqDiff(rcvNxt, this.base) >> CHUNK_BITS]!.bytes;
  }

  offsetAt(rcvNxt: number): number {
    return seqDiff(rcvNxt, this.base) & CHUNK_MASK;
  }

  /** Everything before `rcvNxt` has been delivered: frees its ranges and chunks. */
  drop(rcvNxt: number): void {
    let n = 0;
    while (n < this.count && seqLe(this.right[n]!, rcvNxt)) n++;
    if (n > 0) {
      this.left.copyWithin(0, n, this.count);
      this.right.copyWithin(0, n, this.count);
      this.count -= n;
    }
    while (this.chunks.length > 0 && seqDiff(rcvNxt, this.base) >= CHUNK_SIZE) {
      const chunk = this.chunks.shift()!;
      if (chunk !== null) this.pool.give(chunk);
      this.base = seqInt(this.base, CHUNK_SIZE);
    }
    if (this.count === 0) this.clear();
  }

  clear(): void {
    for (const chunk of this.chunks) if (chunk !== null) this.pool.give(chunk);
    this.chunks.length = 0;
    this.count = 0;
    this.recentCount = 0;
  }

  /**
   * Writes up to `max` SACK blocks from index `from` on, the range that grew last first; gives the number of the block
   * behind the last one written.
   */
  blocks(left: Uint32Array, right: Uint32Array, from: number, max: number): number {
    let n = from;
    for (let k = 0; k < this.recentCount && n < max; k++) {
      const i = this.rangeOf(this.recent[k]!);
      if (i < 0 || this.told(left, from, n, this.left[i]!)) continue;
      left[n] = this.left[i]!;
      right[n++] = this.right[i]!;
    }
    for (let i = 0; i < this.count && n < max; i++) {
      if (this.told(left, from, n, this.left[i]!)) continue;
      left[n] = this.left[i]!;
      right[n++] = this.right[i]!;
    }
    return n;
  }

  private told(left: Uint32Array, from: number, n: number, seq: number): boolean {
    for (let j = from; j < n; j++) if (left[j] === seq >>> 0) return true;
    return false;
  }

  private rangeOf(seq: number): number {
    const i = this.firstTo(seqInt(seq, 1));
    return i < this.count && seqLe(this.left[i]!, seq) ? i : -1;
  }
}
