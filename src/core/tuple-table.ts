// A hash table from flow tuples to small integers: two addresses of four words each and one word of ports.
//
// Open addressing with linear probing over one Int32Array; nothing is allocated but when the table grows. Entries are
// removed by moving later ones of the same run back (Knuth 6.4, algorithm R), so there are no tombstones and the cost of
// a look-up depends on the load only, not on how many entries have come and gone. Guests choose most of a tuple, so slots
// are picked by HalfSipHash-1-3 under a secret key: runs cannot be provoked.
//
//   entry, 12 words:  value + 1 (0: free) | hash | a0 a1 a2 a3 | b0 b1 b2 b3 | ports | unused
//
// Tuples of IPv4 addresses in mapped form are hashed by their last words only.

import { MAPPED } from './address.ts';
import { halfSipHash } from './siphash.ts';

const STRIDE = 12;
const HASH = 1;
const KEY = 2;
const KEY_WORDS = 9;
const MIN_SLOTS = 64;

export class TupleTable {
  private entries: Int32Array = new Int32Array(MIN_SLOTS * STRIDE);
  private mask = MIN_SLOTS - 1;
  private used = 0;
  private readonly k0: number;
  private readonly k1: number;
  private readonly input = new Int32Array(KEY_WORDS);

  /** @param k0, k1  secret key, 64 random bits */
  constructor(k0: number, k1: number) {
    this.k0 = k0;
    this.k1 = k1;
  }

  get size(): number {
    return this.used;
  }

  /**
   * Value of a tuple, or -1.
   *
   * @param a0..a3, b0..b3  addresses in the form of address.ts
   * @param ports           both ports, any packing, a signed 32-bit integer
   */
  find(
    a0: number,
    a1: number,
    a2: number,
    a3: number,
    b0: number,
    b1: number,
    b2: number,
    b3: number,
    ports: number,
  ): number {
    const slot = this.probe(this.hash(a0, a1, a2, a3, b0, b1, b2, b3, ports), a0, a1, a2, a3, b0, b1, b2, b3, ports);
    return this.entries[slot * STRIDE]! - 1;
  }

  /** Adds a tuple, or gives one that is there a new value. */
  set(
    a0: number,
    a1: number,
    a2: number,
    a3: number,
    b0: number,
    b1: number,
    b2: number,
    b3: number,
    ports: number,
    /** 0 to 2^31 - 2 */
    value: number,
  ): void {
    if ((this.used + 1) * 2 > this.mask + 1) this.resize((this.mask + 1) * 2);
    const hash = this.hash(a0, a1, a2, a3, b0, b1, b2, b3, ports);
    const at = this.probe(hash, a0, a1, a2, a3, b0, b1, b2, b3, ports) * STRIDE;
    const e = this.entries;
    if (e[at] === 0) {
      this.used++;
      e[at + HASH] = hash;
      e[at + KEY] = a0;
      e[at + KEY + 1] = a1;
      e[at + KEY + 2] = a2;
      e[at + KEY + 3] = a3;
      e[at + KEY + 4] = b0;
      e[at + KEY + 5] = b1;
      e[at + KEY + 6] = b2;
      e[at + KEY + 7] = b3;
      e[at + KEY + 8] = ports;
    }
    e[at] = value + 1;
  }

  /** Removes a tuple; true when it was there. */
  delete(
    a0: number,
    a1: number,
    a2: number,
    a3: number,
    b0: number,
    b1: number,
    b2: number,
    b3: number,
    ports: number,
  ): boolean {
    const e = this.entries;
    const mask = this.mask;
    let hole = this.probe(this.hash(a0, a1, a2, a3, b0, b1, b2, b3, ports), a0, a1, a2, a3, b0, b1, b2, b3, ports);
    if (e[hole * STRIDE] === 0) return false;
    // Whatever follows in the run moves into the hole, unless it would come before the slot its hash picks.
    for (let i = (hole + 1) & mask; e[i * STRIDE] !== 0; i = (i + 1) & mask) {
      const home = e[i * STRIDE + HASH]! & mask;
      if (((i - home) & mask) >= ((i - hole) & mask)) {
        e.copyWithin(hole * STRIDE, i * STRIDE, i * STRIDE + STRIDE);
        hole = i;
      }
    }
    e[hole * STRIDE] = 0;
    this.used--;
    if (this.mask + 1 > MIN_SLOTS && this.used * 8 < this.mask + 1) this.resize((this.mask + 1) / 2);
    return true;
  }

  private hash(
    a0: number,
    a1: number,
    a2: number,
    a3: number,
    b0: number,
    b1: number,
    b2: number,
    b3: number,
    ports: number,
  ): number {
    const w = this.input;
    w[0] = a3;
    w[1] = b3;
    w[2] = ports;
    if (a2 === MAPPED && b2 === MAPPED && (a0 | a1 | b0 | b1) === 0) return halfSipHash(1, 3, this.k0, this.k1, w, 3);
    w[3] = a0;
    w[4] = a1;
    w[5] = a2;
    w[6] = b2;
    // A mapping has no other end, so two words less to hash; the length is part of the hash.
    if ((b0 | b1) === 0) return halfSipHash(1, 3, this.k0, this.k1, w, KEY_WORDS - 2);
    w[7] = b0;
    w[8] = b1;
    return halfSipHash(1, 3, this.k0, this.k1, w, KEY_WORDS);
  }

  /** Slot of the tuple, or the free slot where it belongs. */
  private probe(
    hash: number,
    a0: number,
    a1: number,
    a2: number,
    a3: number,
    b0: number,
    b1: number,
    b2: number,
    b3: number,
    ports: number,
  ): number {
    const e = this.entries;
    const mask = this.mask;
    let slot = hash & mask;
    for (;;) {
      const at = slot * STRIDE;
      if (e[at] === 0) return slot;
      if (
        e[at + HASH] === hash &&
        e[at + KEY + 8] === ports &&
        e[at + KEY + 7] === b3 &&
        e[at + KEY + 3] === a3 &&
        e[at + KEY + 6] === b2 &&
        e[at + KEY + 5] === b1 &&
        e[at + KEY + 4] === b0 &&
        e[at + KEY + 2] === a2 &&
        e[at + KEY + 1] === a1 &&
        e[at + KEY] === a0
      ) {
        return slot;
      }
      slot = (slot + 1) & mask;
    }
  }

  private resize(slots: number): void {
    const old = this.entries;
    this.entries = new Int32Array(slots * STRIDE);
    this.mask = slots - 1;
    const e = this.entries;
    for (let from = 0; from < old.length; from += STRIDE) {
      if (old[from] === 0) continue;
      let slot = old[from + HASH]! & this.mask;
      while (e[slot * STRIDE] !== 0) slot = (slot + 1) & this.mask;
      for (let i = 0; i < STRIDE; i++) e[slot * STRIDE + i] = old[from + i]!;
    }
  }
}
