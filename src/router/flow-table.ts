// Flows without an end of their own (UDP, ICMP echo, clients of UDP forwards): found by tuple, bounded, ended when idle.
//
// Bounds: `capacity` for the table, and what the budget of host descriptors allows (flow-budget.ts). A full table ends the
// flow that was idle for longest of the guest that has most of them; so a guest that asks for thousands of flows only
// pushes out its own. Each flow carries its deadline and a wheel timer; a packet moves the deadline (two writes) and the
// flow to the young end of two lists, that of all and that of its guest (holders.ts). Nothing here takes longer with more
// flows, but what management asks for.

import { Endpoint } from '../core/address.ts';
import type { Timer, TimerWheel } from '../core/timer-wheel.ts';
import { TupleTable } from '../core/tuple-table.ts';
import type { Neighbor, Station } from '../ip/index.ts';
import type { FlowBudget, FlowDonor } from './flow-budget.ts';
import { admitsGuest, type FlowFilter, type FlowKind, type FlowPage, type FlowView } from './flow-view.ts';
import { type Holder, Holders } from './holders.ts';

/** A flow in a FlowTable. The key is two addresses and a word of ports or identifiers, see core/tuple-table.ts. */
export abstract class IdleFlow {
  readonly guest: Neighbor;
  readonly key: Int32Array;
  /** Number of the flow in its table, not used again. */
  serial = 0;
  /** When it began and when it last carried something, monotonic ms. */
  openedAt = 0;
  usedAt = 0;
  /** Payload bytes from the guest, and to it. */
  bytesOut = 0;
  bytesIn = 0;
  /** Internal to the table. */
  slot = -1;
  older: IdleFlow | null = null;
  younger: IdleFlow | null = null;
  ownOlder: IdleFlow | null = null;
  ownYounger: IdleFlow | null = null;
  holder: Holder | null = null;
  timer: Timer | null = null;

  /** @param key  nine words: guest address, other address (or zeros), ports */
  constructor(guest: Neighbor, key: Int32Array) {
    this.guest = guest;
    this.key = key;
  }

  /** Frees what the flow holds. Called once by the table when the flow is idle for too long, pushed out or removed. */
  abstract release(): void;

  /** What differs by kind, for management: the guest's port or identifier, the far end, the state in a word. */
  abstract describe(): { port: number; peer: string; state: string };
}

export interface FlowTableOptions {
  wheel: TimerWheel;
  kind: FlowKind;
  /** Flows at once. */
  capacity: number;
  /** Where each flow's descriptor is counted; null when flows have none. */
  budget: FlowBudget | null;
  /** 64 secret bits for the hash. */
  k0: number;
  k1: number;
}

export class FlowTable<F extends IdleFlow> implements FlowDonor {
  readonly kind: FlowKind;
  readonly capacity: number;
  private readonly table: TupleTable;
  private readonly flows: (F | null)[] = [];
  private readonly free: number[] = [];
  private readonly wheel: TimerWheel;
  private readonly budget: FlowBudget | null;
  private readonly holders = new Holders();
  private nextSerial = 1;
  private oldest: IdleFlow | null = null;
  private youngest: IdleFlow | null = null;

  constructor(options: FlowTableOptions) {
    this.kind = options.kind;
    this.wheel = options.wheel;
    this.capacity = options.capacity;
    this.budget = options.budget;
    this.table = new TupleTable(options.k0, options.k1);
    this.budget?.addDonor(this);
  }

  get size(): number {
    return this.table.size;
  }

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
  ): F | null {
    const slot = this.table.find(a0, a1, a2, a3, b0, b1, b2, b3, ports);
    return this.at(slot);
  }

  /** The flow at a slot, or null (also for slot -1). */
  at(slot: number): F | null {
    return slot < 0 ? null : (this.flows[slot] ?? null);
  }

  /**
   * Makes room for one more flow of `guest`, at the cost of older ones. Call before the flow's socket is opened; false:
   * there is none, and the flow must be refused.
   */
  makeRoom(guest: Neighbor): boolean {
    if (this.table.size >= this.capacity && !this.endOldest(this.holders.largest(guest.station))) return false;
    return this.budget === null || this.budget.makeRoom(guest);
  }

  give(guest: Station | null): boolean {
    return this.endOldest(guest === null ? this.holders.largest(null) : this.holders.of(guest));
  }

  private endOldest(holder: Holder | null): boolean {
    if (holder === null) return false;
    this.remove(holder.oldest as F);
    return true;
  }

  /** Adds a flow whose key is not in the table, to end after `idleMs` without `touch`. */
  add(flow: F, idleMs: number): void {
    const slot = this.free.pop() ?? this.flows.length;
    this.flows[slot] = flow;
    flow.slot = slot;
    const k = flow.key;
    this.table.set(k[0]!, k[1]!, k[2]!, k[3]!, k[4]!, k[5]!, k[6]!, k[7]!, k[8]!, slot);
    this.holders.add(flow);
    flow.guest.flows++;
    this.budget?.add(flow.guest);
    flow.serial = this.nextSerial++;
    flow.openedAt = flow.usedAt = this.wheel.clock.now();
    flow.timer = this.wheel.timer(() => this.remove(flow));
    flow.timer.set(idleMs);
    this.linkYoungest(flow);
  }

  /** The flow is in use: it lives for `idleMs` from `now`. */
  touch(flow: F, now: number, idleMs: number): void {
    flow.timer!.setAt(now + idleMs);
    flow.usedAt = now;
    this.holders.touch(flow);
    if (flow.younger === null) return;
    this.unlink(flow);
    this.linkYoungest(flow);
  }

  remove(flow: F): void {
    if (flow.slot < 0) return;
    const k = flow.key;
    this.table.delete(k[0]!, k[1]!, k[2]!, k[3]!, k[4]!, k[5]!, k[6]!, k[7]!, k[8]!);
    this.flows[flow.slot] = null;
    this.free.push(flow.slot);
    flow.slot = -1;
    flow.timer!.cancel();
    this.unlink(flow);
    flow.guest.flows--;
    this.budget?.remove(flow.guest);
    this.holders.remove(flow);
    flow.release();
  }

  clear(): void {
    while (this.oldest !== null) this.remove(this.oldest as F);
  }

  /** Ends the flow of a number; false when there is none. */
  end(serial: number): boolean {
    for (const flow of this) {
      if (flow.serial !== serial) continue;
      this.remove(flow);
      return true;
    }
    return false;
  }

  /** Flows as management sees them, oldest first, and how many there are in all. */
  page(filter: FlowFilter): FlowPage {
    const found = [...this].filter((flow) => admitsGuest(filter, flow.guest));
    const now = this.wheel.clock.now();
    const flows = found.sort((a, b) => a.serial - b.serial).slice(0, filter.limit);
    return { flows: flows.map((flow) => this.view(flow, now)), total: found.length };
  }

  private view(flow: F, now: number): FlowView {
    const { port, peer, state } = flow.describe();
    const { w0, w1, w2, w3 } = flow.guest;
    return {
      id: `${this.kind[0]}${flow.serial}`,
      kind: this.kind,
      guest: String(new Endpoint().set(w0, w1, w2, w3, port)),
      peer,
      state,
      bytesOut: flow.bytesOut,
      bytesIn: flow.bytesIn,
      ageMs: now - flow.openedAt,
      idleMs: now - flow.usedAt,
    };
  }

  /** All flows, from the longest idle to the latest used. */
  *[Symbol.iterator](): IterableIterator<F> {
    for (let f = this.oldest; f !== null; f = f.younger) yield f as F;
  }

  private linkYoungest(flow: IdleFlow): void {
    flow.older = this.youngest;
    flow.younger = null;
    if (this.youngest !== null) this.youngest.younger = flow;
    else this.oldest = flow;
    this.youngest = flow;
  }

  private unlink(flow: IdleFlow): void {
    if (flow.older !== null) flow.older.younger = flow.younger;
    else this.oldest = flow.younger;
    if (flow.younger !== null) flow.younger.older = flow.older;
    else this.youngest = flow.older;
    flow.older = flow.younger = null;
  }
}
