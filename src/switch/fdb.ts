// Forwarding database: on which port a station was last heard.
//
// Open addressing with linear probing over one Int32Array, four words an entry, so that a look-up touches one cache
// line as a rule. Keys are two integers: (VLAN << 16 | first two bytes of the MAC) and the other four bytes.
//
//   word 0   hi      VLAN 16 bits, MAC bytes 0 and 1
//   word 1   lo      MAC bytes 2 to 5
//   word 2   port+1  0: slot free
//   word 3   tick    when last heard, or STATIC
//
// Bounds: `maxEntries` in all and `portShare` for one port; a station beyond either is not learned, entries in use are
// kept, and frames to the unknown are flooded. There are at least twice as many slots as entries, the hash is seeded,
// and an entry is never further than MAX_PROBE slots from its home, so a look-up costs the same whatever a guest sends.
//
// Ageing costs nothing per entry: an entry that is too old is removed by the look-up that meets it, and `sweep` walks
// some slots at a time to give back those nobody asks for. Removal shifts later entries back: there are no tombstones.
//
// A station moves to another port only when its present port has not heard it for longer than the minimum persistence
// (against theft of a neighbour's address, and against loops). Static entries neither move nor age.
//
// Time is counted in ticks of FDB_TICK_MS, a 32-bit number: 6.8 years.

import { randomFillSync } from 'node:crypto';

/** Milliseconds in one tick of the table's time. */
export const FDB_TICK_MS = 100;

const WORDS = 4;
const MAX_PROBE = 128;
const STATIC = 0x7fffffff;

/** What `learn` did. */
export const Learn = {
  /** Known on this port; its age starts anew. */
  Refreshed: 0,
  /** New station. */
  Added: 1,
  /** Known elsewhere before, now here. */
  Moved: 2,
  /** Known on another port and not to be moved (heard there lately, or static). */
  Held: 3,
  /** New station, but the table or the share of the port is full. */
  Full: 4,
} as const;
export type Learn = (typeof Learn)[keyof typeof Learn];

export interface FdbOptions {
  /** Largest number of entries, 1 to 1,048,576; default 8192. */
  maxEntries?: number;
  /** Largest number of entries of one port; default 1024. `setShare` changes it for a port. */
  portShare?: number;
  /** Entries not heard for longer are forgotten, seconds; default 300. */
  ageSec?: number;
  /** A station moves between ports after it was silent for longer than this, seconds; default 3. */
  minPersistenceSec?: number;
  /** Ports are numbered 0 to ports - 1. */
  ports: number;
  /** Seeds of the hash; random when not given. */
  seed?: readonly [number, number];
}

/** One entry, for consoles. */
export interface FdbEntry {
  vlan: number;
  /** MAC bytes 0 and 1, and 2 to 5, as unsigned integers. */
  macHi: number;
  macLo: number;
  port: number;
  ageSec: number;
  static: boolean;
}

/** Hears of entries that are removed; `mac*` as in FdbEntry. */
export type FdbRemoval = (vlan: number, macHi: number, macLo: number, port: number) => void;

export class Fdb {
  /** Port that the station had before, after `learn` returned Moved. */
  movedFrom = -1;
  /** Hears of each entry that ceases to be; not of those that move. */
  onRemove: FdbRemoval | null = null;
  /** Told when the table is another one, or the age limit. */
  onSettings: (() => void) | null = null;
  /** Told when a port that was full may not be so any more. */
  onRoom: (() => void) | null = null;
  private table: Int32Array;
  private mask: number;
  /** Seeds of the hash. */
  readonly seedHi: number;
  readonly seedLo: number;
  private maxEntries: number;
  private readonly portShare: number;
  private perPort: Int32Array;
  private share: Int32Array;
  /** Entries not heard for longer are too old, ticks. */
  ageTicks = 0;
  private persistenceTicks = 0;
  private entries = 0;
  private cursor = 0;

  constructor(options: FdbOptions) {
    this.maxEntries = bounded(options.maxEntries ?? 8192);
    this.portShare = options.portShare ?? 1024;
    const slots = slotsFor(this.maxEntries);
    this.table = newTable(slots);
    this.mask = slots - 1;
    const seed = options.seed ?? randomFillSync(new Int32Array(2));
    this.seedHi = seed[0]! | 0;
    this.seedLo = seed[1]! | 0;
    this.perPort = new Int32Array(options.ports);
    this.share = new Int32Array(options.ports).fill(this.portShare);
    this.setAge(options.ageSec ?? 300);
    this.setMinPersistence(options.minPersistenceSec ?? 3);
  }

  /** Largest number of entries. */
  get capacity(): number {
    return this.maxEntries;
  }

  /** Forgets all stations, static ones included, and takes up to `maxEntries` (1 to 1,048,576) from now on. */
  resize(maxEntries: number): void {
    for (let port = 0; port < this.perPort.length; port++) this.flushPort(port);
    this.maxEntries = bounded(maxEntries);
    const slots = slotsFor(this.maxEntries);
    this.table = newTable(slots);
    this.mask = slots - 1;
    this.cursor = 0;
    this.onSettings?.();
  }

  /** Ports are numbered 0 to ports - 1 from now on; those that go must have no stations. */
  setPorts(ports: number): void {
    const perPort = new Int32Array(ports);
    const share = new Int32Array(ports).fill(this.portShare);
    perPort.set(this.perPort.subarray(0, ports));
    share.set(this.share.subarray(0, ports));
    this.perPort = perPort;
    this.share = share;
    this.onRoom?.();
  }

  /** The table itself: another one after `resize`. */
  get cells(): Int32Array {
    return this.table;
  }

  /** True when the port may have no more stations. */
  isFull(port: number): boolean {
    return this.entries >= this.maxEntries || this.perPort[port]! >= this.share[port]!;
  }

  /** Number of entries, those included that are too old and not removed yet. */
  get size(): number {
    return this.entries;
  }

  /** Number of slots, a power of two; `sweep` needs that many steps for one round. */
  get slots(): number {
    return this.mask + 1;
  }

  /** Entries of one port. */
  countOf(port: number): number {
    return this.perPort[port] ?? 0;
  }

  setAge(seconds: number): void {
    this.ageTicks = Math.round((seconds * 1000) / FDB_TICK_MS);
    this.onSettings?.();
  }

  setMinPersistence(seconds: number): void {
    this.persistenceTicks = Math.round((seconds * 1000) / FDB_TICK_MS);
  }

  /** Lets one port own up to `entries` entries: uplinks and trunks have many stations behind them. */
  setShare(port: number, entries: number): void {
    this.share[port] = entries;
    this.onRoom?.();
  }

  private home(hi: number, lo: number): number {
    let h = Math.imul(hi ^ this.seedHi, 0x9e3779b1) ^ lo;
    h = Math.imul(h ^ (h >>> 15), 0x85ebca6b) ^ this.seedLo;
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    return (h ^ (h >>> 16)) & this.mask;
  }

  /** Word offset of the key's entry; when there is none, of the free slot for it; -1 when the probe limit is reached. */
  private find(hi: number, lo: number): number {
    const table = this.table;
    let slot = this.home(hi, lo);
    for (let n = 0; n < MAX_PROBE; n++) {
      const w = slot * WORDS;
      if (table[w + 2] === 0 || (table[w + 1] === lo && table[w] === hi)) return w;
      slot = (slot + 1) & this.mask;
    }
    return -1;
  }

  /**
   * Notes that a station was heard on a port.
   *
   * @param vlan   VLAN id, 0 to 4095
   * @param macHi  MAC bytes 0 and 1
   * @param macLo  MAC bytes 2 to 5, signed or unsigned
   * @param port   port number
   * @param tick   present time, ticks
   */
  learn(vlan: number, macHi: number, macLo: number, port: number, tick: number): Learn {
    const hi = (vlan << 16) | macHi;
    const lo = macLo | 0;
    const table = this.table;
    let w = this.find(hi, lo);
    if (w >= 0 && table[w + 2] !== 0) {
      const seen = table[w + 3]!;
      if (table[w + 2] === port + 1) {
        if (seen !== STATIC) table[w + 3] = tick;
        return Learn.Refreshed;
      }
      if (seen === STATIC) return Learn.Held;
      const silent = tick - seen;
      if (silent <= this.ageTicks) {
        if (silent <= this.persistenceTicks) return Learn.Held;
        if (this.perPort[port]! >= this.share[port]!) return Learn.Full;
        this.movedFrom = table[w + 2]! - 1;
        this.perPort[this.movedFrom]!--;
        this.onRoom?.();
        this.perPort[port]!++;
        table[w + 2] = port + 1;
        table[w + 3] = tick;
        return Learn.Moved;
      }
      this.remove(w);
      w = this.find(hi, lo);
    }
    if (w < 0 || this.isFull(port)) return Learn.Full;
    table[w] = hi;
    table[w + 1] = lo;
    table[w + 2] = port + 1;
    table[w + 3] = tick;
    this.perPort[port]!++;
    this.entries++;
    return Learn.Added;
  }

  /** Port of a station, or -1 when it is unknown or was not heard for too long. */
  lookup(vlan: number, macHi: number, macLo: number, tick: number): number {
    const w = this.find((vlan << 16) | macHi, macLo | 0);
    if (w < 0) return -1;
    const port = this.table[w + 2]! - 1;
    if (port >= 0 && this.expired(w, tick)) {
      this.remove(w);
      return -1;
    }
    return port;
  }

  /** The entry of a station, for consoles; null when it is unknown or too old. */
  get(vlan: number, macHi: number, macLo: number, tick: number): FdbEntry | null {
    const w = this.find((vlan << 16) | macHi, macLo | 0);
    return w < 0 || this.table[w + 2] === 0 || this.expired(w, tick) ? null : this.view(w, tick);
  }

  /** Ties a station to a port for good, whatever is heard elsewhere. False when there is no room. */
  pin(vlan: number, macHi: number, macLo: number, port: number): boolean {
    const hi = (vlan << 16) | macHi;
    const lo = macLo | 0;
    const w = this.find(hi, lo);
    if (w < 0) return false;
    if (this.table[w + 2] !== 0) this.perPort[this.table[w + 2]! - 1]!--;
    else if (this.entries >= this.maxEntries) return false;
    else this.entries++;
    this.onRoom?.();
    this.table[w] = hi;
    this.table[w + 1] = lo;
    this.table[w + 2] = port + 1;
    this.table[w + 3] = STATIC;
    this.perPort[port]!++;
    return true;
  }

  /** Forgets all stations of a port, static ones included. */
  flushPort(port: number): void {
    for (let slot = 0; slot <= this.mask && this.perPort[port]! > 0; slot++) {
      const w = slot * WORDS;
      while (this.table[w + 2] === port + 1) this.remove(w);
    }
  }

  /** Forgets the stations learned in a VLAN: of one port, or of all (-1). Static ones stay. */
  flushVlan(vlan: number, port = -1): void {
    if (port >= 0 && this.perPort[port] === 0) return;
    for (let slot = 0; slot <= this.mask; slot++) {
      const w = slot * WORDS;
      while (this.table[w + 2] !== 0 && this.learnedIn(w, vlan, port)) this.remove(w);
    }
  }

  private learnedIn(w: number, vlan: number, port: number): boolean {
    const ofPort = port < 0 || this.table[w + 2] === port + 1;
    return ofPort && this.table[w]! >>> 16 === vlan && this.table[w + 3] !== STATIC;
  }

  /** Unties a station; false when it was not tied to that port. */
  unpin(vlan: number, macHi: number, macLo: number, port: number): boolean {
    const w = this.find((vlan << 16) | macHi, macLo | 0);
    if (w < 0 || this.table[w + 2] !== port + 1 || this.table[w + 3] !== STATIC) return false;
    this.remove(w);
    return true;
  }

  /** Forgets every station that was learned. */
  flush(): void {
    for (let slot = 0; slot <= this.mask; slot++) {
      const w = slot * WORDS;
      while (this.table[w + 2] !== 0 && this.table[w + 3] !== STATIC) this.remove(w);
    }
  }

  /** Looks at the next `steps` slots and removes what is too old; bounded work for a timer. */
  sweep(steps: number, tick: number): void {
    for (let n = 0; n < steps; n++) {
      const w = this.cursor * WORDS;
      while (this.table[w + 2] !== 0 && this.expired(w, tick)) this.remove(w);
      this.cursor = (this.cursor + 1) & this.mask;
    }
  }

  private expired(w: number, tick: number): boolean {
    const seen = this.table[w + 3]!;
    return seen !== STATIC && tick - seen > this.ageTicks;
  }

  /** Frees a slot and shifts back the entries behind it that would no longer be found. */
  private remove(w: number): void {
    const table = this.table;
    const mask = this.mask;
    this.perPort[table[w + 2]! - 1]!--;
    this.entries--;
    this.onRoom?.();
    if (this.onRemove !== null)
      this.onRemove(table[w]! >>> 16, table[w]! & 0xffff, table[w + 1]! >>> 0, table[w + 2]! - 1);
    let hole = w / WORDS;
    let slot = hole;
    for (;;) {
      slot = (slot + 1) & mask;
      const from = slot * WORDS;
      if (table[from + 2] === 0) break;
      const home = this.home(table[from]!, table[from + 1]!);
      // The entry may fill the hole unless its home lies cyclically behind the hole.
      if (((slot - home) & mask) < ((slot - hole) & mask)) continue;
      const to = hole * WORDS;
      table[to] = table[from]!;
      table[to + 1] = table[from + 1]!;
      table[to + 2] = table[from + 2]!;
      table[to + 3] = table[from + 3]!;
      hole = slot;
    }
    table[hole * WORDS + 2] = 0;
  }

  /** The entries that are not too old, in table order; for consoles and tests. */
  *list(tick: number): Generator<FdbEntry> {
    for (let slot = 0; slot <= this.mask; slot++) {
      const w = slot * WORDS;
      if (this.table[w + 2] === 0 || this.expired(w, tick)) continue;
      yield this.view(w, tick);
    }
  }

  private view(w: number, tick: number): FdbEntry {
    const table = this.table;
    const pinned = table[w + 3] === STATIC;
    return {
      vlan: table[w]! >>> 16,
      macHi: table[w]! & 0xffff,
      macLo: table[w + 1]! >>> 0,
      port: table[w + 2]! - 1,
      ageSec: pinned ? 0 : ((tick - table[w + 3]!) * FDB_TICK_MS) / 1000,
      static: pinned,
    };
  }
}

const bounded = (entries: number): number => Math.min(Math.max(entries, 1), 1 << 20);

/** Cells of a table, where native code may read them too (core/forward-table.ts). */
const newTable = (slots: number): Int32Array => new Int32Array(new SharedArrayBuffer(slots * WORDS * 4));

/** A power of two, at least twice the number of entries. */
function slotsFor(entries: number): number {
  let slots = 64;
  while (slots < entries * 2) slots *= 2;
  return slots;
}
