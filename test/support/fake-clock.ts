import type { Clock } from '../../src/core/clock.ts';

/** Time that moves only by `advance`; wake-ups asked for on the way are run at their own time. */
export class FakeClock implements Clock {
  private time: number;
  private wakeAt = Number.POSITIVE_INFINITY;
  private run: (() => void) | null = null;

  constructor(startMs = 1_000_000) {
    this.time = startMs;
  }

  now(): number {
    return this.time;
  }

  wake(atMs: number, run: () => void): void {
    this.wakeAt = atMs;
    this.run = run;
  }

  /** When the next wake-up is due, ms; Infinity when none is. */
  get next(): number {
    return this.wakeAt;
  }

  advance(ms: number): void {
    const end = this.time + ms;
    while (this.wakeAt <= end) {
      this.time = Math.max(this.time, this.wakeAt);
      const run = this.run!;
      this.wakeAt = Number.POSITIVE_INFINITY;
      run();
    }
    this.time = end;
  }
}
