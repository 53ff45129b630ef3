// Connections in TIME-WAIT, in a few words each: RFC 9293 section 3.6.1.
//
// Who closes thousands of connections a second has tens of thousands of them in this state. As objects they would survive
// every young collection and be moved by it, at the cost of the work itself. So the engine forgets the connection when the
// batch is over in which it came here, and keeps what an answer needs in arrays. A segment that does come makes a
// connection of it again, for one batch (`restore`), and all rules of input.ts hold.
//
//   TcpConnection --add--> entry --10 s--> nothing
//         ^                  |
//         +----- restore ----+   a segment of the same addresses and ports
//
// Entries lie in a ring in the order in which they come, which is that in which their time is over: all have the same. An
// entry that was taken out leaves a gap until its turn. A full ring gives up its oldest.

import type { Endpoint } from '../core/address.ts';
import type { Packet } from '../core/packet.ts';
import { seqInt } from '../core/seq.ts';
import type { Timer, TimerWheel } from '../core/timer-wheel.ts';
import { TupleTable } from '../core/tuple-table.ts';
import * as tcp from '../wire/tcp.ts';
import type { TcpConnection } from './connection.ts';

// An entry: both addresses as in a TupleTable, and what the connection knew.
const PORTS = 8;
const RCV_NXT = 9;
const RCV_ADV = 10;
const SND_NXT = 11;
const TS_RECENT = 12;
/** Shifts of both windows, and what was agreed upon; a gap has 0. */
const RCV_SHIFT = 13;
const SND_SHIFT = 14;
const FLAGS = 15;
const CELLS = 16;

const PRESENT = 1;
const SACK = 2;
const TIMESTAMPS = 4;

export class TimeWaits {
  private readonly capacity: number;
  private readonly table: TupleTable;
  private readonly timer: Timer;
  /** The ring, made when first needed: entries, and ms: end of their time, TS.Recent set, latest challenge ACK. */
  private cells = new Int32Array(0);
  private until = new Float64Array(0);
  private tsRecentMs = new Float64Array(0);
  private challengedMs = new Float64Array(0);
  /** The oldest entry or gap, and how many there are of both. */
  private first = 0;
  private count = 0;

  /**
   * @param capacity  most entries
   * @param k0, k1    64 secret random bits
   */
  constructor(wheel: TimerWheel, capacity: number, k0: number, k1: number) {
    this.capacity = capacity;
    this.table = new TupleTable(k0, k1);
    this.timer = wheel.timer(() => this.expire(wheel.clock.now()));
  }

  /** Number of entries. */
  get size(): number {
    return this.table.size;
  }

  /** The entry of a received segment's connection, or -1. */
  entryOf(p: Packet): number {
    if (this.table.size === 0) return -1;
    const ports = (tcp.dstPort(p.b, p.l4) << 16) | tcp.srcPort(p.b, p.l4);
    return this.table.find(p.dst0, p.dst1, p.dst2, p.dst3, p.src0, p.src1, p.src2, p.src3, ports);
  }

  /** The entry of a connection between two endpoints, or -1. */
  entryAt(local: Endpoint, remote: Endpoint): number {
    if (this.table.size === 0) return -1;
    const { w0, w1, w2, w3 } = local;
    const ports = (local.port << 16) | remote.port;
    return this.table.find(w0, w1, w2, w3, remote.w0, remote.w1, remote.w2, remote.w3, ports);
  }

  /** SND.NXT of an entry. */
  sndNxt(entry: number): number {
    return this.cells[entry * CELLS + SND_NXT]!;
  }

  /** Keeps what an answer in the name of `c` needs. */
  add(c: TcpConnection): void {
    const { capacity } = this;
    if (capacity === 0) return;
    if (this.cells.length === 0) {
      this.cells = new Int32Array(capacity * CELLS);
      this.until = new Float64Array(capacity);
      this.tsRecentMs = new Float64Array(capacity);
      this.challengedMs = new Float64Array(capacity);
    }
    if (this.count === capacity) this.dropFirst();
    const entry = (this.first + this.count++) % capacity;
    const { cells } = this;
    const { local: l, remote: r, rcv } = c;
    const at = entry * CELLS;
    cells[at] = l.w0;
    cells[at + 1] = l.w1;
    cells[at + 2] = l.w2;
    cells[at + 3] = l.w3;
    cells[at + 4] = r.w0;
    cells[at + 5] = r.w1;
    cells[at + 6] = r.w2;
    cells[at + 7] = r.w3;
    cells[at + PORTS] = (l.port << 16) | r.port;
    cells[at + RCV_NXT] = rcv.rcvNxt;
    cells[at + RCV_ADV] = rcv.rcvAdv;
    cells[at + SND_NXT] = c.snd.sndNxt;
    cells[at + TS_RECENT] = rcv.tsRecent;
    cells[at + RCV_SHIFT] = rcv.rcvWindShift;
    cells[at + SND_SHIFT] = c.snd.sndWindShift;
    cells[at + FLAGS] = PRESENT | (rcv.sackEnabled ? SACK : 0) | (rcv.tsEnabled ? TIMESTAMPS : 0);
    this.until[entry] = c.timeWaitUntil;
    this.tsRecentMs[entry] = rcv.tsRecentMs;
    this.challengedMs[entry] = c.challengedMs;
    this.table.set(l.w0, l.w1, l.w2, l.w3, r.w0, r.w1, r.w2, r.w3, cells[at + PORTS]!, entry);
    if (!this.timer.armed) this.timer.setAt(c.timeWaitUntil);
  }

  /** Makes a new connection, whose endpoints are set, what it was when it was added, and takes the entry out. */
  restore(entry: number, c: TcpConnection): void {
    const { cells } = this;
    const at = entry * CELLS;
    const { rcv, snd } = c;
    const flags = cells[at + FLAGS]!;
    rcv.rcvWindShift = cells[at + RCV_SHIFT]!;
    rcv.sackEnabled = (flags & SACK) !== 0;
    rcv.tsEnabled = (flags & TIMESTAMPS) !== 0;
    rcv.tsRecent = cells[at + TS_RECENT]!;
    rcv.tsRecentMs = this.tsRecentMs[entry]!;
    rcv.start(seqInt(cells[at + RCV_NXT]!, -1));
    rcv.rcvAdv = cells[at + RCV_ADV]!;
    snd.sndWindShift = cells[at + SND_SHIFT]!;
    snd.start(seqInt(cells[at + SND_NXT]!, -1));
    snd.sndUna = snd.sndNxt;
    c.timeWaitUntil = this.until[entry]!;
    c.challengedMs = this.challengedMs[entry]!;
    this.remove(entry);
  }

  /** Takes an entry out. */
  remove(entry: number): void {
    const { cells } = this;
    const at = entry * CELLS;
    cells[at + FLAGS] = 0;
    this.table.delete(
      cells[at]!,
      cells[at + 1]!,
      cells[at + 2]!,
      cells[at + 3]!,
      cells[at + 4]!,
      cells[at + 5]!,
      cells[at + 6]!,
      cells[at + 7]!,
      cells[at + PORTS]!,
    );
  }

  /** Forgets all. */
  clear(): void {
    while (this.count > 0) this.dropFirst();
    this.timer.cancel();
  }

  private expire(now: number): void {
    while (this.count > 0 && (this.isGap(this.first) || this.until[this.first]! <= now)) this.dropFirst();
    if (this.count > 0) this.timer.setAt(this.until[this.first]!);
  }

  private isGap(entry: number): boolean {
    return this.cells[entry * CELLS + FLAGS] === 0;
  }

  private dropFirst(): void {
    if (!this.isGap(this.first)) this.remove(this.first);
    this.first = (this.first + 1) % this.capacity;
    this.count--;
  }
}
