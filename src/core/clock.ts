// Time as the rest of the project sees it: monotonic milliseconds and one wake-up.

/** A source of monotonic time with one pending wake-up. Wall time never enters the data path. */
export interface Clock {
  /** Monotonic time, milliseconds (fractions allowed). */
  now(): number;
  /**
   * Asks for `run` to be called once, at or shortly after `atMs`. A later call replaces the pending one;
   * `Infinity` cancels it.
   */
  wake(atMs: number, run: () => void): void;
}

// Looked up once: the global is a getter, which costs more than the clock.
const { performance } = globalThis;

/** Real time. One host timer, unreferenced unless asked: it does not keep a process alive by itself. */
export class SystemClock implements Clock {
  private readonly keepsAlive: boolean;
  private handle: ReturnType<typeof setTimeout> | null = null;

  /** @param keepsAlive  the process goes on while a wake-up is pending */
  constructor(keepsAlive = false) {
    this.keepsAlive = keepsAlive;
  }

  now(): number {
    return performance.now();
  }

  wake(atMs: number, run: () => void): void {
    if (this.handle !== null) clearTimeout(this.handle);
    this.handle = null;
    if (atMs === Number.POSITIVE_INFINITY) return;
    const handle = setTimeout(
      () => {
        this.handle = null;
        run();
      },
      Math.max(0, Math.ceil(atMs - this.now())),
    );
    if (!this.keepsAlive) handle.unref();
    this.handle = handle;
  }
}
