// Token buckets: one for all, and one for each hardware address in a table of fixed size.

/** Lets `rate` events a second pass, and `burst` at once after a pause. */
export class TokenBucket {
  private readonly perMs: number;
  private readonly burst: number;
  private tokens: number;
  private last: number;

  /**
   * @param rate   events per second
   * @param burst  events that pass at once when none came for long
   * @param now    monotonic ms
   */
  constructor(rate: number, burst: number, now: number) {
    this.perMs = rate / 1000;
    this.burst = burst;
    this.tokens = burst;
    this.last = now;
  }

  /** True when one more event may pass at `now`; it is counted then. */
  take(now: number): boolean {
    this.tokens = Math.min(this.burst, this.tokens + (now - this.last) * this.perMs);
    this.last = now;
    if (this.tokens < 1) return false;
    this.tokens -= 1;
    return true;
  }
}

const SLOTS = 1024;

/**
 * One bucket for each hardware address. Two addresses that fall on one slot take it from each other, and start with a
 * full bucket: the limit for all keeps what can be won by that small.
 */
export class MacRateLimit {
  private readonly perMs: number;
  private readonly burst: number;
  private readonly hi = new Int32Array(SLOTS).fill(-1);
  private readonly lo = new Int32Array(SLOTS);
  private readonly tokens = new Float64Array(SLOTS);
  private readonly last = new Float64Array(SLOTS);

  constructor(rate: number, burst: number) {
    this.perMs = rate / 1000;
    this.burst = burst;
  }

  /** As TokenBucket.take, for one hardware address: upper 16 and lower 32 bits. */
  take(hi: number, lo: number, now: number): boolean {
    const i = (Math.imul(hi ^ Math.imul(lo, 0x85ebca6b), 0x9e3779b1) >>> 16) & (SLOTS - 1);
    if (this.hi[i] !== hi || this.lo[i] !== (lo | 0)) {
      this.hi[i] = hi;
      this.lo[i] = lo;
      this.tokens[i] = this.burst;
    } else {
      this.tokens[i] = Math.min(this.burst, this.tokens[i]! + (now - this.last[i]!) * this.perMs);
    }
    this.last[i] = now;
    if (this.tokens[i]! < 1) return false;
    this.tokens[i]! -= 1;
    return true;
  }
}
