// Memory for what must outlive the call that brought it: chunks of one size, bounded in all.
//
// A buffer that grows and shrinks with its connection takes chunks and gives them back when they are empty, so an idle
// connection holds none. Chunks given back are kept for the next taker, up to KEEP; the rest is left to the collector.
// At the bound `take` gives null: the taker says no to its source (backpressure), or drops.

/** An offset's chunk is `offset >> CHUNK_BITS`. */
export const CHUNK_BITS = 14;
/** Bytes of one chunk. */
export const CHUNK_SIZE = 1 << CHUNK_BITS;
export const CHUNK_MASK = CHUNK_SIZE - 1;

/** Free chunks that are kept, 4 MiB. */
const KEEP = 256;

/** One chunk: the same memory as bytes and as words of the host's byte order. */
export class Chunk {
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;

  constructor() {
    const memory = new ArrayBuffer(CHUNK_SIZE);
    this.bytes = new Uint8Array(memory);
    this.words = new Uint32Array(memory);
  }
}

export class BytePool {
  /** Most chunks that may be out at once. */
  readonly maxChunks: number;
  private out = 0;
  private readonly free: Chunk[] = [];

  /** @param maxBytes  bound on what is out at once, bytes; at least one chunk */
  constructor(maxBytes: number) {
    this.maxChunks = Math.max(1, Math.floor(maxBytes / CHUNK_SIZE));
  }

  /** Bytes that are out. */
  get used(): number {
    return this.out * CHUNK_SIZE;
  }

  get exhausted(): boolean {
    return this.out >= this.maxChunks;
  }

  /**
   * A chunk whose old contents are undefined, or null at the bound.
   *
   * @param spare  chunks that must be left for others, for takers that can do without
   */
  take(spare = 0): Chunk | null {
    if (this.out + spare >= this.maxChunks) return null;
    this.out++;
    return this.free.pop() ?? new Chunk();
  }

  /** Takes back a chunk that `take` gave; the giver keeps no reference. */
  give(chunk: Chunk): void {
    this.out--;
    if (this.free.length < KEEP) this.free.push(chunk);
  }
}
