// The bounds of half-open connections (SYN-RECEIVED): between a remote and a local address, of a remote address, in all.
//
// A SYN that is beyond the first of them waits for a place. One beyond the others takes the place of the oldest, which is
// reset, but only when that one has had `halfOpenGraceMs` to be opened: in a burst all of them are young, and it is the SYN
// that waits. See syn-queue.ts for who is next.

import { Drop, type DropCounters } from '../core/drop.ts';
import type { Packet } from '../core/packet.ts';
import { TupleTable } from '../core/tuple-table.ts';
import type { TcpConnection } from './connection.ts';
import { ConnectionList } from './connection-list.ts';
import { type QueuedSyn, SynQueue } from './syn-queue.ts';
import type { TcpLimits } from './types.ts';

export class HalfOpen {
  private readonly limits: Readonly<TcpLimits>;
  private readonly drops: DropCounters;
  private readonly list = new ConnectionList();
  /** By remote address (the local one zeros), and by both. */
  private readonly counts: TupleTable;
  private readonly queue: SynQueue;
  /** A place has become free since `next` gave null. */
  private hasPlace = false;
  private readonly admits = (p: Packet, pair: boolean): boolean =>
    pair
      ? this.ofPair(p) < this.limits.maxHalfOpenPerPair
      : this.ofRemote(p) < this.limits.maxHalfOpenPerRemote && this.list.size < this.limits.maxHalfOpen;

  /** @param k0, k1  64 secret random bits */
  constructor(limits: Readonly<TcpLimits>, drops: DropCounters, k0: number, k1: number) {
    this.limits = limits;
    this.drops = drops;
    this.counts = new TupleTable(k0, k1);
    this.queue = new SynQueue(limits.maxWaitingSyns, limits.maxWaitingSynsPerRemote, k0, k1);
  }

  get size(): number {
    return this.list.size;
  }

  /** SYNs that wait. */
  get waiting(): number {
    return this.queue.size;
  }

  /** True when `next` may give one. */
  get due(): boolean {
    return this.hasPlace && this.queue.size > 0;
  }

  /**
   * True when the SYN `p` may be taken up now, perhaps in place of an older one; false when it waits or was dropped.
   *
   * @param minIss  least initial sequence number for the answer, 0 for any
   */
  admit(p: Packet, minIss: number, nowMs: number): boolean {
    const { limits, list } = this;
    let eldest: TcpConnection | null = null;
    let full = true;
    if (this.ofPair(p) < limits.maxHalfOpenPerPair) {
      if (this.ofRemote(p) >= limits.maxHalfOpenPerRemote) eldest = this.eldestOf(p);
      else if (list.size >= limits.maxHalfOpen) eldest = list.first;
      else full = false;
    }
    if (eldest !== null && nowMs - eldest.openedMs >= limits.halfOpenGraceMs) {
      this.drops[Drop.TcpHalfOpenLimit]!++;
      eldest.reset();
      full = false;
    }
    if (full) {
      if (!this.queue.add(p, minIss, nowMs)) this.drops[Drop.TcpHalfOpenLimit]!++;
      return false;
    }
    this.queue.withdraw(p);
    return true;
  }

  /** A RST came for no connection: it may be for a SYN that waits. */
  reset(p: Packet): void {
    this.queue.reset(p);
  }

  /** The next SYN to take up, and it must be now; null: there is no place, or none that waits for it. */
  next(nowMs: number): QueuedSyn | null {
    if (!this.due) return null;
    const syn = this.queue.take(nowMs, this.admits);
    this.hasPlace = syn !== null;
    return syn;
  }

  /** Forgets all SYNs that wait. */
  clear(): void {
    this.queue.clear();
  }

  enter(c: TcpConnection): void {
    this.list.append(c);
    this.count(c, 1);
  }

  /** `c` is open or over; ignored when it is not half-open. */
  leave(c: TcpConnection): void {
    if (!this.list.remove(c)) return;
    this.count(c, -1);
    this.hasPlace = true;
  }

  private eldestOf(p: Packet): TcpConnection | null {
    for (let c = this.list.first; c !== null; c = c.listNext) {
      const r = c.remote;
      if (r.w3 === p.src3 && r.w2 === p.src2 && r.w1 === p.src1 && r.w0 === p.src0) return c;
    }
    return null;
  }

  private ofPair(p: Packet): number {
    return this.counts.find(p.dst0, p.dst1, p.dst2, p.dst3, p.src0, p.src1, p.src2, p.src3, 0);
  }

  private ofRemote(p: Packet): number {
    return this.counts.find(0, 0, 0, 0, p.src0, p.src1, p.src2, p.src3, 0);
  }

  private count(c: TcpConnection, step: number): void {
    const { local: l, remote: r } = c;
    const t = this.counts;
    const pair = Math.max(0, t.find(l.w0, l.w1, l.w2, l.w3, r.w0, r.w1, r.w2, r.w3, 0)) + step;
    if (pair > 0) t.set(l.w0, l.w1, l.w2, l.w3, r.w0, r.w1, r.w2, r.w3, 0, pair);
    else t.delete(l.w0, l.w1, l.w2, l.w3, r.w0, r.w1, r.w2, r.w3, 0);
    const remote = Math.max(0, t.find(0, 0, 0, 0, r.w0, r.w1, r.w2, r.w3, 0)) + step;
    if (remote > 0) t.set(0, 0, 0, 0, r.w0, r.w1, r.w2, r.w3, 0, remote);
    else t.delete(0, 0, 0, 0, r.w0, r.w1, r.w2, r.w3, 0);
  }
}
