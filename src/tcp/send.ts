// The send side of one connection: sequence space, the peer's window, and what leaves when (RFC 9293 section 3.8).
//
//        sndUna                sndNxt                    sndUna + sndWnd
//   -------|---- in flight ------|----- may be sent --------|----
//          |<---- buffer: unacknowledged ------- unsent ------------->| FIN
//
// Everything leaves at the end of a batch (`output`): segments marked lost first (recovery.ts), then new data as far as
// the peer's window, the congestion window and the burst limit allow. There is no Nagle algorithm: what the owner has
// written in one batch is sent, small or not, because the host's socket on the other side has done its own coalescing.
// Only bulk data on a short path waits, for room to send a burst (`gathering`, ADR 0005).
// Silly windows are avoided as RFC 9293 section 3.8.6.2.1 says: a segment that the peer's window cuts short waits until it
// is full, or at least half of the largest window seen, or the persist timer expires. A FIN may exceed the window.

import type { ByteVector } from '../core/byte-vector.ts';
import { seqDiff, seqGt, seqInt } from '../core/seq.ts';
import type { Timer } from '../core/timer-wheel.ts';
import { dataOptionsLen, FIN, HEADER_LEN, MAX_HEADER_LEN, PSH } from '../wire/tcp.ts';
import type { TcpConnection } from './connection.ts';
import { sendSegment } from './output.ts';
import { LossRecovery } from './recovery.ts';
import type { Segment } from './segment.ts';
import { SendBuffer } from './send-buffer.ts';
import { OFFLOAD_MAX, type SegmentPath, TcpState } from './types.ts';

/** Smaller segment sizes of a peer are taken as this one. */
export const MSS_FLOOR = 64;
/** What a peer that names none can take (RFC 9293 section 3.7.1). */
export const MSS_DEFAULT_IPV4 = 536;
export const MSS_DEFAULT_IPV6 = 1220;

/**
 * Segments in flight from which on new data is sent in bursts, the largest burst that is waited for, and the longest
 * round trip on which that is done: it is for the local link, where wake-ups are what costs.
 */
const GATHER_FROM = 8;
const GATHER_MAX = 64;
const GATHER_RTT_MS = 3;

/** What the pace held back is looked at again after so many ms: a tick of timers. */
const PACE_MS = 4;

/** Least room that the owner hears of on a long path, bytes. */
const LONG_PATH_PIECE = 64 << 10;

/**
 * Queue of the path, ms, up to which the send buffer may grow; from twice that on it shrinks. A buffer of two windows fills a
 * long path; on a short one all that is more than the path holds would wait in front of the guest. On a long path it may
 * be this share of the round trip.
 */
const MIN_QUEUE_MS = 2;
const QUEUE_SHARE = 0.25;
/** What it changes by in a round trip; it doubles while there is next to no queue. */
const GROW = 1.25;
const SHRINK = 0.875;

export class Sender {
  private readonly c: TcpConnection;
  private readonly buffer: SendBuffer;
  /** Bytes that it may hold at present. */
  private bufferLimit: number;
  readonly recovery: LossRecovery;
  iss = 0;
  sndUna = 0;
  sndNxt = 0;
  sndWnd = 0;
  private sndWl1 = 0;
  private sndWl2 = 0;
  private maxSndWnd = 0;
  sndWindShift = 0;
  /** MSS option of the peer. */
  peerMss = MSS_DEFAULT_IPV4;
  /** Payload of a full segment, options of a plain segment taken off. */
  smss = MSS_DEFAULT_IPV4;
  /** TCP segment that the path is known to carry from ICMP, bytes. */
  private pmtuSegment = Number.MAX_SAFE_INTEGER;
  private knownSegment = 0;
  /** Sequence of the first byte in the buffer. */
  private bufSeq = 0;
  private finQueued = false;
  private finSeq = 0;
  /** `write` took less than it was offered, and the owner has not been told of room since. */
  private wantsWritable = false;
  bytesAcked = 0;
  /** Made when the pace of a long path first held something back. */
  private paceTimer: Timer | null = null;

  constructor(c: TcpConnection) {
    this.c = c;
    this.buffer = new SendBuffer(c.engine.pool);
    this.bufferLimit = c.engine.limits.sendBuffer;
    this.recovery = new LossRecovery(c, this);
  }

  /** Takes the initial sequence number. */
  start(iss: number): void {
    this.iss = iss;
    this.sndUna = iss;
    this.sndNxt = seqInt(iss, 1);
    this.bufSeq = this.sndNxt;
    this.recovery.synSent();
  }

  /** The SYN is acknowledged: `seg` completed the handshake. */
  established(seg: Segment): void {
    this.sndUna = seqInt(this.iss, 1);
    this.setWindow(seg);
    this.resize();
    this.recovery.synAcked(this.smss);
  }

  /** Window of a segment; that of a SYN is not scaled. */
  setWindow(seg: Segment): void {
    this.sndWnd = seg.window << (seg.isSyn ? 0 : this.sndWindShift);
    this.sndWl1 = seg.seq;
    this.sndWl2 = seg.ack;
    if (this.sndWnd > this.maxSndWnd) {
      this.maxSndWnd = this.sndWnd;
      this.resize();
    }
  }

  get maxWindow(): number {
    return this.maxSndWnd;
  }

  /**
   * Segment size for the path and the peer as they are: never above a quarter of the largest window, or a receiver with
   * an unscaled window on a large-frame path stalls with one segment in flight.
   */
  private resize(): void {
    const { path, rcv } = this.c;
    const segment = Math.min(path === null ? MSS_FLOOR + HEADER_LEN : path.maxSegment, this.pmtuSegment);
    this.knownSegment = path === null ? 0 : path.maxSegment;
    const mss = Math.min(this.peerMss, segment - HEADER_LEN, Math.max(MSS_DEFAULT_IPV4, this.maxSndWnd >> 2));
    const before = this.smss;
    this.smss = Math.max(1, mss - dataOptionsLen(rcv.tsEnabled, 0));
    if (this.smss !== before && this.c.state >= TcpState.Established) {
      if (this.smss < before) this.recovery.resegment();
      else this.recovery.cc.resize(this.smss);
    }
  }

  /** ICMP said that no more than `segment` bytes of TCP pass (header included). */
  pathShrunk(segment: number): void {
    if (segment >= this.pmtuSegment) return;
    this.pmtuSegment = segment;
    this.resize();
  }

  // The owner's side

  get room(): number {
    if (this.finQueued) return 0;
    return Math.max(0, this.bufferLimit - this.buffer.length);
  }

  get held(): number {
    return this.buffer.length;
  }

  write(b: Uint8Array, off: number, len: number): number {
    const fits = Math.min(len, this.room);
    const n = fits > 0 ? this.buffer.append(b, off, fits) : 0;
    if (n < len && !this.finQueued) {
      this.wantsWritable = true;
      if (n < fits) this.c.engine.starved(this.c);
    }
    return n;
  }

  /** Lends memory of the buffer: see TcpConnection.lend. */
  lend(into: ByteVector, most: number): boolean {
    const fits = Math.min(most, this.room);
    return fits > 0 && this.buffer.lend(into, fits);
  }

  filled(len: number): void {
    this.buffer.filled(len);
  }

  wantWritable(): void {
    if (!this.finQueued) this.wantsWritable = true;
  }

  queueFin(): void {
    if (this.finQueued) return;
    this.finQueued = true;
    this.wantsWritable = false;
    this.finSeq = seqInt(this.bufSeq, this.buffer.length);
  }

  get finAcked(): boolean {
    return this.finQueued && seqGt(this.sndUna, this.finSeq);
  }

  /** Sequence behind our FIN; without one, a sequence that is never in flight. */
  get finEnd(): number {
    return this.finQueued ? seqInt(this.finSeq, 1) : this.iss;
  }

  get hasFin(): boolean {
    return this.finQueued;
  }

  /**
   * Room that is worth telling of. Half of the buffer, so that the owner is asked seldom; but on a long path most of it is
   * in flight, and waiting for that to leave would turn the stream of ACKs into bursts.
   */
  private get goodPiece(): number {
    const half = this.bufferLimit / 2;
    if (this.recovery.cc.long === null) return half;
    return Math.min(half, Math.max(LONG_PATH_PIECE, this.unsent));
  }

  /** True once, when the owner waits for room and there is a good piece of it. */
  takeWritable(): boolean {
    if (!this.wantsWritable) return false;
    const { engine } = this.c;
    if (this.room < this.goodPiece) return false;
    if (engine.pool.exhausted) {
      engine.starved(this.c);
      return false;
    }
    this.wantsWritable = false;
    return true;
  }

  // The peer's side

  /** ACK, window and SACK of an acceptable segment; its ACK does not exceed sndNxt. */
  acknowledge(seg: Segment): void {
    const acked = seqDiff(seg.ack, this.sndUna);
    if (acked < 0) return;
    const before = this.sndWnd;
    // RFC 9293 section 3.10.7.4: only a segment that is not older tells the window.
    if (seqGt(seg.seq, this.sndWl1) || (seg.seq === this.sndWl1 && !seqGt(this.sndWl2, seg.ack))) this.setWindow(seg);
    if (acked > 0) {
      const data = this.coversFin(seg.ack) ? acked - 1 : acked;
      this.sndUna = seg.ack;
      this.buffer.drop(data);
      this.bufSeq = seqInt(this.bufSeq, data);
      this.bytesAcked += data;
    }
    const { board } = this.recovery;
    // At a closed window it is the answer to a probe, which says nothing about losses.
    const same = this.sndWnd === before && before > 0;
    const duplicate = acked === 0 && seg.len === 0 && !seg.isFin && board.count > 0 && same;
    this.recovery.ackArrived(seg, acked, duplicate);
    if (before === 0 && this.sndWnd > 0 && acked === 0 && board.count > 0) this.recovery.windowOpened();
  }

  /** Lets the buffer follow the congestion window; once a round trip. */
  tuneBuffer(): void {
    const { cc } = this.recovery;
    const { sendBuffer, sendBufferMax } = this.c.engine.limits;
    const limit = this.bufferLimit;
    const allowedMs = Math.max(MIN_QUEUE_MS, QUEUE_SHARE * cc.baseRttMs);
    if (cc.queueMs > 2 * allowedMs) {
      this.bufferLimit = Math.max(Math.min(sendBuffer, limit), Math.floor(limit * SHRINK));
    } else if (cc.queueMs < allowedMs) {
      const most = limit * (16 * cc.queueMs < allowedMs ? 2 : GROW);
      this.bufferLimit = Math.max(limit, Math.floor(Math.min(2 * cc.cwnd, most, sendBufferMax)));
    }
  }

  /** True when `end`, the sequence behind a segment, is behind the FIN too. */
  coversFin(end: number): boolean {
    return this.finQueued && seqGt(end, this.finSeq);
  }

  /** True when [seq, seq + len) reaches the end of what was written. */
  isLast(seq: number, len: number): boolean {
    return seqDiff(seqInt(seq, len), this.bufSeq) === this.buffer.length;
  }

  /** Sequence space not sent yet, FIN included. */
  get unsent(): number {
    return this.buffer.length + (this.finQueued ? 1 : 0) - seqDiff(this.sndNxt, this.bufSeq);
  }

  /** Copies payload of sequence `seq` into a segment. */
  copyOut(seq: number, len: number, dst: Uint8Array, off: number): void {
    this.buffer.copyOut(seqDiff(seq, this.bufSeq), len, dst, off);
  }

  /** Sends what may be sent now. */
  output(): void {
    const { c, recovery } = this;
    if (c.state < TcpState.Established || c.path === null) return;
    if (c.path.maxSegment !== this.knownSegment) this.resize();
    recovery.cwndLimited = false;
    const { burstSegments } = c.engine.limits;
    const { long } = recovery.cc;
    if (long === null) {
      this.send(c.path, burstSegments);
      return;
    }
    const allowed = Math.max(0, Math.min(burstSegments, Math.floor(long.allowance(c.engine.now) / this.smss)));
    const left = this.send(c.path, allowed);
    long.sent((allowed - left) * this.smss);
    if (left > 0 || (this.unsent <= 0 && recovery.board.lostBytes === 0)) return;
    this.paceTimer ??= c.engine.wheel.timer(() => this.onPaceTimer());
    if (!this.paceTimer.armed) this.paceTimer.setAt(c.engine.now + PACE_MS);
  }

  private onPaceTimer(): void {
    const { c } = this;
    if (c.over) return;
    c.engine.timerBegin();
    c.engine.markDirty(c);
    c.engine.timerEnd();
  }

  /** Sends up to `budget` segments; what is left of it. */
  private send(path: SegmentPath, budget: number): number {
    const { recovery } = this;
    let left = budget;
    if (recovery.board.lostBytes > 0) left = recovery.resendLost(left);
    if (this.unsent <= 0) return left;
    recovery.checkIdle();
    if (this.gathering()) return left;
    if (path.offload === true) left -= this.sendMany(path.maxSegment, left);
    while (left > 0 && this.sendNext(false)) left--;
    return left;
  }

  /**
   * True while it is better to wait for more ACKs: bulk data on a short path is sent in bursts of half a window,
   * at most GATHER_MAX segments, and not two segments per ACK. Each burst costs every process on the way one wake-up
   * instead of many. What is in flight brings the ACKs that end the wait; the end of the data, lost segments and what
   * follows them never wait.
   */
  private gathering(): boolean {
    const { recovery } = this;
    const pipe = recovery.pipe;
    if (pipe < GATHER_FROM * this.smss || recovery.board.lostBytes > 0) return false;
    if (recovery.rtt.srttMs > GATHER_RTT_MS) return false;
    const window = Math.min(recovery.cc.cwnd, this.sndWnd);
    const sendable = window - pipe;
    if (sendable >= this.unsent || sendable >= Math.min(window / 2, GATHER_MAX * this.smss)) return false;
    recovery.cwndLimited = recovery.cc.cwnd < this.sndWnd;
    return true;
  }

  /**
   * Full segments of new data, as many as the windows let through and `budget` says, in as few pieces as the path takes:
   * it cuts each piece into segments of `maxSegment` bytes. How many segments were sent.
   */
  private sendMany(maxSegment: number, budget: number): number {
    const { c, smss, recovery } = this;
    // The path cuts by its own MTU: where the peer or a router on the way wants smaller segments, it cannot.
    if (smss !== maxSegment - HEADER_LEN - dataOptionsLen(c.rcv.tsEnabled, 0)) return 0;
    const most = Math.floor((OFFLOAD_MAX - MAX_HEADER_LEN) / smss);
    let sent = 0;
    while (sent < budget) {
      const data = this.finQueued ? this.unsent - 1 : this.unsent;
      const room = seqDiff(seqInt(this.sndUna, this.sndWnd), this.sndNxt);
      const allowed = Math.min(data, room, recovery.cc.cwnd - recovery.pipe);
      const n = Math.min(Math.floor(allowed / smss), most, budget - sent, recovery.board.room);
      if (n < 2) break;
      this.emit(smss, false, n);
      sent += n;
    }
    return sent;
  }

  /** One segment of new data beyond the congestion window (tail loss probe); false when there is none to send. */
  sendOne(): boolean {
    return this.sendNext(true);
  }

  private sendNext(ignoreCwnd: boolean): boolean {
    const { recovery } = this;
    const unsent = this.unsent;
    if (unsent <= 0 || recovery.board.full) return false;
    const data = this.finQueued ? unsent - 1 : unsent;
    let len = Math.min(data, this.smss);
    const room = seqDiff(seqInt(this.sndUna, this.sndWnd), this.sndNxt);
    if (len > room) {
      if (room <= 0 || (room < this.maxSndWnd >> 1 && room < this.smss)) return false;
      len = room;
    }
    if (!ignoreCwnd && len > 0) {
      const pipe = recovery.pipe;
      if (pipe > 0 && pipe + len > recovery.cc.cwnd) {
        recovery.cwndLimited = true;
        return false;
      }
    }
    this.emit(len, this.finQueued && len === data);
    return true;
  }

  /** The persist timer: what the window lets through, however little, or one byte beyond it (RFC 9293 3.8.6.1). */
  probe(): void {
    const data = this.finQueued ? this.unsent - 1 : this.unsent;
    const room = seqDiff(seqInt(this.sndUna, this.sndWnd), this.sndNxt);
    const len = Math.min(data, this.smss, Math.max(1, room));
    this.emit(len, this.finQueued && len === data);
  }

  /** Sends `count` segments of `len` bytes in one piece; more than one only to a path that cuts it. */
  private emit(len: number, fin: boolean, count = 1): void {
    const { c } = this;
    const seq = this.sndNxt;
    for (let i = 0; i < count; i++) {
      const from = this.sndNxt;
      this.sndNxt = seqInt(from, fin ? len + 1 : len);
      this.recovery.sentNew(from, this.sndNxt);
    }
    const all = len * count;
    sendSegment(c, (fin ? FIN : 0) | (all > 0 && this.isLast(seq, all) ? PSH : 0), seq, all);
    if (len > 0) c.rcv.dataSent(c.engine.now);
  }

  free(): void {
    this.wantsWritable = false;
    this.buffer.clear();
    this.paceTimer?.cancel();
    this.recovery.free();
  }
}
