// Which VTEP a station is behind: MAC addresses to addresses of peers, learned from what comes in (RFC 7348 section 4.1).
//
// Sets of four entries, picked by a seeded hash. A new station takes the free or oldest entry of its set: the table never
// grows, an update costs the same whatever is in it, and who floods it with made-up addresses gets other stations
// forgotten, whose frames then go to all peers until they speak again.
//
//   entry    mac hi + 1 (0: free) | mac lo | w0 w1 w2 w3 | port | scope      and, apart, when it was heard last

const WAYS = 4;
const WORDS = 8;
const ADDRESS = 2;

export class StationTable {
  /** Entries; the address cells of entry `i` begin at `addressOf(i)` and have the order of a native batch's. */
  readonly cells: Int32Array;
  private readonly heard: Float64Array;
  private readonly sets: number;
  private readonly ageMs: number;
  private readonly seed: number;

  /**
   * @param size   stations at most, rounded up to a power of two
   * @param ageMs  for how long a station is remembered after its last frame
   * @param seed   any number, not known to the stations
   */
  constructor(size: number, ageMs: number, seed: number) {
    let sets = 1;
    while (sets * WAYS < size) sets *= 2;
    this.sets = sets;
    this.cells = new Int32Array(sets * WAYS * WORDS);
    this.heard = new Float64Array(sets * WAYS);
    this.ageMs = ageMs;
    this.seed = seed | 0;
  }

  /** Index of the first address cell of an entry. */
  static addressOf(entry: number): number {
    return entry * WORDS + ADDRESS;
  }

  /** Entry of a station heard lately, or -1. */
  find(hi: number, lo: number, now: number): number {
    const first = this.first(hi, lo);
    for (let i = first; i < first + WAYS; i++) {
      if (this.cells[i * WORDS] === hi + 1 && this.cells[i * WORDS + 1] === lo)
        return now - this.heard[i]! < this.ageMs ? i : -1;
    }
    return -1;
  }

  /** Notes that a station was heard from the peer whose six address cells begin at `at` of `from`. */
  learn(hi: number, lo: number, from: Int32Array, at: number, now: number): void {
    const first = this.first(hi, lo);
    let entry = first;
    for (let i = first; i < first + WAYS; i++) {
      if (this.cells[i * WORDS] === hi + 1 && this.cells[i * WORDS + 1] === lo) {
        entry = i;
        break;
      }
      if (this.cells[i * WORDS] === 0 ? this.cells[entry * WORDS] !== 0 : this.isOlder(i, entry)) entry = i;
    }
    const { cells } = this;
    cells[entry * WORDS] = hi + 1;
    cells[entry * WORDS + 1] = lo;
    for (let i = 0; i < WORDS - ADDRESS; i++) cells[entry * WORDS + ADDRESS + i] = from[at + i]!;
    this.heard[entry] = now;
  }

  /** Forgets the stations behind one peer. */
  forget(from: Int32Array, at: number): void {
    for (let i = 0; i < this.heard.length; i++) {
      let same = this.cells[i * WORDS] !== 0;
      for (let w = 0; same && w < WORDS - ADDRESS; w++) same = this.cells[i * WORDS + ADDRESS + w] === from[at + w];
      if (same) this.cells[i * WORDS] = 0;
    }
  }

  /** Stations in the table, those included that are too old. */
  get size(): number {
    let n = 0;
    for (let i = 0; i < this.heard.length; i++) if (this.cells[i * WORDS] !== 0) n++;
    return n;
  }

  private isOlder(i: number, than: number): boolean {
    return this.cells[than * WORDS] !== 0 && this.heard[i]! < this.heard[than]!;
  }

  private first(hi: number, lo: number): number {
    let h = Math.imul(lo ^ this.seed, 0x9e3779b1) ^ Math.imul(hi + 0x7f4a7c15, 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
    return ((h ^ (h >>> 13)) & (this.sets - 1)) * WAYS;
  }
}
