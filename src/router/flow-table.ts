// Flows without an end of their own (UDP, ICMP echo, clients of UDP forwards): found by tuple, bounded, ended when idle.
//
// Bounds: `capacity` in all, `perGuest` for each guest. A full table ends the flow that was idle for longest, of the
// guest that is over its share if it is one, else of all; so a guest that asks for thousands of flows only pushes out its
// own. Each flow carries its deadline and a wheel timer; a packet moves the deadline (two writes) and the flow to the
// young end of the list.

import type { Timer, TimerWheel } from '../core/timer-wheel.ts';
import { TupleTable } from '../core/tuple-table.ts';
import type { Neighbor } from '../ip/index.ts';

/** A flow in a FlowTable. The key is two addresses and a word of ports or identifiers, see core/tuple-table.ts. */
export abstract class IdleFlow {
  readonly guest: Neighbor;
  readonly key: Int32Array;
  /** Internal to the table. */
  slot = -1;
  older: IdleFlow | null = null;
  younger: IdleFlow | null = null;
  timer: Timer | null = null;

  /** @param key  nine words: guest address, other address (or zeros), ports */
  constructor(guest: Neighbor, key: Int32Array) {
    this.guest = guest;
    this.key = key;
  }

  /** Frees what the flow holds. Called once by the table when the flow is idle for too long, pushed out or removed. */
  abstract release(): void;
}

export interface FlowTableOptions {
  wheel: TimerWheel;
  /** Flows in all and per guest. */
  capacity: number;
  perGuest: number;
  /** 64 secret bits for the hash. */
  k0: number;
  k1: number;
}

export class FlowTable<F extends IdleFlow> {
  private readonly table: TupleTable;
  private readonly flows: (F | null)[] = [];
  private readonly free: number[] = [];
  private readonly wheel: TimerWheel;
  private readonly capacity: number;
  private readonly perGuest: number;
  /** Flows of each guest in this table. */
  private readonly counts = new Map<Neighbor, number>();
  private oldest: IdleFlow | null = null;
  private youngest: IdleFlow | null = null;

  constructor(options: FlowTableOptions) {
    this.wheel = options.wheel;
    this.capacity = options.capacity;
    this.perGuest = options.perGuest;
    this.table = new TupleTable(options.k0, options.k1);
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

  /** Makes room for one more flow of `guest`, at the cost of older ones. Call before the flow's socket is opened. */
  makeRoom(guest: Neighbor): void {
    if ((this.counts.get(guest) ?? 0) >= this.perGuest) {
      let flow = this.oldest;
      while (flow !== null && flow.guest !== guest) flow = flow.younger;
      if (flow !== null) this.remove(flow as F);
    } else if (this.table.size >= this.capacity && this.oldest !== null) {
      this.remove(this.oldest as F);
    }
  }

  /** Adds a flow whose key is not in the table, to end after `idleMs` without `touch`. */
  add(flow: F, idleMs: number): void {
    const slot = this.free.pop() ?? this.flows.length;
    this.flows[slot] = flow;
    flow.slot = slot;
    const k = flow.key;
    this.table.set(k[0]!, k[1]!, k[2]!, k[3]!, k[4]!, k[5]!, k[6]!, k[7]!, k[8]!, slot);
    this.counts.set(flow.guest, (this.counts.get(flow.guest) ?? 0) + 1);
    flow.guest.flows++;
    flow.timer = this.wheel.timer(() => this.remove(flow));
    flow.timer.set(idleMs);
    this.linkYoungest(flow);
  }

  /** The flow is in use: it lives for `idleMs` from `now`. */
  touch(flow: F, now: number, idleMs: number): void {
    flow.timer!.setAt(now + idleMs);
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
    const left = this.counts.get(flow.guest)! - 1;
    if (left > 0) this.counts.set(flow.guest, left);
    else this.counts.delete(flow.guest);
    flow.release();
  }

  clear(): void {
    while (this.oldest !== null) this.remove(this.oldest as F);
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
