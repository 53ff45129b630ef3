// How much a sender may have in flight: CUBIC (RFC 9438), slow start that ends in time (HyStart++, RFC 9406), initial and
// restart window (RFC 6928, RFC 5681 section 4.1).
//
// This is the seam for other controllers: the sender reads `cwnd` and `ssthresh` and reports what happens. Loss recovery
// (what to send again, and when) is not here but in recovery.ts, which sets `cwnd` by proportional rate reduction while
// it lasts. All windows are bytes.
//
// A loss without a queue is not taken for congestion (ADR 0006): this engine sends over virtual Ethernet only, where frames
// are also lost at random (impairment, radio bridges, tunnels). As long as the smoothed round-trip time stays near the
// smallest one seen lately, the window falls by half of what was lost (after Mathis, Relentless Congestion Control, 2009)
// and grows by a segment per round trip, and slow start goes on; otherwise it falls by CUBIC's factor. Timeouts always
// count as congestion. And a path of 10 ms or more is sent over at the rate that it has delivered (long-path.ts, ADR 0011).

import { LONG_RTT_MS, LongPath } from './long-path.ts';

const BETA = 0.7; // RFC 9438 section 4.6
const C = 0.4; // segments per second cubed, RFC 9438 section 5
const ALPHA = (3 * (1 - BETA)) / (1 + BETA); // RFC 9438 section 4.3

const INITIAL_SEGMENTS = 10; // RFC 6928
const INITIAL_BYTES = 14_600;

// RFC 9406 section 4.3
const MIN_RTT_THRESH_MS = 4;
const MAX_RTT_THRESH_MS = 16;
const RTT_SAMPLES = 8;
const CSS_GROWTH_DIVISOR = 4;
const CSS_ROUNDS = 5;

/** Part of what was lost without a queue that the window falls by: at loss rate p it settles at 2/p segments. */
const RANDOM_SHARE = 0.5;
/** A path has a queue when its smoothed round-trip time exceeds the base by this factor. */
const QUEUE_FACTOR = 1.5;
/** The base is the smallest smoothed round-trip time of this one and the previous interval of so many ms. */
const BASE_INTERVAL_MS = 10_000;

export class Congestion {
  cwnd = 0;
  ssthresh = Number.POSITIVE_INFINITY;
  /** Window to end recovery with; set by `lost` and `lostAtRandom`. */
  target = 0;
  private smss = 0;
  private modelsLongPaths = false;
  /** Decides in the place of CUBIC while the path is a long one. */
  long: LongPath | null = null;

  // CUBIC
  private wMax = 0;
  /** Window before the latest reduction. */
  private prior = 0;
  /** Start of the present congestion avoidance, ms; negative when none runs. */
  private epochMs = -1;
  private k = 0;
  private wEst = 0;

  // Smallest smoothed round-trip times of this interval and the one before, ms
  private baseMs = Number.POSITIVE_INFINITY;
  private lastBaseMs = Number.POSITIVE_INFINITY;
  private baseSinceMs = 0;
  private srttMs = 0;
  /** Smallest round-trip times of this round so far, and of the last one, ms. */
  private minMs = Number.POSITIVE_INFINITY;
  private lastMinMs = 0;

  // HyStart++: smallest round-trip times of this round and the one before, ms
  private roundMin = Number.POSITIVE_INFINITY;
  private lastRoundMin = Number.POSITIVE_INFINITY;
  private roundSamples = 0;
  /** Smallest round-trip time when conservative slow start began; infinite outside of it. */
  private cssBase = Number.POSITIVE_INFINITY;
  private cssRounds = 0;

  /**
   * @param smss             payload of a full segment, bytes
   * @param modelsLongPaths  what is sent over a long path follows what it delivers (long-path.ts)
   */
  start(smss: number, modelsLongPaths = false): void {
    this.smss = smss;
    this.modelsLongPaths = modelsLongPaths;
    this.cwnd = this.initialWindow();
  }

  /** The segment size has changed. */
  resize(smss: number): void {
    this.smss = smss;
    this.cwnd = Math.max(this.cwnd, smss);
    this.long?.resize(smss);
  }

  private initialWindow(): number {
    return Math.min(INITIAL_SEGMENTS * this.smss, Math.max(2 * this.smss, INITIAL_BYTES));
  }

  get inSlowStart(): boolean {
    return this.long === null ? this.cwnd < this.ssthresh : this.long.starting;
  }

  /**
   * May the window grow with an ACK?
   *
   * @param limited  it kept the sender from sending
   * @param flight   bytes that were in flight before
   */
  mayGrow(limited: boolean, flight: number): boolean {
    if (this.inSlowStart) return limited || 2 * flight >= this.cwnd;
    return limited || this.long !== null;
  }

  /** The flight of one round trip has been acknowledged. */
  roundEnded(): void {
    if (this.minMs !== Number.POSITIVE_INFINITY) this.lastMinMs = this.minMs;
    this.minMs = Number.POSITIVE_INFINITY;
    if (!this.inSlowStart) return;
    if (this.cssBase !== Number.POSITIVE_INFINITY && ++this.cssRounds >= CSS_ROUNDS) this.ssthresh = this.cwnd;
    this.lastRoundMin = this.roundMin;
    this.roundMin = Number.POSITIVE_INFINITY;
    this.roundSamples = 0;
  }

  /** The smoothed round-trip time after a new sample. */
  smoothed(srttMs: number, nowMs: number): void {
    this.srttMs = srttMs;
    if (nowMs - this.baseSinceMs > BASE_INTERVAL_MS) {
      this.baseSinceMs = nowMs;
      this.lastBaseMs = this.baseMs;
      this.baseMs = srttMs;
    } else if (srttMs < this.baseMs) {
      this.baseMs = srttMs;
    }
    if (!this.modelsLongPaths || this.baseRttMs < LONG_RTT_MS) this.long = null;
    else this.long ??= new LongPath(this.cwnd, this.smss, srttMs, nowMs);
  }

  /** Round-trip time of the path without queues, ms, as far as known. */
  get baseRttMs(): number {
    return Math.min(this.baseMs, this.lastBaseMs);
  }

  /** How long segments of the last round trip waited in queues of the path at least, ms. */
  get queueMs(): number {
    return this.lastMinMs - this.baseRttMs;
  }

  /** The path has a queue, as far as round trips tell. */
  get queued(): boolean {
    return this.srttMs > QUEUE_FACTOR * this.baseRttMs;
  }

  /** A round-trip time, ms. */
  roundTrip(ms: number): void {
    if (ms < this.minMs) this.minMs = ms;
    if (!this.inSlowStart) return;
    if (ms < this.roundMin) this.roundMin = ms;
    if (++this.roundSamples < RTT_SAMPLES) return;
    if (this.cssBase !== Number.POSITIVE_INFINITY) {
      // The delay was noise: back to slow start proper.
      if (this.roundMin < this.cssBase) this.cssBase = Number.POSITIVE_INFINITY;
      return;
    }
    if (this.lastRoundMin === Number.POSITIVE_INFINITY) return;
    const thresh = Math.max(MIN_RTT_THRESH_MS, Math.min(this.lastRoundMin / 8, MAX_RTT_THRESH_MS));
    if (this.roundMin >= this.lastRoundMin + thresh) {
      this.cssBase = this.roundMin;
      this.cssRounds = 0;
    }
  }

  /**
   * New data was acknowledged, outside of recovery, and the window had been in use.
   *
   * @param acked   bytes, at least 1
   * @param srttMs  smoothed round-trip time
   */
  acknowledged(acked: number, srttMs: number, nowMs: number): void {
    if (this.long !== null) {
      this.cwnd = Math.min(this.cwnd + acked, this.long.window);
      return;
    }
    if (this.inSlowStart) {
      const step = this.cssBase === Number.POSITIVE_INFINITY ? acked : acked / CSS_GROWTH_DIVISOR;
      this.cwnd = Math.min(this.cwnd + Math.ceil(step), Math.max(this.ssthresh, this.cwnd));
      return;
    }
    this.avoid(acked, srttMs, nowMs);
  }

  /** Congestion avoidance, RFC 9438 section 4.2 to 4.5. */
  private avoid(acked: number, srttMs: number, nowMs: number): void {
    if (this.epochMs < 0) {
      this.epochMs = nowMs;
      this.wEst = this.cwnd;
      if (this.cwnd < this.wMax) {
        this.k = Math.cbrt((this.wMax - this.cwnd) / this.smss / C);
      } else {
        this.k = 0;
        this.wMax = this.cwnd;
      }
    }
    const share = acked / this.cwnd;
    this.wEst += (this.wEst >= this.prior ? 1 : ALPHA) * share * this.smss;
    const now = (nowMs - this.epochMs) / 1000;
    if (this.cubic(now) < this.wEst) {
      this.cwnd = Math.max(this.cwnd, this.wEst);
      return;
    }
    const target = Math.min(Math.max(this.cubic(now + srttMs / 1000), this.cwnd), 1.5 * this.cwnd);
    this.cwnd += (target - this.cwnd) * share;
  }

  private cubic(seconds: number): number {
    const t = seconds - this.k;
    return C * t * t * t * this.smss + this.wMax; // not `t ** 3`: a library call per ACK
  }

  /**
   * A loss on a path without a queue, once per flight.
   *
   * @param flight  bytes in flight when it was found
   * @param bytes   of it lost, as far as known
   */
  lostAtRandom(flight: number, bytes: number): void {
    const used = Math.min(this.cwnd, flight);
    this.target = Math.max(used - bytes * RANDOM_SHARE, used * BETA, 2 * this.smss);
    if (this.inSlowStart) return; // it goes on behind recovery, until a queue shows
    this.ssthresh = this.target;
    this.wMax = used;
    this.prior = this.target;
    this.epochMs = -1;
  }

  /**
   * A loss on a long path, once per flight; and each ACK behind it until what was lost has arrived.
   *
   * @param window  congestion window when it was found
   */
  lostOnLongPath(long: LongPath, window: number): void {
    this.target = Math.min(window, long.window);
  }

  /**
   * A loss by congestion, once per flight: the window to end recovery with.
   *
   * @param flight  bytes in flight when it was found
   */
  lost(flight: number): void {
    const used = Math.min(this.cwnd, flight);
    this.prior = used;
    // Fast convergence, RFC 9438 section 4.7: below the last peak, leave room for others.
    this.wMax = used < this.wMax ? (used * (1 + BETA)) / 2 : used;
    this.ssthresh = Math.max(used * BETA, 2 * this.smss);
    this.target = this.ssthresh;
    this.epochMs = -1;
    this.cssBase = Number.POSITIVE_INFINITY;
  }

  /** The retransmission timer expired: one segment, then slow start (RFC 5681 section 3.1). */
  timedOut(): void {
    this.cwnd = this.smss;
    this.epochMs = -1;
    this.long?.timedOut();
  }

  /** Nothing was in flight for longer than a timeout: what is known of the path is old (RFC 5681 section 4.1). */
  idle(): void {
    this.cwnd = Math.min(this.cwnd, this.initialWindow());
    this.epochMs = -1;
  }
}
