// How many addresses of a pool are at each port of the switch.
//
// Stations move between ports, so the numbers are counted, not kept: at most once a second, and what is granted until
// the next count is added. So a flood of new clients costs the same for each, however many leases there are.

import type { LeasePool } from './lease-pool.ts';

const COUNT_MS = 1000;

/** The port of the switch where a station was heard, or -1. */
export type PortOf = (macHi: number, macLo: number) => number;

export class PortShares {
  private readonly pool: LeasePool;
  private readonly portOf: PortOf;
  private readonly counts = new Map<number, number>();
  private countedAt = Number.NEGATIVE_INFINITY;

  constructor(pool: LeasePool, portOf: PortOf) {
    this.pool = pool;
    this.portOf = portOf;
  }

  /** Takes one address for a station's port, if fewer than `limit` are there; false when they are not. */
  take(macHi: number, macLo: number, limit: number, now: number): boolean {
    const port = this.portOf(macHi, macLo);
    if (port < 0) return true;
    if (now - this.countedAt >= COUNT_MS) this.count(now);
    const held = this.counts.get(port) ?? 0;
    if (held >= limit) return false;
    this.counts.set(port, held + 1);
    return true;
  }

  private count(now: number): void {
    this.countedAt = now;
    this.counts.clear();
    for (const [hi, lo, count] of this.pool.stations()) {
      const port = this.portOf(hi, lo);
      this.counts.set(port, (this.counts.get(port) ?? 0) + count);
    }
  }
}
