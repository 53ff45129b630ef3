// How fast to send over a long path, by what it has delivered: a model of bottleneck rate and round trip, after BBR
// (Cardwell et al., "BBR: Congestion-Based Congestion Control", 2016; draft-ietf-ccwg-bbr).
//
// CUBIC's growth behind a loss takes ten seconds where hundreds of segments fit into a round trip, and on virtual Ethernet
// losses without congestion are common: queues of switches are short (93 frames in the classic one), so that any process on
// the way that is not run for some milliseconds loses frames (ADR 0011). So here a loss says only that slow start is over.
// Sending is paced, since batches of ACKs would otherwise let bursts out that such a queue does not hold.
//
//   Startup   the rate doubles per round trip, until it no longer grows or much is lost
//   Drain     what that has put into queues leaves again
//   Cruise    the rate found, tried a quarter higher for one round trip in eight, and a quarter lower behind it
//
// Rates are bytes per ms. A round is a round trip by the clock.

/** Shortest round trip of a path, without queues, that is a long one, ms: a busy local link is below it. */
export const LONG_RTT_MS = 10;

const Phase = { Startup: 0, Drain: 1, Cruise: 2 } as const;
type Phase = (typeof Phase)[keyof typeof Phase];

/** 2/ln 2: the smallest gain with which the rate doubles in a round trip. */
const STARTUP_GAIN = 2.885;
const DRAIN_GAIN = 0.5;
/** Rounds of Cruise: gains of the rate. */
const CYCLE = [1.25, 0.75, 1, 1, 1, 1, 1, 1] as const;
/** In flight at most, of what the path holds: room for ACKs that come late and together. */
const WINDOW_GAIN = 2;
/** The rate is the highest of so many rounds. */
const RATE_ROUNDS = 10;
/** Startup ends after so many rounds in which the rate did not grow by that much. */
const FULL_ROUNDS = 3;
const FULL_GROWTH = 1.25;
/** It ends too when so much of what was sent in a round is lost. */
const HEAVY_SHARE = 1 / 8;
const HEAVY_SEGMENTS = 16;
/** A burst is what the path carries in that time, and at least so many segments: timers tick every 4 ms. */
const BURST_MS = 5;
const BURST_SEGMENTS = 10;

export class LongPath {
  private readonly rates = new Float64Array(RATE_ROUNDS);
  private samples = 0;
  private roundMs: number;
  private roundDelivered = 0;
  private roundLost = 0;
  private roundLimited = false;
  /** What the path carries, bytes per ms. */
  rate: number;
  /** Smallest round-trip time, ms. */
  private baseMs: number;
  private phase: Phase = Phase.Startup;
  private fullRate = 0;
  private fullRounds = 0;
  private gain = STARTUP_GAIN;
  private cycle = 2;
  private smss: number;
  /** Bytes that may leave at once. */
  private credit: number;
  private creditMs: number;

  /**
   * @param window  present congestion window, bytes
   * @param smss    payload of a full segment, bytes
   * @param rttMs   round-trip time
   */
  constructor(window: number, smss: number, rttMs: number, nowMs: number) {
    this.smss = smss;
    this.rate = window / rttMs;
    this.baseMs = rttMs;
    this.roundMs = nowMs;
    this.credit = BURST_SEGMENTS * smss;
    this.creditMs = nowMs;
  }

  /** The rate is being looked for. */
  get starting(): boolean {
    return this.phase === Phase.Startup;
  }

  /** Most that may be in flight, bytes; infinite while the rate is not known yet. */
  get window(): number {
    if (this.phase === Phase.Startup) return Number.POSITIVE_INFINITY;
    return Math.max(WINDOW_GAIN * this.held, 4 * this.smss);
  }

  /** What the path holds without queues, bytes. */
  get held(): number {
    return this.rate * this.baseMs;
  }

  /** The segment size has changed. */
  resize(smss: number): void {
    this.smss = smss;
  }

  /**
   * An ACK has been taken.
   *
   * @param bytes    newly delivered
   * @param pipe     bytes in flight
   * @param limited  there was less to send than the path would take
   * @param baseMs   smallest round-trip time known
   * @param srttMs   smoothed round-trip time
   */
  delivered(bytes: number, pipe: number, limited: boolean, baseMs: number, srttMs: number, nowMs: number): void {
    this.baseMs = baseMs;
    this.roundDelivered += bytes;
    if (limited) this.roundLimited = true;
    if (this.phase === Phase.Drain && pipe <= this.held) this.cruise();
    const ms = nowMs - this.roundMs;
    if (ms < srttMs) return;
    this.endRound(this.roundDelivered / ms);
    this.roundMs = nowMs;
    this.roundDelivered = 0;
    this.roundLost = 0;
    this.roundLimited = false;
  }

  /** So many bytes are found to be lost. */
  lost(bytes: number): void {
    this.roundLost += bytes;
    if (this.phase !== Phase.Startup || this.roundLost < HEAVY_SEGMENTS * this.smss) return;
    if (this.roundLost > HEAVY_SHARE * (this.roundDelivered + this.roundLost)) this.drain();
  }

  /** The retransmission timer expired. */
  timedOut(): void {
    if (this.phase === Phase.Startup) this.drain();
  }

  private endRound(rate: number): void {
    const { rates } = this;
    // A round in which little was sent says only that the path carries that.
    if (!this.roundLimited || rate >= this.rate) {
      rates[this.samples++ % RATE_ROUNDS] = rate;
      let most = 0;
      for (let i = 0; i < RATE_ROUNDS; i++) if (rates[i]! > most) most = rates[i]!;
      this.rate = most;
    }
    if (this.phase === Phase.Startup) {
      if (this.roundLimited) return;
      if (this.rate >= this.fullRate * FULL_GROWTH) {
        this.fullRate = this.rate;
        this.fullRounds = 0;
      } else if (++this.fullRounds >= FULL_ROUNDS) {
        this.drain();
      }
    } else if (this.phase === Phase.Cruise) {
      this.gain = CYCLE[this.cycle++ % CYCLE.length]!;
    }
  }

  private drain(): void {
    this.phase = Phase.Drain;
    this.gain = DRAIN_GAIN;
  }

  private cruise(): void {
    this.phase = Phase.Cruise;
    this.gain = 1;
  }

  /** Bytes that may leave now. */
  allowance(nowMs: number): number {
    // Whatever was delivered: a segment in a round trip, so that what is lost can be sent again.
    const pace = Math.max(this.gain * this.rate, this.smss / this.baseMs);
    const most = Math.max(BURST_SEGMENTS * this.smss, BURST_MS * pace);
    this.credit = Math.min(most, this.credit + pace * (nowMs - this.creditMs));
    this.creditMs = nowMs;
    return this.credit;
  }

  /** So many bytes have left. */
  sent(bytes: number): void {
    this.credit -= bytes;
  }
}
