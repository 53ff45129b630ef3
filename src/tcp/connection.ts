// One TCP connection: its state, its life from open to end, and what its owner can do with it (RFC 9293 section 3.9.1).
//
//                     SYN                      accept()                      ACK
//   onIncoming <------------ (deferred) ----------------> SYN-RECEIVED ---------------+
//                                 | refuse(), discard()        ^ SYN                  v
//   connect() ----------------------------------------> SYN-SENT ---- SYN,ACK --> ESTABLISHED
//
//   ESTABLISHED -- end() --> FIN-WAIT-1 --> FIN-WAIT-2 / CLOSING --> TIME-WAIT       (we close first, or both at once)
//   ESTABLISHED -- FIN --> CLOSE-WAIT -- end() --> LAST-ACK --> CLOSED                (the peer closes first)
//
// What segments do is in input.ts, what is sent and when in send.ts and recovery.ts, what is received in receive.ts, how a
// segment is written in output.ts. Fields without `private` that have no place in the public API are for these files.
//
// One timer, `life`, bounds every state: deferred opens, handshakes, TIME-WAIT, and keepalive probes of connections that
// have been silent for long (after a shorter time when one direction is closed, so that a vanished peer does not leave a
// half-closed connection behind for ever).

import { Endpoint } from '../core/address.ts';
import type { ByteVector } from '../core/byte-vector.ts';
import { seqInt } from '../core/seq.ts';
import type { Timer } from '../core/timer-wheel.ts';
import type { ConnectionList } from './connection-list.ts';
import type { TcpEngine } from './engine.ts';
import { sendReset, sendSegment, sendSyn } from './output.ts';
import { Receiver } from './receive.ts';
import type { Segment } from './segment.ts';
import { MSS_DEFAULT_IPV4, MSS_DEFAULT_IPV6, MSS_FLOOR, Sender } from './send.ts';
import { type SegmentPath, stateName, type TcpEnd, type TcpSnapshot, TcpState, type TcpUser } from './types.ts';

const TCP_HEADER_LEN = 20;
const CHALLENGE_SPACING_MS = 500;
const UNSCALED_WINDOW = 0xffff;
const MAX_SCALE = 14; // RFC 7323 section 2.3

/** Shift that lets the window field express `bytes`. */
function scaleFor(bytes: number): number {
  let shift = 0;
  while (shift < MAX_SCALE && UNSCALED_WINDOW << shift < bytes) shift++;
  return shift;
}

export class TcpConnection {
  /** Our side: the address and port the peer speaks to (for a router, the translated server). */
  readonly local: Endpoint = new Endpoint();
  /** The peer. */
  readonly remote: Endpoint = new Endpoint();
  state: TcpState = TcpState.Closed;
  /** Hears what happens; null while deferred (may be set early to hear `ended`) and after the end. */
  user: TcpUser | null = null;
  /** Way to the peer. Null until the owner of a deferred connection gives one; may be replaced at any time. */
  path: SegmentPath | null = null;

  readonly engine: TcpEngine;
  readonly snd: Sender;
  readonly rcv: Receiver;
  /** Opened by connect(). */
  readonly active: boolean;
  /** Place among the engine's connections; membership in its list of half-open ones. */
  slot = -1;
  list: ConnectionList | null = null;
  listPrev: TcpConnection | null = null;
  listNext: TcpConnection | null = null;
  /** On the engine's list of connections to flush. */
  dirty = false;
  /** The owner was given data since its last flush. */
  touched = false;
  /** On the engine's list of connections that wait for memory. */
  waitsForMemory = false;
  private pending = false;
  /** A RST leaves when the peer has all that was written. */
  private resetting = false;
  /** Our SYN carries the window scale option. */
  scaleOffered = false;
  /** Least initial sequence number, 0 for any: those of a predecessor with the same 4-tuple are below. */
  minIss = 0;
  private tsOffset = 0;
  /** In TIME-WAIT: when that is over, ms. */
  timeWaitUntil = 0;
  /** When the first SYN came or left, ms. */
  readonly openedMs: number;
  /** Last acceptable segment, ms. */
  lastHeardMs = 0;
  /** Latest challenge ACK, ms. */
  challengedMs = Number.NEGATIVE_INFINITY;
  private probes = 0;
  private readonly life: Timer;

  /** Made by the engine only. */
  constructor(engine: TcpEngine, active: boolean) {
    this.engine = engine;
    this.active = active;
    this.openedMs = engine.now;
    this.rcv = new Receiver(this);
    this.snd = new Sender(this);
    this.life = engine.wheel.timer(() => this.onLife());
  }

  // Opening

  /** True in SYN-RECEIVED before accept(), refuse() or discard(). */
  get deferred(): boolean {
    return this.pending;
  }

  /** True while our SYN is not acknowledged. */
  get opening(): boolean {
    return this.state === TcpState.SynSent || (this.state === TcpState.SynReceived && !this.pending);
  }

  /** True when the connection is forgotten. */
  get over(): boolean {
    return this.state === TcpState.Closed;
  }

  /** A SYN has arrived for no connection: holds it until the owner decides. */
  defer(seg: Segment): void {
    const { limits } = this.engine;
    this.state = TcpState.SynReceived;
    this.pending = true;
    this.scaleOffered = true;
    this.rcv.sackEnabled = true;
    this.rcv.tsEnabled = limits.timestamps;
    this.rcv.rcvWindShift = scaleFor(limits.receiveBufferMax);
    this.takeSyn(seg);
    this.life.setAt(this.engine.now + limits.deferMs);
  }

  /** Answers a deferred SYN with SYN,ACK. `path` must be set. Ignored when not deferred. */
  accept(user: TcpUser): void {
    if (!this.pending) return;
    if (this.path === null) {
      this.discard();
      return;
    }
    const { engine } = this;
    engine.readClock();
    this.user = user;
    this.pending = false;
    this.rcv.start(this.rcv.irs); // the owner may have set a receive room meanwhile
    this.chooseMss();
    this.snd.start(engine.isnFor(this));
    this.chooseTimestamps();
    this.life.setAt(engine.now + engine.limits.handshakeMs);
    sendSyn(this);
    engine.markDirty(this);
  }

  /** Answers a deferred SYN with RST,ACK (ack = SEG.SEQ + 1) and forgets it; `user` is not called. */
  refuse(): void {
    if (!this.pending) return;
    sendReset(this, 0, this.rcv.rcvNxt, true);
    this.discard();
  }

  /** Forgets the connection without a word to the peer, in any state; `user` is not called. */
  discard(): void {
    this.user = null;
    this.forget();
  }

  /** The engine's connect(): sends our SYN. */
  open(): void {
    const { engine, rcv } = this;
    const { limits } = engine;
    this.state = TcpState.SynSent;
    this.scaleOffered = true;
    rcv.sackEnabled = true;
    rcv.tsEnabled = limits.offerTimestamps;
    rcv.rcvWindShift = scaleFor(limits.receiveBufferMax);
    this.chooseMss();
    this.snd.start(engine.isnFor(this));
    this.chooseTimestamps();
    this.life.setAt(engine.now + limits.handshakeMs);
    sendSyn(this);
    engine.markDirty(this);
  }

  /** Our MSS option: what the path carries, at most a quarter of the window. */
  private chooseMss(): void {
    const { rcv, path } = this;
    const window = this.scaleOffered ? this.engine.limits.receiveBuffer : UNSCALED_WINDOW;
    const most = path === null ? MSS_DEFAULT_IPV4 : path.maxSegment - TCP_HEADER_LEN;
    rcv.mss = Math.max(MSS_FLOOR, Math.min(most, window >> 2));
  }

  private chooseTimestamps(): void {
    if (this.rcv.tsEnabled) this.tsOffset = this.engine.timestampOffset(this);
  }

  /** The peer's SYN: its sequence, and the options as far as we offer them too. */
  takeSyn(seg: Segment): void {
    const { rcv, snd } = this;
    const { options } = seg;
    this.scaleOffered = this.scaleOffered && options.windowScale >= 0;
    if (!this.scaleOffered) rcv.rcvWindShift = 0;
    snd.sndWindShift = this.scaleOffered ? options.windowScale : 0;
    rcv.sackEnabled = rcv.sackEnabled && options.sackPermitted;
    rcv.tsEnabled = rcv.tsEnabled && options.hasTimestamp;
    rcv.tsRecent = options.tsVal | 0;
    rcv.tsRecentMs = this.engine.now;
    const unnamed = this.remote.isIpv4 ? MSS_DEFAULT_IPV4 : MSS_DEFAULT_IPV6;
    snd.peerMss = options.mss === 0 ? unnamed : Math.max(MSS_FLOOR, options.mss);
    rcv.start(seg.seq);
  }

  enterSynReceived(): void {
    this.state = TcpState.SynReceived;
    sendSyn(this);
  }

  resendSyn(): void {
    sendSyn(this);
  }

  /** Both SYNs are acknowledged; `seg` did it. */
  establish(seg: Segment): void {
    const { engine } = this;
    this.state = TcpState.Established;
    engine.leaveHalfOpen(this);
    this.lastHeardMs = engine.now;
    this.snd.established(seg);
    this.armKeepAlive();
    engine.markDirty(this);
    this.user?.established();
    if (this.snd.hasFin && this.state === TcpState.Established) this.state = TcpState.FinWait1;
  }

  // Data

  /**
   * Copies up to `len` bytes into the send buffer; gives how many it took. They leave at the engine's flush(). What is
   * written before the handshake is complete waits for it. After end() nothing is taken.
   */
  write(b: Uint8Array, off: number, len: number): number {
    if (this.over || this.pending) return 0;
    const n = this.snd.write(b, off, len);
    this.engine.markDirty(this);
    return n;
  }

  /**
   * Lends memory of the send buffer, at most `most` bytes (1 at least), that may be written to until `filled`, which must
   * follow before anything else is called; false when there is none now. As `write`, without the copy.
   */
  lend(into: ByteVector, most: number): boolean {
    return !this.over && !this.pending && this.snd.lend(into, most);
  }

  /** The first `len` bytes that were lent are written. */
  filled(len: number): void {
    this.snd.filled(len);
    if (len > 0) this.engine.markDirty(this);
  }

  /** Bytes that `write` would take now. */
  get writeRoom(): number {
    return this.over || this.pending ? 0 : this.snd.room;
  }

  /** Asks for `user.writable()` once at least half of the send buffer is free, though no write was cut short. */
  notifyWritable(): void {
    this.snd.wantWritable();
  }

  /** Bytes written and not yet acknowledged by the peer. */
  get unsentOrUnacked(): number {
    return this.snd.held;
  }

  /**
   * Says how many bytes the owner can take from now on, beyond those it was given. Each `data` spends of it; call again
   * (for instance in every `flush`) to renew. Until the first call, and after `Infinity`, it can take `receiveLimit`.
   * What the peer has been granted stays granted: up to a full window more may arrive.
   */
  setReceiveRoom(bytes: number): void {
    if (this.over) return;
    this.rcv.setRoom(bytes);
    this.engine.markDirty(this);
  }

  /** Largest receive window at present, bytes: what an owner that has nothing waiting takes. */
  get receiveLimit(): number {
    return this.rcv.limit.bytes;
  }

  // Closing

  /** FIN after all that was written. Data can still arrive (half close). Before the handshake is complete, after it. */
  end(): void {
    if (this.over || this.pending || this.snd.hasFin) return;
    this.snd.queueFin();
    if (this.state === TcpState.Established) this.state = TcpState.FinWait1;
    else if (this.state === TcpState.CloseWait) this.state = TcpState.LastAck;
    this.engine.markDirty(this);
  }

  /** RST to the peer now, `user.ended('aborted')`, and the connection is forgotten. */
  reset(): void {
    if (this.over) return;
    if (this.pending) sendReset(this, 0, this.rcv.rcvNxt, true);
    this.fail('aborted', !this.pending && this.state !== TcpState.SynSent && this.state !== TcpState.TimeWait);
  }

  /**
   * As `reset`, but only when the peer has acknowledged all that was written, or after limits.resetLingerMs. Until then the
   * owner may write what it was asked for by `writable`, and hears of the peer as before.
   */
  resetBehindData(): void {
    if (this.over || this.resetting) return;
    const { state } = this;
    if (this.pending || state === TcpState.SynSent || state === TcpState.TimeWait || this.snd.held === 0) {
      this.reset();
      return;
    }
    this.engine.readClock();
    this.resetting = true;
    this.life.setAt(this.engine.now + this.engine.limits.resetLingerMs);
    this.engine.markDirty(this);
  }

  /** The connection is over for reason `why`, with a RST to the peer or without. */
  fail(why: TcpEnd, rst: boolean): void {
    if (this.over) return;
    if (rst) {
      this.engine.readClock();
      sendReset(this, this.snd.sndNxt, this.rcv.rcvNxt, true);
    }
    this.tellEnd(why);
  }

  /** LAST-ACK is over. */
  finish(): void {
    this.tellEnd('closed');
  }

  private tellEnd(why: TcpEnd): void {
    const { user } = this;
    this.user = null;
    this.forget();
    user?.ended(why);
  }

  private forget(): void {
    if (this.over) return;
    this.engine.remove(this);
    this.state = TcpState.Closed;
    this.pending = false;
    this.touched = false;
    this.life.cancel();
    this.snd.free();
    this.rcv.free();
  }

  /** The peer's FIN is in order; its ACK is due. */
  finReceived(): void {
    if (this.state === TcpState.Established) {
      this.state = TcpState.CloseWait;
      this.armKeepAlive();
    } else if (this.state === TcpState.FinWait1) {
      this.state = TcpState.Closing;
    }
    this.user?.peerClosed();
    if (this.state === TcpState.FinWait2) this.enterTimeWait();
  }

  /** The owner is told of the end; what is left is the answer to a FIN that comes again. */
  enterTimeWait(): void {
    const { engine, user } = this;
    this.state = TcpState.TimeWait;
    this.snd.free();
    this.rcv.free();
    this.touched = false;
    this.restartTimeWait();
    engine.enterTimeWait();
    this.user = null;
    user?.ended('closed');
  }

  restartTimeWait(): void {
    this.timeWaitUntil = this.engine.now + this.engine.limits.timeWaitMs;
    this.life.setAt(this.timeWaitUntil);
  }

  /** The engine made this of what it remembers of one in TIME-WAIT (time-wait.ts). */
  timeWaitAgain(): void {
    this.state = TcpState.TimeWait;
    this.chooseTimestamps();
    this.life.setAt(this.timeWaitUntil);
  }

  // Time and upkeep

  /** Our timestamps clock, milliseconds from an offset that is the connection's own. */
  timestamp(): number {
    return seqInt(Math.floor(this.engine.now), this.tsOffset);
  }

  /** Answers something suspicious with an ACK, within the limits of RFC 5961 section 10. */
  challenge(): void {
    const { engine } = this;
    if (engine.now - this.challengedMs < CHALLENGE_SPACING_MS || !engine.mayChallenge()) return;
    this.challengedMs = engine.now;
    this.rcv.ackNow = true;
  }

  /** End of a batch: see TcpEngine.flush(). */
  flush(): void {
    if (this.touched) {
      this.touched = false;
      this.user?.flush();
    }
    if (this.over) return;
    if (this.snd.takeWritable()) {
      this.user?.writable();
      if (this.over) return;
    }
    if (this.resetting && this.snd.held === 0) {
      this.fail('aborted', true);
      return;
    }
    this.snd.output();
    this.rcv.flush();
    this.snd.recovery.arm();
  }

  armKeepAlive(): void {
    if (this.resetting) return;
    this.probes = 0;
    this.life.setAt(this.engine.now + this.idleMs);
  }

  /** Silence that calls for a probe. */
  private get idleMs(): number {
    const { limits } = this.engine;
    return this.state === TcpState.Established ? limits.keepAliveIdleMs : limits.halfClosedIdleMs;
  }

  private onLife(): void {
    const { engine } = this;
    engine.timerBegin();
    if (this.pending || this.opening) this.fail('timeout', false);
    else if (this.state === TcpState.TimeWait) this.forget();
    else if (this.resetting) this.fail('aborted', true);
    else if (!this.over) this.keepAlive();
    engine.timerEnd();
  }

  /** RFC 9293 section 3.8.4. */
  private keepAlive(): void {
    const { engine, snd } = this;
    const { limits } = engine;
    const quietMs = engine.now - this.lastHeardMs;
    if (quietMs < this.idleMs) {
      this.probes = 0;
      this.life.setAt(this.lastHeardMs + this.idleMs);
      return;
    }
    // What is in flight is a probe already, with a give-up time of its own.
    if (snd.recovery.board.count === 0 && snd.unsent === 0) {
      if (this.probes >= limits.keepAliveProbes) {
        this.fail('timeout', true);
        return;
      }
      this.probes++;
      sendSegment(this, 0, seqInt(snd.sndNxt, -1), 0);
    }
    this.life.setAt(engine.now + limits.keepAliveIntervalMs);
  }

  snapshot(): TcpSnapshot {
    const { snd, rcv } = this;
    const { recovery } = snd;
    return {
      local: this.local.toString(),
      remote: this.remote.toString(),
      state: stateName(this.state),
      bytesSent: snd.bytesAcked,
      bytesReceived: rcv.bytesReceived,
      retransmits: recovery.retransmits,
      cwnd: Math.round(recovery.cc.cwnd),
      ssthresh: Math.round(recovery.cc.ssthresh),
      srttMs: recovery.rtt.srttMs,
      rtoMs: recovery.rtt.rtoMs,
      smss: snd.smss,
      sndWnd: snd.sndWnd,
      rcvWnd: rcv.rcvWnd,
      unacked: snd.held,
    };
  }
}
