// The TCP engine of one host: finds the connection of a segment, opens and forgets connections, keeps the limits.
//
// It stands between an IP layer (`input`, SegmentPath) and owners of connections (`onIncoming`, TcpUser) and knows neither
// what the addresses stand for nor what becomes of the bytes: for a router the local endpoints are servers elsewhere, for
// an in-process host its own address.
//
// Batches. Segments of one wake-up go in by `input`; what they call for (ACKs, data that a window now admits, the owner's
// `flush`) is collected per connection and leaves in `flush`, at most one ACK per connection. Owners that act on events of
// their own (host data to write, room again) call `flush` when they are done. Segments that timers send leave in a batch
// of their own, and `onTimerFlush` tells that one is over.
//
// Time is read once per batch.
//
// Half-open connections are bounded, and SYNs beyond the bounds wait (half-open.ts): they are taken up in `flush`.
// TIME-WAIT has a bound of its own and is outside of all others. Owners are told of the end when TIME-WAIT begins; the
// connection is over at the end of that batch, and what is left of it is in time-wait.ts.

import type { Endpoint } from '../core/address.ts';
import { BytePool } from '../core/byte-pool.ts';
import { Drop, type DropCounters } from '../core/drop.ts';
import type { Packet } from '../core/packet.ts';
import { seqGt, seqInt, seqLt } from '../core/seq.ts';
import type { TimerWheel } from '../core/timer-wheel.ts';
import { TupleTable } from '../core/tuple-table.ts';
import * as tcp from '../wire/tcp.ts';
import { ChallengeLimit } from './challenge-limit.ts';
import { TcpConnection } from './connection.ts';
import { HalfOpen } from './half-open.ts';
import { answerArrives, reopens, segmentArrives } from './input.ts';
import { IsnGenerator } from './isn.ts';
import { WindowBudget } from './receive-limit.ts';
import { RingPool } from './scoreboard.ts';
import { pseudoSum, Segment } from './segment.ts';
import { TimeWaits } from './time-wait.ts';
import { DEFAULT_LIMITS, type IcmpVerdict, type SegmentPath, type TcpLimits, TcpState, type TcpUser } from './types.ts';

// Least path MTU believed, less the IP header (RFC 1191 section 3 and common practice; RFC 8200 section 5).
const PMTU_FLOOR_IPV4 = 552 - 20;
const PMTU_FLOOR_IPV6 = 1280 - 40;
/** Distance of a new connection's sequence numbers from those of the TIME-WAIT one it replaces. */
const REUSE_GAP = 1 << 17;

export interface TcpEngineOptions {
  wheel: TimerWheel;
  /** Counters that the engine adds to. */
  drops: DropCounters;
  /** At least 32 random bytes are best, 16 are needed: for initial sequence numbers and hash tables (RFC 6528). */
  secret: Uint8Array;
  /** Way back to the sender of `p`, for the RST that a segment without connection gets; null: say nothing. */
  replyPath: (p: Packet) => SegmentPath | null;
  limits?: Partial<TcpLimits>;
}

export class TcpEngine {
  readonly limits: Readonly<TcpLimits>;
  /** A valid SYN for an unknown 4-tuple: accept(), refuse() or discard() now or later. Null: all are refused. */
  onIncoming: ((c: TcpConnection, p: Packet) => void) | null = null;
  /** Called after timers have sent segments: hand on what the paths have collected. */
  onTimerFlush: (() => void) | null = null;

  readonly wheel: TimerWheel;
  readonly drops: DropCounters;
  readonly pool: BytePool;
  readonly rings = new RingPool();
  readonly windows: WindowBudget;
  /** Time of the present batch: ms, and us modulo 2^32. */
  now = 0;
  nowUs = 0;
  private inBatch = false;

  private readonly replyPath: (p: Packet) => SegmentPath | null;
  private readonly isn: IsnGenerator;
  private readonly table: TupleTable;
  private readonly slots: (TcpConnection | null)[] = [];
  private readonly freeSlots: number[] = [];
  /** Connection of the latest segment: bulk transfer finds it again without a look-up. */
  private latest: TcpConnection | null = null;
  private readonly seg = new Segment();

  private open = 0;
  private readonly halfOpens: HalfOpen;
  private readonly timeWaits: TimeWaits;

  /** Connections to be flushed, `dirtyCount` of them: the array is never cut, for it would have to grow again. */
  private readonly dirty: (TcpConnection | null)[] = [];
  private dirtyCount = 0;
  private readonly memoryWaiters: TcpConnection[] = [];
  private readonly challenges: ChallengeLimit;

  constructor(options: TcpEngineOptions) {
    if (options.secret.length < 16)
      throw new RangeError(`TCP secret: ${options.secret.length} bytes, at least 16 needed`);
    this.limits = Object.freeze({ ...DEFAULT_LIMITS, ...options.limits });
    this.wheel = options.wheel;
    this.drops = options.drops;
    this.replyPath = options.replyPath;
    this.pool = new BytePool(this.limits.memory);
    this.windows = new WindowBudget(this.limits.windowGrowth);
    const secret = options.secret;
    const word = (i: number): number => {
      let v = 0;
      for (let k = 0; k < 4; k++) v = (v << 8) | secret[(i * 4 + k) % secret.length]!;
      return v;
    };
    this.isn = new IsnGenerator(Int32Array.of(word(0), word(1), word(2), word(3)));
    this.challenges = new ChallengeLimit(this.limits.challengeAcksPerSec, (second) => this.isn.mix(second));
    this.table = new TupleTable(word(4) ^ 0x7463, word(5) ^ 0x7031);
    this.halfOpens = new HalfOpen(this.limits, this.drops, word(6) ^ 0x6861, word(7) ^ 0x6c66);
    this.timeWaits = new TimeWaits(this.wheel, this.limits.maxTimeWait, word(4) ^ 0x7469, word(5) ^ 0x7761);
    this.readClock();
  }

  // Counts and management

  /** Connections in all states but TIME-WAIT. */
  get count(): number {
    return this.open;
  }

  /** Connections in SYN-RECEIVED that the peer opened, deferred ones included. */
  get halfOpen(): number {
    return this.halfOpens.size;
  }

  /** SYNs that wait for a place among those. */
  get waitingSyns(): number {
    return this.halfOpens.waiting;
  }

  get timeWait(): number {
    return this.timeWaits.size;
  }

  /** Bytes of send and reassembly buffers in use. */
  get memoryUsed(): number {
    return this.pool.used;
  }

  /** All connections but those in TIME-WAIT, for management. Do not open or end any while walking. */
  *connections(): IterableIterator<TcpConnection> {
    for (const c of this.slots) if (c !== null) yield c;
  }

  /** True when there is no connection between two endpoints, in TIME-WAIT neither. */
  isFree(local: Endpoint, remote: Endpoint): boolean {
    return this.find(local, remote) === null && !this.isTimeWait(local, remote);
  }

  /** True when a connection between two endpoints is in TIME-WAIT. */
  isTimeWait(local: Endpoint, remote: Endpoint): boolean {
    return this.timeWaits.entryAt(local, remote) >= 0;
  }

  /** The connection between two endpoints; null when there is none, or it is in TIME-WAIT. */
  find(local: Endpoint, remote: Endpoint): TcpConnection | null {
    const i = this.table.find(
      local.w0,
      local.w1,
      local.w2,
      local.w3,
      remote.w0,
      remote.w1,
      remote.w2,
      remote.w3,
      (local.port << 16) | remote.port,
    );
    return i < 0 ? null : this.slots[i]!;
  }

  // Segments in

  /** One segment: `p.l4` to `p.end`. Checked here, checksum included; `p` is on loan until the call returns. */
  input(p: Packet): void {
    const { b, l4, end } = p;
    const why = tcp.check(b, l4, end);
    if (why !== Drop.None) {
      this.drops[why]!++;
      return;
    }
    if (!p.trusted && !tcp.checksumOk(b, l4, end, pseudoSum(p))) {
      this.drops[Drop.TcpBadChecksum]!++;
      return;
    }
    if (!this.inBatch) {
      this.inBatch = true;
      this.readClock();
    }
    const { seg } = this;
    seg.parse(b, l4, end);
    const c = this.lookUp(p, tcp.dstPort(b, l4), tcp.srcPort(b, l4)) ?? this.timeWaitAgain(p);
    if (c === null) {
      this.withoutConnection(p);
      return;
    }
    this.latest = c;
    this.markDirty(c);
    if (c.state === TcpState.SynSent) answerArrives(c, seg);
    else if (c.deferred) this.whileDeferred(c, p);
    else if (c.state === TcpState.TimeWait && reopens(c, seg)) this.reopen(c, p);
    else segmentArrives(c, seg);
  }

  private lookUp(p: Packet, localPort: number, remotePort: number): TcpConnection | null {
    const c = this.latest;
    if (
      c !== null &&
      c.remote.port === remotePort &&
      c.local.port === localPort &&
      c.remote.w3 === p.src3 &&
      c.local.w3 === p.dst3 &&
      c.remote.w2 === p.src2 &&
      c.local.w2 === p.dst2 &&
      c.remote.w1 === p.src1 &&
      c.local.w1 === p.dst1 &&
      c.remote.w0 === p.src0 &&
      c.local.w0 === p.dst0
    ) {
      return c;
    }
    const ports = (localPort << 16) | remotePort;
    const i = this.table.find(p.dst0, p.dst1, p.dst2, p.dst3, p.src0, p.src1, p.src2, p.src3, ports);
    return i < 0 ? null : this.slots[i]!;
  }

  /** The connection in TIME-WAIT that a segment is for, for this batch; null when there is none. */
  private timeWaitAgain(p: Packet): TcpConnection | null {
    const entry = this.timeWaits.entryOf(p);
    if (entry < 0) return null;
    const c = this.newConnection(p);
    c.path = this.replyPath(p);
    this.timeWaits.restore(entry, c);
    c.snd.setWindow(this.seg); // an ACK that is that much older is no forged one
    c.timeWaitAgain();
    this.add(c);
    this.open--;
    return c;
  }

  /** A connection of the peer's for its segment. */
  private newConnection(p: Packet): TcpConnection {
    const c = new TcpConnection(this, false);
    c.local.set(p.dst0, p.dst1, p.dst2, p.dst3, tcp.dstPort(p.b, p.l4));
    c.remote.set(p.src0, p.src1, p.src2, p.src3, tcp.srcPort(p.b, p.l4));
    return c;
  }

  private withoutConnection(p: Packet): void {
    const { seg } = this;
    if ((seg.flags & (tcp.SYN | tcp.ACK | tcp.RST | tcp.FIN)) !== tcp.SYN || this.onIncoming === null) {
      this.drops[Drop.TcpNoConnection]!++;
      if (seg.isRst) this.halfOpens.reset(p);
      else this.answerReset(p);
      return;
    }
    this.incoming(p, 0);
  }

  /** A SYN: `minIss` other than 0 is the least initial sequence number of ours (4-tuple used again). */
  private incoming(p: Packet, minIss: number): void {
    const { limits, seg } = this;
    if (this.open >= limits.maxConnections) {
      this.drops[Drop.TcpTableFull]!++;
      return;
    }
    if (!this.halfOpens.admit(p, minIss, this.now)) return;
    const c = this.newConnection(p);
    c.minIss = minIss;
    this.add(c);
    this.halfOpens.enter(c);
    c.defer(seg);
    this.latest = c;
    this.onIncoming!(c, p);
  }

  /** A segment while the owner has not decided on the SYN. */
  private whileDeferred(c: TcpConnection, p: Packet): void {
    const { seg } = this;
    if (seg.isRst) {
      if (seg.seq === c.rcv.rcvNxt) c.fail('reset', false);
      else this.drops[Drop.TcpBadReset]!++;
      return;
    }
    if (seg.hasAck) {
      // We have sent nothing that it could acknowledge.
      this.drops[Drop.TcpBadAck]!++;
      this.answerReset(p);
      return;
    }
    if (!seg.isSyn || seg.seq === c.rcv.irs) return;
    c.fail('reset', false);
    if (this.onIncoming !== null) this.incoming(p, 0);
  }

  private reopen(c: TcpConnection, p: Packet): void {
    const minIss = seqInt(c.snd.sndNxt, REUSE_GAP);
    c.discard();
    if (this.onIncoming === null) this.answerReset(p);
    else this.incoming(p, minIss === 0 ? 1 : minIss);
  }

  /** RFC 9293 section 3.5.2, group 1: the RST for a segment that belongs to nothing. Never an answer to a RST. */
  private answerReset(p: Packet): void {
    const { seg } = this;
    if (seg.isRst || p.l2Group) return;
    const path = this.replyPath(p);
    if (path === null) return;
    const off = path.reserve(tcp.HEADER_LEN);
    const b = path.bytes;
    const local = tcp.dstPort(p.b, p.l4);
    const remote = tcp.srcPort(p.b, p.l4);
    if (seg.hasAck) tcp.writeHeader(b, off, local, remote, seg.ack, 0, tcp.HEADER_LEN, tcp.RST, 0);
    else {
      const ack = seqInt(seg.seq, seg.span);
      tcp.writeHeader(b, off, local, remote, 0, ack, tcp.HEADER_LEN, tcp.RST | tcp.ACK, 0);
    }
    tcp.writeChecksum(b, off, tcp.HEADER_LEN, path.pseudoSum);
    path.commit(off, tcp.HEADER_LEN);
  }

  /**
   * An ICMP error that quotes a segment of ours. `quoted` describes the quoted packet: source = our side, destination =
   * the peer, at least 8 bytes of TCP header at `l4`. `mtu`: next hop's MTU less the IP header, for 'too-big' (0: not told).
   * Believed only when the quoted sequence is in flight (RFC 5927 section 4.1).
   */
  icmpError(quoted: Packet, verdict: IcmpVerdict, mtu: number): void {
    const { b, l4 } = quoted;
    if (quoted.end - l4 < 8) return;
    const ports = (tcp.srcPort(b, l4) << 16) | tcp.dstPort(b, l4);
    const q = quoted;
    const i = this.table.find(q.src0, q.src1, q.src2, q.src3, q.dst0, q.dst1, q.dst2, q.dst3, ports);
    const c = i < 0 ? null : this.slots[i]!;
    if (c === null || c.deferred || c.state === TcpState.TimeWait) return;
    const seq = tcp.seq(b, l4) | 0;
    if (seqLt(seq, c.snd.sndUna) || !seqLt(seq, c.snd.sndNxt)) return;
    this.readClock();
    if (verdict === 'too-big') {
      const floor = quoted.isIpv4 ? PMTU_FLOOR_IPV4 : PMTU_FLOOR_IPV6;
      if (mtu > 0) c.snd.pathShrunk(Math.max(mtu, floor));
      this.markDirty(c);
    } else if (c.state === TcpState.SynSent) {
      // Nothing is lost yet: RFC 5461 section 4.1. Errors for open connections pass, RFC 5927 section 5.
      c.fail('refused', false);
    }
  }

  // Owners

  /**
   * Active open: the SYN leaves at once. Null when the table is full.
   * Throws RangeError when the 4-tuple is in use (a connection in TIME-WAIT makes room).
   */
  connect(local: Endpoint, remote: Endpoint, path: SegmentPath, user: TcpUser): TcpConnection | null {
    if (this.find(local, remote) !== null) throw new RangeError(`TCP connection exists: ${local} ${remote}`);
    if (this.open >= this.limits.maxConnections) return null;
    this.readClock();
    const c = new TcpConnection(this, true);
    const old = this.timeWaits.entryAt(local, remote);
    if (old >= 0) {
      c.minIss = seqInt(this.timeWaits.sndNxt(old), REUSE_GAP);
      this.timeWaits.remove(old);
    }
    c.local.copy(local);
    c.remote.copy(remote);
    c.path = path;
    c.user = user;
    this.add(c);
    c.open();
    return c;
  }

  /** End of a wake-up, on the guest's side or the host's: users are flushed, then data and ACKs leave. */
  flush(): void {
    if (!this.inBatch) this.readClock();
    const { dirty } = this;
    do {
      this.takeUpWaiting();
      // The list may grow while it is walked: a user's flush writes to other connections.
      for (let i = 0; i < this.dirtyCount; i++) {
        const c = dirty[i]!;
        if (c === null) continue; // an earlier walk ended in the middle, by an exception
        dirty[i] = null;
        c.dirty = false;
        if (!c.over) c.flush();
        if (c.state === TcpState.TimeWait) {
          this.timeWaits.add(c);
          c.discard();
        }
      }
      this.dirtyCount = 0;
    } while (this.halfOpens.due);
    if (this.memoryWaiters.length > 0) this.feedWaiters();
    this.inBatch = false;
  }

  /** SYNs for which there is a place now. */
  private takeUpWaiting(): void {
    for (let syn = this.halfOpens.next(this.now); syn !== null; syn = this.halfOpens.next(this.now)) {
      const { packet, minIss } = syn;
      this.seg.parse(packet.b, packet.l4, packet.end);
      this.incoming(packet, minIss);
    }
  }

  /** Memory has come back: those who were refused some may try again. */
  private feedWaiters(): void {
    const waiters = this.memoryWaiters.splice(0);
    for (const c of waiters) {
      c.waitsForMemory = false;
      if (c.over) continue;
      if (this.pool.exhausted) this.starved(c);
      else c.flush();
    }
  }

  /** RST to all peers; every user hears `ended('aborted')`. */
  closeAll(): void {
    this.halfOpens.clear();
    this.timeWaits.clear();
    for (const c of this.slots) {
      if (c === null) continue;
      if (c.state === TcpState.TimeWait) c.discard();
      else c.reset();
    }
  }

  // For connections

  readClock(): void {
    const t = this.wheel.clock.now();
    this.now = t;
    this.nowUs = Math.floor(t * 1000) | 0;
  }

  timerBegin(): void {
    this.readClock();
  }

  timerEnd(): void {
    this.flush();
    this.onTimerFlush?.();
  }

  markDirty(c: TcpConnection): void {
    if (c.dirty) return;
    c.dirty = true;
    this.dirty[this.dirtyCount++] = c;
  }

  /** `c` was refused memory for its send buffer. */
  starved(c: TcpConnection): void {
    if (c.waitsForMemory) return;
    c.waitsForMemory = true;
    this.memoryWaiters.push(c);
  }

  isnFor(c: TcpConnection): number {
    const iss = this.isn.next(c.local, c.remote, this.now);
    return c.minIss !== 0 && !seqGt(iss, c.minIss) ? c.minIss : iss;
  }

  timestampOffset(c: TcpConnection): number {
    return this.isn.timestampOffset(c.local, c.remote);
  }

  /** True, and counted, when the engine may send a challenge ACK now. */
  mayChallenge(): boolean {
    return this.challenges.allows(this.now);
  }

  private add(c: TcpConnection): void {
    const i = this.freeSlots.pop() ?? this.slots.length;
    this.slots[i] = c;
    c.slot = i;
    this.open++;
    const { local: l, remote: r } = c;
    this.table.set(l.w0, l.w1, l.w2, l.w3, r.w0, r.w1, r.w2, r.w3, (l.port << 16) | r.port, i);
  }

  /** Takes a connection out of all tables. */
  remove(c: TcpConnection): void {
    const { local: l, remote: r } = c;
    this.table.delete(l.w0, l.w1, l.w2, l.w3, r.w0, r.w1, r.w2, r.w3, (l.port << 16) | r.port);
    this.slots[c.slot] = null;
    this.freeSlots.push(c.slot);
    c.slot = -1;
    if (this.latest === c) this.latest = null;
    if (c.state === TcpState.TimeWait) return;
    this.open--;
    this.leaveHalfOpen(c);
  }

  leaveHalfOpen(c: TcpConnection): void {
    this.halfOpens.leave(c);
  }

  /** A connection has entered TIME-WAIT, within a batch. */
  enterTimeWait(): void {
    this.open--;
  }
}
