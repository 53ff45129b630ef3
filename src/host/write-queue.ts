// Bytes that wait for the kernel, in chunks of a pool that all sockets share.
//
// What is handed to a host socket is on loan, so it is copied once, here. A socket that has nothing to send holds no chunk.

import { copyInto } from '../core/copy.ts';

/** Bytes of a chunk. */
export const CHUNK_LEN = 64 * 1024;
/** Chunks kept for reuse (2 MiB): as many flows as usually write within one wake-up. */
const SPARE_CHUNKS = 32;

export class Chunk {
  readonly bytes = Buffer.allocUnsafeSlow(CHUNK_LEN);
  len = 0;
  next: Chunk | null = null;
}

let spare: Chunk | null = null;
let spareCount = 0;

function takeChunk(): Chunk {
  const chunk = spare;
  if (chunk === null) return new Chunk();
  spare = chunk.next;
  spareCount--;
  chunk.next = null;
  chunk.len = 0;
  return chunk;
}

/** Takes back a chunk that a queue gave out by `shift`. */
export function giveChunk(chunk: Chunk): void {
  if (spareCount === SPARE_CHUNKS) return;
  chunk.next = spare;
  spare = chunk;
  spareCount++;
}

export class WriteQueue {
  /** The oldest chunk, and the one that is being filled. */
  head: Chunk | null = null;
  private tail: Chunk | null = null;

  /** True when the next byte needs a chunk beside those that are here. */
  get full(): boolean {
    return this.tail !== null && this.tail.len === CHUNK_LEN;
  }

  /** Copies bytes until the present chunk is full; how many. A new chunk is begun when there is none, or a full one. */
  append(b: Uint8Array, off: number, len: number): number {
    let chunk = this.tail;
    if (chunk === null || chunk.len === CHUNK_LEN) {
      chunk = takeChunk();
      if (this.tail === null) this.head = chunk;
      else this.tail.next = chunk;
      this.tail = chunk;
    }
    const n = Math.min(len, CHUNK_LEN - chunk.len);
    copyInto(b, off, n, chunk.bytes, chunk.len);
    chunk.len += n;
    return n;
  }

  /** Takes the oldest chunk out; there is one. */
  shift(): Chunk {
    const chunk = this.head!;
    this.head = chunk.next;
    if (this.head === null) this.tail = null;
    chunk.next = null;
    return chunk;
  }

  /** Gives back all chunks. */
  clear(): void {
    while (this.head !== null) giveChunk(this.shift());
  }
}
