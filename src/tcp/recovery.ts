// Loss recovery and the timer of the send side.
//
//            3 early segments reported, or RACK             everything in flight at that time
//   OPEN  ---------------------------------------> RECOVERY -------- acknowledged ---------> OPEN
//     |                                               |
//     +------------------ timeout ------------------> LOSS --------- the same -------------> OPEN
//
// With SACK, what is lost is found by RACK and tail losses by a probe (RFC 8985); without, by three duplicate ACKs and
// partial ACKs (RFC 5681, RFC 6582), each duplicate standing for one segment that has left the network. In RECOVERY
// proportional rate reduction (RFC 6937) says how much may be sent, so that the window falls smoothly; in LOSS slow start
// does. A timeout marks all that is not SACKed lost. Segments marked lost are sent again first, new data after them.
//
// One timer serves five purposes, of which one is due at a time (`Mode`):
//
//   Rto        in flight, or the SYN: retransmission timeout, RFC 6298
//   Tlp        in flight: tail loss probe after two round trips, RFC 8985 section 7
//   Reorder    in flight: a segment that RACK gave some more time, RFC 8985 section 6.2
//   Persist    the peer's window does not let us send: probes, RFC 9293 section 3.8.6.1
//
// The timer in the wheel is not moved with every ACK: it may fire early with respect to `deadline` and is set again then.
// Giving up: no progress for `giveUpMs`; at a zero window, no answer for so long (RFC 9293 section 3.8.3).

import { seqDiff, seqGe, seqGt, seqLe, seqLt } from '../core/seq.ts';
import type { Timer } from '../core/timer-wheel.ts';
import { FIN, PSH } from '../wire/tcp.ts';
import { Congestion } from './congestion.ts';
import type { TcpConnection } from './connection.ts';
import { sendSegment } from './output.ts';
import { RttEstimator } from './rtt.ts';
import { Scoreboard } from './scoreboard.ts';
import type { Segment } from './segment.ts';
import type { Sender } from './send.ts';

const Phase = { Open: 0, Recovery: 1, Loss: 2 } as const;
type Phase = (typeof Phase)[keyof typeof Phase];

const Mode = { None: 0, Rto: 1, Tlp: 2, Reorder: 3, Persist: 4 } as const;
type Mode = (typeof Mode)[keyof typeof Mode];

const DUP_THRESH = 3; // RFC 5681 section 3.2
const TLP_MIN_MS = 10;
const TLP_ACK_DELAY_MS = 200; // RFC 8985 section 7.2, TLP.max_ack_delay
const REO_MULT_MAX = 16;
const REO_PERSIST_RECOVERIES = 16; // RFC 8985 section 6.2, step 4

export class LossRecovery {
  private readonly c: TcpConnection;
  private readonly snd: Sender;
  readonly board: Scoreboard;
  readonly rtt = new RttEstimator();
  readonly cc = new Congestion();
  private readonly timer: Timer;
  private mode: Mode = Mode.None;
  private deadline = Number.POSITIVE_INFINITY;
  /** Start of the retransmission timeout: first transmission, or last progress. */
  private baseMs = 0;
  /** Last progress: what the give-up time counts from. */
  private stallMs = 0;
  private lastSendMs = 0;

  private phase: Phase = Phase.Open;
  /** RECOVERY and LOSS end when this is acknowledged (RFC 6582 "recover"). */
  private recover = 0;
  private dupAcks = 0;
  /** Without SACK: bytes that duplicate ACKs say have arrived. */
  private renoSacked = 0;

  private prrDelivered = 0;
  private prrOut = 0;
  private recoverFs = 1;
  /** The window before it, bytes. */
  private recoverWindow = 0;

  private tlpActive = false;
  private tlpResent = false;
  private tlpEnd = 0;

  /** When RACK wants to look again, ms. */
  private reorderAt = Number.POSITIVE_INFINITY;
  private reoMult = 1;
  private reoRecoveries = 0;
  private dsackRound = 0;

  private persistShift = 0;
  private persistMs = 0;

  /** End of the present round trip for HyStart++. */
  private roundEnd = 0;
  /** The congestion window kept us from sending. */
  cwndLimited = false;
  retransmits = 0;

  constructor(c: TcpConnection, snd: Sender) {
    this.c = c;
    this.snd = snd;
    this.board = new Scoreboard(c.engine.rings);
    this.timer = c.engine.wheel.timer(() => this.onTimer());
  }

  /** Bytes in flight. */
  get pipe(): number {
    return Math.max(0, this.board.pipe - this.renoSacked);
  }

  /** The SYN is about to leave for the first time. */
  synSent(): void {
    this.baseMs = this.c.engine.now;
    this.stallMs = this.baseMs;
    this.recover = this.snd.iss;
    this.roundEnd = this.snd.iss;
    this.dsackRound = this.snd.iss;
  }

  /** The handshake is complete. */
  synAcked(smss: number): void {
    const { now } = this.c.engine;
    if (this.rtt.backoff === 0) {
      const ms = now - this.stallMs;
      this.rtt.sample(ms, 1);
      this.c.rcv.limit.roundTrip(ms);
      this.board.minRttUs = Math.max(1, Math.floor(ms * 1000));
    } else {
      this.rtt.synWasLost();
    }
    this.rtt.backoff = 0;
    this.cc.start(smss, this.c.engine.limits.randomLoss && this.c.rcv.sackEnabled);
  }

  /** A segment of new data, FIN included, has been sent. */
  sentNew(seq: number, end: number): void {
    const { engine } = this.c;
    if (this.board.count === 0) {
      this.baseMs = engine.now;
      this.stallMs = engine.now;
    }
    this.board.push(seq, end, engine.nowUs);
    this.lastSendMs = engine.now;
    this.prrOut += seqDiff(end, seq);
  }

  /** Before new data is sent: what was known of the path is old when nothing was sent for a timeout. */
  checkIdle(): void {
    if (this.board.count === 0 && this.lastSendMs > 0 && this.c.engine.now - this.lastSendMs > this.rtt.rtoMs) {
      this.cc.idle();
    }
  }

  /**
   * An acceptable ACK, after the sender has taken over its numbers.
   *
   * @param acked       bytes it acknowledges anew; 0 or less when none
   * @param duplicate   it is a duplicate ACK as RFC 5681 section 2 defines it
   */
  ackArrived(seg: Segment, acked: number, duplicate: boolean): void {
    const { board, c } = this;
    if (board.count === 0 && !this.tlpActive) return;
    const { engine, rcv } = c;
    board.beginAck();
    const flight = board.outBytes;
    if (acked > 0) {
      board.ackTo(seg.ack, engine.nowUs);
      this.rtt.backoff = 0;
      this.persistShift = 0;
      this.baseMs = engine.now;
      this.stallMs = engine.now;
    }
    let dsack = false;
    if (rcv.sackEnabled) {
      if (seg.options.sackCount > 0) dsack = this.takeSacks(seg);
    } else {
      this.countDuplicates(acked, duplicate);
    }
    this.measure(seg, acked, flight);
    if (this.tlpActive && seqGe(seg.ack, this.tlpEnd)) this.tlpAnswered(seg, dsack, acked, flight);
    this.findLosses(acked);
    if (this.phase !== Phase.Open && seqGe(seg.ack, this.recover)) this.leave();
    if (this.phase === Phase.Open && board.lostBytes > 0) this.enterRecovery();
    if (this.phase === Phase.Recovery) this.reduce(duplicate);
    else if (acked > 0 && this.cc.mayGrow(this.cwndLimited, flight)) {
      this.cc.acknowledged(acked, this.rtt.srttMs, engine.now);
    }
    const { long, baseRttMs } = this.cc;
    if (long !== null) {
      long.delivered(board.delivered, this.pipe, this.snd.unsent <= 0, baseRttMs, this.rtt.srttMs, engine.now);
    }
    if (seqGt(seg.ack, this.roundEnd)) {
      this.roundEnd = this.snd.sndNxt;
      this.cc.roundEnded();
      if (acked > 0) this.snd.tuneBuffer();
    }
  }

  /** Marks SACKed segments; true when the peer reports a duplicate (RFC 2883). */
  private takeSacks(seg: Segment): boolean {
    const { board, snd, c } = this;
    const { sackCount, sackLeft, sackRight } = seg.options;
    const una = snd.sndUna;
    let from = 0;
    let dsack = false;
    const l0 = sackLeft[0]!;
    const r0 = sackRight[0]!;
    if (seqLt(l0, una) || (sackCount > 1 && seqLe(sackLeft[1]!, l0) && seqLe(r0, sackRight[1]!))) {
      dsack = seqLt(l0, r0);
      from = 1;
      if (dsack && seqGe(seg.ack, this.dsackRound)) {
        // What we sent again had not been lost: it was late (RFC 8985 section 6.2, step 4).
        if (this.retransmits > 0 && this.phase !== Phase.Loss && !this.tlpActive) board.reorderingSeen = true;
        this.dsackRound = snd.sndNxt;
        this.reoMult = Math.min(this.reoMult + 1, REO_MULT_MAX);
        this.reoRecoveries = REO_PERSIST_RECOVERIES;
      }
    }
    for (let i = from; i < sackCount; i++) {
      const left = sackLeft[i]! | 0;
      const right = sackRight[i]! | 0;
      if (seqLt(left, right) && seqGe(left, una) && seqLe(right, snd.sndNxt)) {
        board.sack(left, right, snd.finEnd, c.engine.nowUs);
      }
    }
    return dsack;
  }

  private countDuplicates(acked: number, duplicate: boolean): void {
    const { board, snd } = this;
    if (acked > 0) {
      this.dupAcks = 0;
      this.renoSacked = this.phase === Phase.Open ? 0 : Math.max(0, this.renoSacked - Math.max(0, acked - snd.smss));
      this.renoSacked = Math.min(this.renoSacked, board.outBytes);
      // A partial ACK: the next segment is missing too (RFC 6582 section 3.2, step 3).
      if (this.phase === Phase.Recovery && seqLt(snd.sndUna, this.recover)) board.loseFirst();
    } else if (duplicate && this.phase !== Phase.Loss) {
      this.dupAcks++;
      this.renoSacked = Math.min(this.renoSacked + snd.smss, Math.max(0, board.outBytes - snd.smss));
      board.delivered += snd.smss;
      if (this.dupAcks === DUP_THRESH && this.phase === Phase.Open && seqGt(snd.sndUna, this.recover)) {
        board.loseFirst();
      }
    }
  }

  private measure(seg: Segment, acked: number, flight: number): void {
    const { board, c } = this;
    let ms = -1;
    if (board.sampleUs >= 0) {
      ms = board.sampleUs / 1000;
      this.cc.roundTrip(ms);
    } else if (acked > 0 && c.rcv.tsEnabled && seg.options.hasTimestamp && seg.options.tsEcr !== 0) {
      // All of it was sent more than once: only the echoed timestamp tells which transmission is answered.
      ms = seqDiff(c.timestamp(), seg.options.tsEcr);
    }
    if (ms < 0) return;
    this.rtt.sample(ms, Math.max(1, Math.ceil(flight / (2 * this.snd.smss))));
    this.cc.smoothed(this.rtt.srttMs, c.engine.now);
  }

  /** The probe has been heard of (RFC 8985 section 7.4.2). */
  private tlpAnswered(seg: Segment, dsack: boolean, acked: number, flight: number): void {
    if (this.tlpResent && !dsack) {
      if (seqGt(seg.ack, this.tlpEnd)) {
        // The probe repaired a loss.
        this.lost(flight, this.snd.smss);
        this.cc.cwnd = this.cc.target;
      } else if (acked > 0 || seg.options.sackCount > 0) {
        return;
      }
    }
    this.tlpActive = false;
  }

  private findLosses(acked: number): void {
    const { board } = this;
    this.reorderAt = Number.POSITIVE_INFINITY;
    if (!this.c.rcv.sackEnabled || (board.sackedCount === 0 && (board.resentCount === 0 || acked <= 0))) return;
    const before = board.lostBytes;
    const waitUs = board.detectLoss(this.reorderingWindowUs(), this.c.engine.nowUs);
    if (board.lostBytes > before) this.cc.long?.lost(board.lostBytes - before);
    if (waitUs > 0) this.reorderAt = this.c.engine.now + waitUs / 1000;
  }

  /** RFC 8985 section 6.2, step 4. */
  private reorderingWindowUs(): number {
    const { board } = this;
    if (!board.reorderingSeen && (this.phase !== Phase.Open || board.sackedCount >= DUP_THRESH)) return 0;
    return Math.min((board.minRttUs >> 2) * this.reoMult, Math.floor(this.rtt.srttMs * 1000));
  }

  private enterRecovery(): void {
    const { board } = this;
    this.phase = Phase.Recovery;
    this.recover = this.snd.sndNxt;
    this.recoverFs = Math.max(1, board.outBytes);
    this.recoverWindow = this.cc.cwnd;
    this.lost(board.outBytes, board.lostBytes);
    this.prrDelivered = 0;
    this.prrOut = 0;
    this.tlpActive = false;
    if (this.reoRecoveries > 0 && --this.reoRecoveries === 0) this.reoMult = 1;
  }

  /** A loss: with SACK it is known how much was lost, and that may be all there is to it. */
  private lost(flight: number, bytes: number): void {
    const { engine, rcv } = this.c;
    const { long } = this.cc;
    if (long !== null) {
      this.cc.lostOnLongPath(long, this.cc.cwnd);
      return;
    }
    const random = engine.limits.randomLoss && rcv.sackEnabled && bytes < flight && !this.cc.queued;
    if (random) this.cc.lostAtRandom(flight, bytes);
    else this.cc.lost(flight);
  }

  /** RFC 6937: how much this ACK lets us send. */
  private reduce(duplicate: boolean): void {
    const { board, cc, snd } = this;
    const delivered = board.delivered;
    if (delivered === 0 && !duplicate && this.prrOut > 0) return;
    this.prrDelivered += delivered;
    if (cc.long !== null) cc.lostOnLongPath(cc.long, this.recoverWindow + (cc.inSlowStart ? this.prrDelivered : 0));
    const pipe = this.pipe;
    let room: number;
    if (pipe > cc.target) {
      room = Math.ceil((this.prrDelivered * cc.target) / this.recoverFs) - this.prrOut;
    } else {
      room = Math.min(cc.target - pipe, Math.max(this.prrDelivered - this.prrOut, delivered) + snd.smss);
    }
    cc.cwnd = pipe + Math.max(room, this.prrOut === 0 ? snd.smss : 0);
  }

  private leave(): void {
    if (this.phase === Phase.Recovery) this.cc.cwnd = Math.max(this.cc.target, this.snd.smss);
    this.phase = Phase.Open;
    this.dupAcks = 0;
    this.renoSacked = 0;
  }

  /** Sends again what is marked lost, as far as the window allows; gives what is left of `budget` segments. */
  resendLost(budget: number): number {
    const { board, cc } = this;
    let left = budget;
    while (left > 0) {
      const i = board.firstLost();
      if (i < 0) break;
      const pipe = this.pipe;
      if (pipe > 0 && pipe + Math.min(seqDiff(board.endOf(i), board.seqOf(i)), this.snd.smss) > cc.cwnd) {
        this.cwndLimited = true;
        break;
      }
      this.resend(i);
      left--;
    }
    return left;
  }

  private resend(i: number): void {
    const { board, c, snd } = this;
    const { engine } = c;
    const seq = board.seqOf(i);
    let end = board.endOf(i);
    const most = snd.smss;
    if (seqDiff(end, seq) > most && seqDiff(end, seq) - (snd.coversFin(end) ? 1 : 0) > most) {
      if (board.split(i, (seq + most) | 0)) end = board.endOf(i);
    }
    board.resent(i, engine.nowUs);
    const fin = snd.coversFin(end);
    const len = seqDiff(end, seq) - (fin ? 1 : 0);
    this.retransmits++;
    this.lastSendMs = engine.now;
    this.prrOut += seqDiff(end, seq);
    if (snd.sndUna === seq) this.baseMs = engine.now;
    sendSegment(c, (fin ? FIN : 0) | (len > 0 && snd.isLast(seq, len) ? PSH : 0), seq, Math.min(len, most));
  }

  /** What the path carries has shrunk: segments that are too long go again in pieces (RFC 1191, RFC 8201). */
  resegment(): void {
    this.cc.resize(this.snd.smss);
    this.board.loseAll();
  }

  /** The peer's window was shut and is open: what was a probe goes again at once. */
  windowOpened(): void {
    this.persistShift = 0;
    this.board.loseFirst();
    this.baseMs = this.c.engine.now;
    this.stallMs = this.baseMs;
  }

  /** Chooses what the timer is for; at the end of everything that may have changed it. */
  arm(): void {
    const { board, c, snd } = this;
    let mode: Mode = Mode.None;
    let at = Number.POSITIVE_INFINITY;
    if (c.opening) {
      mode = Mode.Rto;
      at = this.baseMs + this.rtt.rtoMs;
    } else if (snd.sndWnd === 0 ? board.count > 0 || snd.unsent > 0 : board.count === 0 && snd.unsent > 0) {
      if (this.mode !== Mode.Persist) {
        this.persistMs = c.engine.now;
        this.stallMs = c.engine.now;
        this.persistShift = 0;
      }
      mode = Mode.Persist;
      at = this.persistMs + this.rtt.backedOff(this.persistShift);
    } else if (board.count > 0) {
      mode = Mode.Rto;
      at = this.baseMs + this.rtt.rtoMs;
      if (this.reorderAt < at) {
        mode = Mode.Reorder;
        at = this.reorderAt;
      } else if (this.mayProbeTail()) {
        const probeAt = Math.max(this.baseMs, this.lastSendMs) + this.tlpMs();
        if (probeAt < at) {
          mode = Mode.Tlp;
          at = probeAt;
        }
      }
    }
    this.mode = mode;
    this.deadline = at;
    if (at < this.timer.deadline) this.timer.setAt(at);
  }

  private mayProbeTail(): boolean {
    const { board, rtt, c } = this;
    return (
      c.rcv.sackEnabled &&
      this.phase === Phase.Open &&
      !this.tlpActive &&
      rtt.backoff === 0 &&
      board.sackedCount === 0 &&
      board.lostBytes === 0 &&
      rtt.srttMs > 0
    );
  }

  private tlpMs(): number {
    return Math.max(TLP_MIN_MS, 2 * this.rtt.srttMs) + (this.board.count === 1 ? TLP_ACK_DELAY_MS : 0);
  }

  private onTimer(): void {
    const { c } = this;
    if (c.over || this.deadline === Number.POSITIVE_INFINITY) return;
    const { engine } = c;
    engine.timerBegin();
    if (engine.now < this.deadline) {
      this.timer.setAt(this.deadline);
      return;
    }
    engine.markDirty(c);
    if (c.opening) this.synTimeout();
    else if (this.mode === Mode.Rto) this.timeout();
    else if (this.mode === Mode.Tlp) this.probeTail();
    else if (this.mode === Mode.Reorder) this.reorderTimeout();
    else if (this.mode === Mode.Persist) this.probeWindow();
    engine.timerEnd();
  }

  private synTimeout(): void {
    this.rtt.timedOut();
    this.baseMs = this.c.engine.now;
    this.retransmits++;
    this.c.resendSyn();
  }

  /** RFC 6298 (5.4) to (5.6), RFC 5681 section 3.1. */
  private timeout(): void {
    const { board, c, cc } = this;
    const { now, limits } = c.engine;
    if (now - this.stallMs >= limits.giveUpMs) {
      c.fail('timeout', true);
      return;
    }
    // Once per flight: a second timeout of the same segment says nothing new about the path.
    if (this.rtt.backoff === 0 && this.phase !== Phase.Loss) cc.lost(board.outBytes);
    cc.timedOut();
    this.phase = Phase.Loss;
    this.recover = this.snd.sndNxt;
    this.rtt.timedOut();
    this.tlpActive = false;
    this.dupAcks = 0;
    this.renoSacked = 0;
    this.reorderAt = Number.POSITIVE_INFINITY;
    this.baseMs = now;
    board.loseAll();
  }

  private probeTail(): void {
    const { board, snd } = this;
    this.tlpActive = true;
    this.tlpResent = !snd.sendOne();
    this.tlpEnd = snd.sndNxt;
    if (this.tlpResent) {
      const i = board.lastUnsacked();
      if (i >= 0) this.resend(i);
    }
    this.baseMs = this.c.engine.now;
  }

  private reorderTimeout(): void {
    this.findLosses(1);
    if (this.phase === Phase.Open && this.board.lostBytes > 0) this.enterRecovery();
    if (this.phase === Phase.Recovery) {
      this.board.beginAck();
      this.reduce(true);
    }
  }

  private probeWindow(): void {
    const { board, c, snd } = this;
    const { now, limits } = c.engine;
    if (now - Math.max(c.lastHeardMs, this.stallMs) >= limits.giveUpMs) {
      c.fail('timeout', true);
      return;
    }
    if (board.count > 0) this.resend(0);
    else snd.probe();
    this.persistShift++;
    this.persistMs = now;
  }

  /** Ends all of it and gives back what it holds. */
  free(): void {
    this.timer.cancel();
    this.deadline = Number.POSITIVE_INFINITY;
    this.mode = Mode.None;
    this.board.clear();
  }
}
