// Bytes that a connection has not had acknowledged yet, in the order of the stream.
//
// A deque of chunks from the engine's pool: bytes are copied in once when the owner writes (or put there by the kernel, in
// memory that was lent), copied out into each segment that carries them, and dropped from the front as the peer
// acknowledges. An empty buffer holds no chunk.
//
// The copy of more than a few bytes into a segment makes a view (core/copy.ts), the one allocation of a segment with payload:
// copying word by word without one costs three times as much, and one loop that copies and sums words is within a seventh
// of copy and checksum in turn.

import { type BytePool, CHUNK_BITS, CHUNK_MASK, CHUNK_SIZE, type Chunk } from '../core/byte-pool.ts';
import { type ByteVector, MAX_PIECES } from '../core/byte-vector.ts';
import { copyInto } from '../core/copy.ts';

export class SendBuffer {
  private readonly pool: BytePool;
  private readonly chunks: Chunk[] = [];
  /** Offset of the first byte in the first chunk. */
  private head = 0;
  /** Bytes held. */
  length = 0;

  constructor(pool: BytePool) {
    this.pool = pool;
  }

  /** Appends up to `len` bytes; gives how many, which is fewer when the pool is exhausted. */
  append(b: Uint8Array, off: number, len: number): number {
    let done = 0;
    while (done < len) {
      const at = this.head + this.length;
      let chunk = this.chunks[at >> CHUNK_BITS];
      if (chunk === undefined) {
        const taken = this.pool.take();
        if (taken === null) break;
        this.chunks.push(taken);
        chunk = taken;
      }
      const to = at & CHUNK_MASK;
      const n = Math.min(len - done, CHUNK_SIZE - to);
      copyInto(b, off + done, n, chunk.bytes, to);
      this.length += n;
      done += n;
    }
    return done;
  }

  /**
   * Sets `into` to the memory behind what is held, at most `most` bytes (1 at least); false when the pool is exhausted.
   * `filled` must follow before anything else is called.
   */
  lend(into: ByteVector, most: number): boolean {
    const at = this.head + this.length;
    const start = at & CHUNK_MASK;
    let room = -start;
    into.count = 0;
    for (let i = at >> CHUNK_BITS; room < most && into.count < MAX_PIECES; i++) {
      if (i === this.chunks.length) {
        const taken = this.pool.take();
        if (taken === null) break;
        this.chunks.push(taken);
      }
      into.pieces[into.count++] = this.chunks[i]!.bytes;
      room += CHUNK_SIZE;
    }
    into.off = start;
    into.len = Math.min(most, room);
    return into.count > 0;
  }

  /** The first `len` bytes of what was lent are held now; chunks that none of them needs go back. */
  filled(len: number): void {
    this.length += len;
    const needed = (this.head + this.length + CHUNK_MASK) >> CHUNK_BITS;
    while (this.chunks.length > needed) this.pool.give(this.chunks.pop()!);
  }

  /** Copies `len` bytes that start `at` bytes behind the front to `dst[off..]`; the range must be held. */
  copyOut(at: number, len: number, dst: Uint8Array, off: number): void {
    let from = this.head + at;
    let left = len;
    let to = off;
    while (left > 0) {
      const start = from & CHUNK_MASK;
      const n = Math.min(left, CHUNK_SIZE - start);
      copyInto(this.chunks[from >> CHUNK_BITS]!.bytes, start, n, dst, to);
      from += n;
      to += n;
      left -= n;
    }
  }

  /** Drops `len` bytes from the front; at most what is held. */
  drop(len: number): void {
    this.length -= len;
    this.head += len;
    if (this.length === 0) {
      this.clear();
      return;
    }
    while (this.head >= CHUNK_SIZE) {
      this.pool.give(this.chunks.shift()!);
      this.head -= CHUNK_SIZE;
    }
  }

  clear(): void {
    while (this.chunks.length > 0) this.pool.give(this.chunks.pop()!);
    this.head = 0;
    this.length = 0;
  }
}
