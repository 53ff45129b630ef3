// The receive side of one connection: sequence space, window, what is acknowledged and when (RFC 9293 sections 3.8.6.2 and
// 3.8.6.3, RFC 2018, RFC 7323).
//
// In-order bytes go to the owner at once, straight from the frame; only what arrives early is kept (reassembly.ts). So the
// window does not stand for a buffer here but for what the owner says it can take: its right edge moves to
//
//     rcvNxt + min(room left, limit)                                the limit grows with use: receive-limit.ts
//
// never back, and forward only by min(MSS, half the limit) or more (silly window avoidance).
//
// When an ACK leaves. A batch of segments gets one, at the end of the batch, with every fact learned in it; that serves
// as "at least every second full segment". Only on an interactive connection is the ACK of less than two full segments
// held back, for up to 40 ms, to ride on the answer: a connection is interactive when the owner has answered data with
// data, without a time-out in between, PINGPONG times. An early segment, a gap that closes, a FIN, and anything the peer
// must be told (window open again, segment refused) is acknowledged in the batch it came with; a peer without SACK gets
// an ACK for each early segment, because it counts them (RFC 5681 section 4.2).

import { Drop } from '../core/drop.ts';
import { seqDiff, seqGe, seqGt, seqInt, seqLe, seqLt } from '../core/seq.ts';
import type { Timer } from '../core/timer-wheel.ts';
import type { TcpConnection } from './connection.ts';
import { sendAck } from './output.ts';
import { Reassembly } from './reassembly.ts';
import { ReceiveLimit } from './receive-limit.ts';
import { TcpState } from './types.ts';

const MAX_FIELD = 0xffff;
const PINGPONG = 3;
/** Windows below this many bytes are told as soon as they open. */
const NEARLY_SHUT = 32_768;
/** A timestamp this old says nothing any more (RFC 7323 section 5.5). */
const TS_RECENT_MAX_AGE_MS = 24 * 86_400_000;

/** Ticks of the peer's timestamp clock by which reordering may make a segment late. */
const REORDER_TICKS = 100;

/** Scratch for the SACK blocks of the segment being built; nothing is built while another is. */
export const sackLeft = new Uint32Array(4);
export const sackRight = new Uint32Array(4);

export class Receiver {
  private readonly c: TcpConnection;
  readonly limit: ReceiveLimit;
  irs = 0;
  rcvNxt = 0;
  /** Right edge of the window as the peer knows it. */
  rcvAdv = 0;
  rcvWindShift = 0;
  /** MSS that we told the peer; a segment of that size is "full". */
  mss = 536;
  /** rcvNxt as the last segment told the peer (Last.ACK.sent). */
  lastAck = 0;
  /** Right edge that there was room for; `rcvAdv` exceeds it by what rounding to the scale added. */
  private granted = 0;
  /** What the owner can take ends here, if it said so. */
  private roomEdge = 0;
  private roomGiven = false;
  /** The owner had little waiting when it last said so: a larger window would be of use. */
  private keepingUp = true;

  sackEnabled = false;
  tsEnabled = false;
  /** TS.Recent and when it was set, ms. */
  tsRecent = 0;
  tsRecentMs = 0;

  /** The peer's FIN: seen, and the sequence it has. */
  finSeen = false;
  finSeq = 0;

  bytesReceived = 0;

  /** An ACK must leave in this batch. */
  ackNow = false;
  private pingpong = 0;
  /** Data came in that the owner has not answered with data yet, and when, ms. */
  private unanswered = false;
  private dataMs = 0;
  /** Delayed ACK; made when first needed. */
  private ackTimer: Timer | null = null;

  private early: Reassembly | null = null;
  /** Duplicate that the next ACK reports, RFC 2883; empty when both are equal. */
  private dupLeft = 0;
  private dupRight = 0;

  constructor(c: TcpConnection) {
    this.c = c;
    this.limit = new ReceiveLimit(c.engine.limits, c.engine.windows);
  }

  /** The peer's SYN has sequence `irs`. */
  start(irs: number): void {
    const room = seqDiff(this.roomEdge, this.rcvNxt);
    this.irs = irs;
    this.rcvNxt = seqInt(irs, 1);
    this.lastAck = this.rcvNxt;
    this.roomEdge = seqInt(this.rcvNxt, room);
    this.rcvAdv = seqInt(this.rcvNxt, Math.min(MAX_FIELD, this.room()));
    this.granted = this.rcvAdv;
  }

  /** Receive window: what is accepted from rcvNxt on, bytes. */
  get rcvWnd(): number {
    return seqDiff(this.rcvAdv, this.rcvNxt);
  }

  /** Largest window: the limit, or what the field can express. */
  private get largest(): number {
    return Math.min(this.limit.bytes, MAX_FIELD << this.rcvWindShift);
  }

  /** Bytes that the owner can take, up to the limit. */
  private room(): number {
    if (!this.roomGiven) return this.largest;
    return Math.min(this.largest, Math.max(0, seqDiff(this.roomEdge, this.rcvNxt)));
  }

  setRoom(bytes: number): void {
    this.roomGiven = bytes !== Number.POSITIVE_INFINITY;
    this.keepingUp = bytes * 4 >= this.limit.bytes * 3;
    if (this.roomGiven) {
      this.roomEdge = seqInt(this.rcvNxt, Math.max(0, Math.min(Math.floor(bytes), this.limit.bytes)));
    }
  }

  /** Smallest step of the right edge (RFC 9293 section 3.8.6.2.2). */
  private get step(): number {
    return Math.min(this.mss, this.largest >> 1);
  }

  /** Window field of a segment that leaves now; moves the right edge. SYN segments are not scaled. */
  windowField(syn: boolean): number {
    const shift = syn ? 0 : this.rcvWindShift;
    const room = this.room();
    const wnd = this.rcvWnd;
    let field: number;
    if (room - wnd >= this.step) {
      this.granted = seqInt(this.rcvNxt, Math.min(room, MAX_FIELD << shift));
      field = room >>> shift;
    } else {
      // The edge stays where it is. What the scale cannot express is rounded up, as long as the edge stays within one
      // segment of what was granted (a peer that sends byte by byte would push it on for ever).
      field = (wnd + (1 << shift) - 1) >>> shift;
      if (seqDiff(seqInt(this.rcvNxt, field << shift), this.granted) > this.mss) field = wnd >>> shift;
    }
    if (field > MAX_FIELD) field = MAX_FIELD;
    const edge = seqInt(this.rcvNxt, field << shift);
    if (seqGt(edge, this.rcvAdv)) this.rcvAdv = edge;
    return field;
  }

  /**
   * True when the peer must hear without being asked that the window has opened: what it knows of is nearly used up, so it
   * may have stopped. A larger window is told by the ACKs of the data that still fits it.
   */
  private get updateDue(): boolean {
    const wnd = this.rcvWnd;
    if (wnd >= Math.max(4 * this.mss, Math.min(this.largest >> 3, NEARLY_SHUT)) || this.finSeen) return false;
    return this.c.state >= TcpState.Established && this.room() - wnd >= this.step;
  }

  /** Any segment left that carries our ACK. */
  ackSent(): void {
    this.ackNow = false;
    this.lastAck = this.rcvNxt;
    this.dupLeft = this.dupRight = 0;
    this.ackTimer?.cancel();
  }

  /** A segment with data left: the owner answers. */
  dataSent(nowMs: number): void {
    if (!this.unanswered) return;
    this.unanswered = false;
    if (nowMs - this.dataMs > this.c.engine.limits.delayedAckMs) this.pingpong = 0;
    else if (this.pingpong < PINGPONG) this.pingpong++;
  }

  /** End of a batch, after data had its chance to carry the ACK. */
  flush(): void {
    if (this.ackNow) {
      sendAck(this.c);
      return;
    }
    const unacked = seqDiff(this.rcvNxt, this.lastAck);
    if (unacked === 0) {
      if (this.updateDue) sendAck(this.c);
      return;
    }
    const holdMs = this.c.engine.limits.delayedAckMs;
    if (this.pingpong < PINGPONG || holdMs === 0 || this.updateDue) {
      sendAck(this.c);
    } else if (unacked >= 2 * this.mss) {
      this.pingpong = 0; // bulk after all
      sendAck(this.c);
    } else {
      this.ackTimer ??= this.c.engine.wheel.timer(() => this.onAckTimer());
      if (!this.ackTimer.armed) this.ackTimer.setAt(this.c.engine.now + holdMs);
    }
  }

  private onAckTimer(): void {
    if (this.c.over) return;
    this.pingpong = 0;
    this.c.engine.timerBegin();
    sendAck(this.c);
    this.c.engine.timerEnd();
  }

  /**
   * RFC 7323 section 5: true when the segment's timestamp is older than the latest in-order one. A few ticks older is
   * what reordering does around a retransmission, and no sequence number comes again so soon: such a segment is taken.
   */
  tooOld(tsVal: number, nowMs: number): boolean {
    return seqLt(tsVal, seqInt(this.tsRecent, -REORDER_TICKS)) && nowMs - this.tsRecentMs <= TS_RECENT_MAX_AGE_MS;
  }

  /** RFC 7323 section 4.3: remembers the timestamp to echo. The segment is acceptable. */
  noteTimestamp(tsVal: number, segSeq: number, nowMs: number): void {
    if (seqLe(segSeq, this.lastAck)) {
      this.tsRecent = tsVal;
      this.tsRecentMs = nowMs;
    }
  }

  /** A segment with data echoes this timestamp of ours. */
  noteEcho(tsEcr: number): void {
    if (tsEcr !== 0) this.limit.roundTrip(seqDiff(this.c.timestamp(), tsEcr));
  }

  /** RFC 9293 section 3.10.7.4, first step: is some of the segment inside the window? `len` counts SYN and FIN. */
  acceptable(seq: number, len: number): boolean {
    const wnd = this.rcvWnd;
    const from = seqDiff(seq, this.rcvNxt);
    if (len === 0) return wnd === 0 ? from === 0 : from >= 0 && from < wnd;
    if (wnd === 0) return false;
    const last = (from + len - 1) | 0;
    return (from >= 0 && from < wnd) || (last >= 0 && last < wnd);
  }

  /**
   * Payload, and FIN, of an acceptable segment in a state that receives. Calls the owner, which may end the connection.
   */
  segment(b: Uint8Array, offset: number, length: number, sequence: number, hasFin: boolean): void {
    let off = offset;
    let len = length;
    let seq = sequence;
    let fin = hasFin;
    const old = seqDiff(this.rcvNxt, seq);
    if (old > 0) {
      // Heard before, in part or in full.
      this.duplicate(seq, seqInt(seq, Math.min(old, len)));
      off += old;
      len -= old;
      seq = this.rcvNxt;
      if (len < 0) return;
    }
    const over = seqDiff(seqInt(seq, len), this.rcvAdv);
    if (over > 0) {
      len -= over;
      fin = false;
      this.ackNow = true;
    }
    if (fin && !this.finSeen) {
      this.finSeen = true;
      this.finSeq = seqInt(seq, len);
    }
    if (this.finSeen) {
      const behind = seqDiff(seqInt(seq, len), this.finSeq);
      if (behind > 0) {
        this.c.engine.drops[Drop.TcpAfterClose]!++;
        len -= behind;
      }
    }
    if (len > 0) {
      if (seq === this.rcvNxt) this.inOrder(b, off, len);
      else this.keep(b, off, len, seq);
    } else if (seq !== this.rcvNxt) {
      this.ackNow = true;
    }
    if (this.finSeen && this.rcvNxt === this.finSeq && !this.c.over) {
      this.rcvNxt = seqInt(this.rcvNxt, 1);
      if (seqLt(this.rcvAdv, this.rcvNxt)) this.rcvAdv = this.rcvNxt;
      this.ackNow = true;
      this.c.finReceived();
    }
  }

  /** Bytes that begin at rcvNxt, inside the window. */
  inOrder(b: Uint8Array, off: number, len: number): void {
    const c = this.c;
    this.unanswered = true;
    this.dataMs = c.engine.now;
    this.deliver(b, off, len);
    if (c.over) return;
    const early = this.early;
    if (early === null) {
      if (this.keepingUp) this.limit.delivered(this.bytesReceived, c.engine.now);
      return;
    }
    this.ackNow = true;
    for (;;) {
      const n = early.readable(this.rcvNxt);
      if (n === 0) break;
      this.deliver(early.bytesAt(this.rcvNxt), early.offsetAt(this.rcvNxt), n);
      if (c.over) return;
    }
    if (this.keepingUp) this.limit.delivered(this.bytesReceived, c.engine.now);
    early.drop(this.rcvNxt);
    if (early.empty) this.early = null;
  }

  private deliver(b: Uint8Array, off: number, len: number): void {
    this.rcvNxt = seqInt(this.rcvNxt, len);
    this.bytesReceived += len;
    this.c.touched = true;
    this.c.user?.data(b, off, len);
  }

  private keep(b: Uint8Array, off: number, len: number, seq: number): void {
    const { engine } = this.c;
    this.ackNow = true;
    this.early ??= new Reassembly(engine.pool, this.rcvNxt);
    const end = seqInt(seq, len);
    const covered = this.early.coveredTo(seq);
    if (seqGe(covered, end)) {
      this.duplicate(seq, end);
      this.early.remember(seq); // the range around it is the next block, RFC 2883 section 4.2
    } else if (!this.early.insert(b, off, len, seq)) {
      engine.drops[Drop.TcpReassemblyFull]!++;
      if (this.early.empty) this.early = null;
    }
    if (this.keepingUp) this.limit.early(seqDiff(end, this.rcvNxt));
    if (!this.sackEnabled) sendAck(this.c);
  }

  /** A segment was refused: the next ACK tells what of it had come before, and of nothing else. */
  oldSegment(seq: number, end: number): void {
    if (seqLe(end, this.rcvNxt)) this.duplicate(seq, end);
    else this.ackNow = true;
  }

  /** [left, right) came again: the next ACK says so. */
  private duplicate(left: number, right: number): void {
    this.ackNow = true;
    if (right === left) return;
    this.dupLeft = left;
    this.dupRight = right;
  }

  /** SACK blocks for the segment being built, in the scratch arrays; gives their number. */
  sackBlocks(): number {
    if (!this.sackEnabled || (this.early === null && this.dupLeft === this.dupRight)) return 0;
    const max = this.tsEnabled ? 3 : 4;
    let n = 0;
    if (this.dupLeft !== this.dupRight) {
      sackLeft[0] = this.dupLeft;
      sackRight[0] = this.dupRight;
      n = 1;
    }
    if (this.early === null) return n;
    const end = this.early.blocks(sackLeft, sackRight, n, max);
    if (this.finSeen) {
      // A FIN has its place in the sequence too.
      const finSeq = this.finSeq >>> 0;
      for (let i = n; i < end; i++) if (sackRight[i] === finSeq) sackRight[i] = finSeq + 1;
    }
    return end;
  }

  /** True when nothing waits for an earlier segment: the fast path may be taken. */
  get inSequence(): boolean {
    return this.early === null && !this.finSeen;
  }

  /** Gives back all memory. */
  free(): void {
    this.early?.clear();
    this.early = null;
    this.ackTimer?.cancel();
    this.limit.free();
  }
}
