// Storm policing: a token bucket for each kind of flooded frame on each port that has a limit.

import { Drop } from '../core/drop.ts';

/** What is policed: frames to all, to groups, and to stations that are not known. */
export type StormKind = 'broadcast' | 'multicast' | 'unknown';
export const STORM_KINDS: readonly StormKind[] = ['broadcast', 'multicast', 'unknown'];

/** Recommended limits, frames a second and frames at once. */
export const STORM_RATE = 10_000;
export const STORM_BURST = 2000;

const REASONS: Readonly<Record<StormKind, Drop>> = {
  broadcast: Drop.StormBroadcast,
  multicast: Drop.StormMulticast,
  unknown: Drop.StormUnknown,
};

/** One limit, for consoles. */
export interface StormLimit {
  readonly port: number;
  readonly kind: StormKind;
  readonly rate: number;
  readonly burst: number;
}

interface Bucket extends StormLimit {
  tokens: number;
  filledAt: number;
}

export class Storm {
  /** By port number; a port without limits has no entry. */
  private readonly ports = new Map<number, Partial<Record<StormKind, Bucket>>>();

  /**
   * Sets a limit of a port.
   *
   * @param rate   frames a second; 0 removes the limit
   * @param burst  frames at once, at least 1
   * @param nowMs  present time
   */
  set(port: number, kind: StormKind, rate: number, burst: number, nowMs: number): void {
    const buckets = this.ports.get(port) ?? {};
    if (rate > 0) {
      const size = Math.max(1, burst);
      buckets[kind] = { port, kind, rate, burst: size, tokens: size, filledAt: nowMs };
      this.ports.set(port, buckets);
    } else {
      delete buckets[kind];
      if (Object.keys(buckets).length === 0) this.ports.delete(port);
    }
  }

  limits(port: number): boolean {
    return this.ports.has(port);
  }

  list(): StormLimit[] {
    return [...this.ports.values()].flatMap((buckets) =>
      STORM_KINDS.flatMap((kind) => {
        const bucket = buckets[kind];
        return bucket === undefined ? [] : [{ port: bucket.port, kind, rate: bucket.rate, burst: bucket.burst }];
      }),
    );
  }

  /** A port is gone. */
  forget(port: number): void {
    this.ports.delete(port);
  }

  /** Takes a token: `Drop.None`, or the reason to drop the frame. */
  police(port: number, kind: StormKind, nowMs: number): Drop {
    const bucket = this.ports.get(port)?.[kind];
    if (bucket === undefined) return Drop.None;
    bucket.tokens = Math.min(bucket.burst, bucket.tokens + ((nowMs - bucket.filledAt) * bucket.rate) / 1000);
    bucket.filledAt = nowMs;
    if (bucket.tokens < 1) return REASONS[kind];
    bucket.tokens--;
    return Drop.None;
  }
}
