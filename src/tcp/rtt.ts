// Round-trip time and retransmission timeout of one connection, RFC 6298.
//
// Samples come from segments that were sent once (Karn) or from timestamps. One is taken per ACK, which can be many per
// round trip, so the gains are divided by the number expected (RFC 7323 appendix G). The floor of the timeout is 200 ms,
// below the RFC's "whenever possible 1 second", as all common stacks have it; the ceiling is the RFC's 60 s.

const RTO_INITIAL_MS = 1000; // RFC 6298 (2.1)
const RTO_AFTER_SYN_MS = 3000; // RFC 6298 (5.7): the SYN was retransmitted
const RTO_MIN_MS = 200;
const RTO_MAX_MS = 60_000; // RFC 6298 (2.5)
const CLOCK_GRANULARITY_MS = 4; // a tick of the timer wheel
const MAX_BACKOFF = 16;

export class RttEstimator {
  /** Smoothed round-trip time, ms; 0 before the first sample. */
  srttMs = 0;
  /** Variation of the round-trip time, ms. */
  rttvarMs = 0;
  /** Timeout without back-off, ms. */
  private baseMs = RTO_INITIAL_MS;
  /** Doublings in force: timeouts since the last ACK of something new. */
  backoff = 0;

  /**
   * @param ms        measured round-trip time
   * @param expected  samples expected in one round trip, at least 1
   */
  sample(ms: number, expected: number): void {
    if (this.srttMs === 0) {
      this.srttMs = Math.max(ms, 0.001);
      this.rttvarMs = ms / 2;
    } else {
      this.rttvarMs += (Math.abs(this.srttMs - ms) - this.rttvarMs) / (4 * expected);
      this.srttMs += (ms - this.srttMs) / (8 * expected);
    }
    const rto = this.srttMs + Math.max(CLOCK_GRANULARITY_MS, 4 * this.rttvarMs);
    this.baseMs = Math.min(Math.max(rto, RTO_MIN_MS), RTO_MAX_MS);
  }

  /** The retransmission timeout, ms. */
  get rtoMs(): number {
    return this.backoff === 0 ? this.baseMs : this.backedOff(this.backoff);
  }

  /** The timeout after `doublings` of it, ms; the spacing of persist probes too. */
  backedOff(doublings: number): number {
    return Math.min(this.baseMs * 2 ** Math.min(doublings, MAX_BACKOFF), RTO_MAX_MS);
  }

  /** A timeout happened: the next one takes twice as long. */
  timedOut(): void {
    if (this.backoff < MAX_BACKOFF) this.backoff++;
  }

  /** The handshake needed a retransmission and gave no sample. */
  synWasLost(): void {
    if (this.srttMs === 0) this.baseMs = RTO_AFTER_SYN_MS;
  }
}
