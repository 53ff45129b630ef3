/** One-shot timers and monotonic time of a link's control path; tests give their own. */
export interface Timers {
  /** Monotonic milliseconds. */
  now(): number;
  /** Calls `run` once after `ms`. Keeps the process alive: a link that waits to reconnect is in use. */
  start(run: () => void, ms: number): unknown;
  stop(handle: unknown): void;
}

export const SYSTEM_TIMERS: Timers = {
  now: () => performance.now(),
  start: (run, ms) => setTimeout(run, ms),
  stop: (handle) => clearTimeout(handle as NodeJS.Timeout),
};
