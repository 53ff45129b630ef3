// The addresses a DHCP server hands out, and who has them.
//
// Every address is in one state, and every state but Excluded is a list in order of deadline (or of arrival where there
// is none), so that each step costs the same whatever the size of the pool:
//
//   Free      never used, or forgotten                      ascending at first, then in order of return
//   Lapsed    offered, never confirmed                      oldest first
//   Idle      released or expired; the client is remembered and gets the address again if it asks in time
//   Offered   waits for the client's REQUEST                until the offer's deadline, then Lapsed (or Idle)
//   Bound     leased                                        until the lease's deadline, then Idle
//   Aside     somebody else was seen to use the address     until its deadline, then Free
//   Excluded  the router's own addresses
//   Reserved  promised to one holder by configuration, and not in use: nobody else gets it
//
// A reserved address has its holder from the start and for ever; where another address becomes Free, Lapsed or Idle, it
// becomes Reserved again. It may lie outside the range.
//
// A new client gets the head of the first list in this order that is not empty: Free, Lapsed, Idle, Offered. So old
// bindings are kept as long as there is room, and clients that never confirm cannot hold the pool against those that do
// (reference: RFC 2131 section 4.3.1, "previous address").
//
// Deadlines are kept by looking: `sweep` moves what is due and is called before each decision. The pool sets no timers.

export const LeaseState = {
  Free: 0,
  Lapsed: 1,
  Idle: 2,
  Offered: 3,
  Bound: 4,
  Aside: 5,
  Excluded: 6,
  Reserved: 7,
} as const;
export type LeaseState = (typeof LeaseState)[keyof typeof LeaseState];

const LISTS = 6;
const STATES = 8;
const NO_DEADLINE = Number.POSITIVE_INFINITY;

/** Who an address belongs to, or last belonged to. */
export interface Holder {
  readonly client: string;
  /** Hardware address: upper 16 and lower 32 bits, unsigned. */
  readonly macHi: number;
  readonly macLo: number;
  hostname: string;
  /** The client has confirmed this address at least once. */
  confirmed: boolean;
}

/** An address that belongs to one holder by configuration. */
export interface Reservation {
  /** Unsigned. */
  readonly address: number;
  readonly holder: Holder;
}

/** A 48-bit hardware address as one number. */
export const macNumber = (hi: number, lo: number): number => hi * 2 ** 32 + lo;

export class LeasePool {
  /** Number of addresses: those of the range, then the reserved ones outside of it. */
  readonly size: number;
  private readonly start: number;
  private readonly range: number;
  private readonly outside: number[] = [];
  private readonly outsideIndex = new Map<number, number>();
  private readonly reserved = new Map<number, Holder>();
  private readonly states: Uint8Array;
  private readonly deadlines: Float64Array;
  private readonly holders: (Holder | null)[];
  private readonly byClient = new Map<string, number>();
  /** Offered and bound addresses of each hardware address. */
  private readonly byMac = new Map<number, number>();
  /** Rings: entries 0 to size-1 are addresses, size+state is the anchor of a list. */
  private readonly next: Int32Array;
  private readonly prev: Int32Array;
  private readonly counts = new Int32Array(STATES);

  /**
   * @param start         first address of the range, unsigned
   * @param range         number of addresses in the range
   * @param excluded      addresses never to hand out; those outside the range do not matter
   * @param reservations  no address and no client twice, none excluded
   */
  constructor(start: number, range: number, excluded: readonly number[], reservations: readonly Reservation[] = []) {
    this.start = start;
    this.range = range;
    for (const { address } of reservations) {
      if (address >= start && address < start + range) continue;
      this.outsideIndex.set(address, range + this.outside.length);
      this.outside.push(address);
    }
    const size = range + this.outside.length;
    this.size = size;
    this.states = new Uint8Array(size);
    this.deadlines = new Float64Array(size).fill(NO_DEADLINE);
    this.holders = new Array<Holder | null>(size).fill(null);
    this.next = new Int32Array(size + LISTS);
    this.prev = new Int32Array(size + LISTS);
    for (let list = size; list < size + LISTS; list++) this.next[list] = this.prev[list] = list;
    for (const { address, holder } of reservations) this.reserved.set(this.indexIn(address), holder);
    const skip = new Set(excluded);
    for (let i = 0; i < size; i++) {
      if (skip.has(this.address(i))) {
        this.states[i] = LeaseState.Excluded;
        this.counts[LeaseState.Excluded]!++;
      } else {
        this.restore(i);
        this.link(i, LeaseState.Free, NO_DEADLINE);
      }
    }
  }

  private indexIn(address: number): number {
    const i = address - this.start;
    return i >= 0 && i < this.range ? i : (this.outsideIndex.get(address) ?? -1);
  }

  /** Index of an address, or -1 when it is outside the pool or excluded. */
  indexOf(address: number): number {
    const i = this.indexIn(address);
    return i >= 0 && this.states[i] !== LeaseState.Excluded ? i : -1;
  }
  address(i: number): number {
    return i < this.range ? this.start + i : this.outside[i - this.range]!;
  }
  /** True when the address belongs to its holder by configuration. */
  isReserved(i: number): boolean {
    return this.reserved.has(i);
  }
  state(i: number): LeaseState {
    return this.states[i] as LeaseState;
  }
  /** End of the state, monotonic ms; Infinity where it has none. An idle lease keeps the deadline it ended with. */
  deadline(i: number): number {
    return this.deadlines[i]!;
  }
  holder(i: number): Holder | null {
    return this.holders[i] ?? null;
  }
  /** Number of addresses in a state. */
  count(state: LeaseState): number {
    return this.counts[state]!;
  }
  /** Index of the address that a client has or had, or -1. */
  find(client: string): number {
    return this.byClient.get(client) ?? -1;
  }
  /** Number of addresses offered or bound to a hardware address. */
  heldBy(macHi: number, macLo: number): number {
    return this.byMac.get(macNumber(macHi, macLo)) ?? 0;
  }

  /** Hardware addresses that hold something: upper 16 and lower 32 bits, unsigned, and how much. */
  *stations(): Generator<[macHi: number, macLo: number, count: number]> {
    for (const [mac, count] of this.byMac) yield [Math.floor(mac / 2 ** 32), mac % 2 ** 32, count];
  }

  /** True when the address is nobody's just now. An outstanding offer counts as somebody's. */
  available(i: number): boolean {
    return this.states[i]! <= LeaseState.Idle;
  }

  /** The address a new client should get, or -1 when all are bound or aside. The state does not change. */
  pick(): number {
    for (let state: number = LeaseState.Free; state <= LeaseState.Offered; state++) {
      const i = this.next[this.size + state]!;
      if (i < this.size) return i;
    }
    return -1;
  }

  /** Indices of the addresses that new clients get next, as many as nobody has and `count` at most. */
  upcoming(count: number): number[] {
    const found: number[] = [];
    for (let state: number = LeaseState.Free; state <= LeaseState.Idle; state++) {
      const anchor = this.size + state;
      for (let i = this.next[anchor]!; i !== anchor && found.length < count; i = this.next[i]!) found.push(i);
    }
    return found;
  }

  /**
   * Makes `holder` the owner of address `i` in state Offered or Bound until `deadline`. Whoever had the address loses
   * it, and the client gives up any other address it had.
   */
  assign(i: number, holder: Holder, state: LeaseState, deadline: number): void {
    const other = this.find(holder.client);
    if (other >= 0 && other !== i) this.forget(other);
    const former = this.holders[i] ?? null;
    if (former !== holder) {
      this.unlink(i);
      if (former !== null && former.client !== holder.client) this.byClient.delete(former.client);
      this.holders[i] = holder;
      this.byClient.set(holder.client, i);
      this.link(i, state, deadline);
    } else {
      this.move(i, state, deadline);
    }
  }

  /** The lease is over, released or run out; the client is remembered. */
  retire(i: number, at: number): void {
    this.unlink(i);
    this.link(i, this.holders[i]?.confirmed === true ? LeaseState.Idle : LeaseState.Lapsed, at, true);
  }

  /** Puts an address aside until `deadline`; its client is forgotten. */
  putAside(i: number, deadline: number): void {
    this.unlink(i);
    this.drop(i);
    this.link(i, LeaseState.Aside, deadline);
  }

  /** Forgets the client of an address, which becomes free. */
  forget(i: number): void {
    this.unlink(i);
    this.drop(i);
    this.restore(i);
    this.link(i, LeaseState.Free, NO_DEADLINE);
  }

  /** Moves everything that is due at `now`. */
  sweep(now: number): void {
    this.sweepList(LeaseState.Offered, now);
    this.sweepList(LeaseState.Bound, now);
    this.sweepList(LeaseState.Aside, now);
  }

  private sweepList(state: LeaseState, now: number): void {
    const anchor = this.size + state;
    for (let i = this.next[anchor]!; i !== anchor && this.deadlines[i]! <= now; i = this.next[anchor]!) {
      if (state === LeaseState.Aside) this.forget(i);
      else this.retire(i, this.deadlines[i]!);
    }
  }

  private drop(i: number): void {
    const holder = this.holders[i] ?? null;
    if (holder === null) return;
    this.byClient.delete(holder.client);
    this.holders[i] = null;
  }

  /** Gives a reserved address back to its holder. */
  private restore(i: number): void {
    const holder = this.reserved.get(i);
    if (holder === undefined) return;
    this.holders[i] = holder;
    this.byClient.set(holder.client, i);
  }

  private move(i: number, state: LeaseState, deadline: number): void {
    this.unlink(i);
    this.link(i, state, deadline);
  }

  private unlink(i: number): void {
    const state = this.states[i]!;
    this.counts[state]!--;
    if (state === LeaseState.Reserved) return;
    const next = this.next[i]!;
    const prev = this.prev[i]!;
    this.next[prev] = next;
    this.prev[next] = prev;
    this.countMac(i, state, -1);
  }

  /** Puts `i` into a list: behind all that are due no later, or at the very end. */
  private link(i: number, state: LeaseState, deadline: number, atEnd = false): void {
    if (state <= LeaseState.Idle && this.reserved.has(i)) {
      this.states[i] = LeaseState.Reserved;
      this.deadlines[i] = deadline;
      this.counts[LeaseState.Reserved]!++;
      return;
    }
    const anchor = this.size + state;
    let prev = this.prev[anchor]!;
    if (!atEnd) while (prev !== anchor && this.deadlines[prev]! > deadline) prev = this.prev[prev]!;
    const next = this.next[prev]!;
    this.next[prev] = this.prev[next] = i;
    this.prev[i] = prev;
    this.next[i] = next;
    this.states[i] = state;
    this.deadlines[i] = deadline;
    this.counts[state]!++;
    this.countMac(i, state, 1);
  }

  private countMac(i: number, state: number, by: number): void {
    const holder = this.holders[i] ?? null;
    if (holder === null || (state !== LeaseState.Offered && state !== LeaseState.Bound)) return;
    const mac = macNumber(holder.macHi, holder.macLo);
    const n = (this.byMac.get(mac) ?? 0) + by;
    if (n > 0) this.byMac.set(mac, n);
    else this.byMac.delete(mac);
  }
}
