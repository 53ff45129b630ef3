// The life of a service process: it ends by a signal, by a failed start or by a defect, and each time in the same order.
//
//   SIGTERM, SIGINT                clean up, exit 0
//   SIGHUP                         the terminal is gone, or nobody wants to hear of it: clean up, exit 0; else `onHangup`
//   uncaught exception, rejection  log it, clean up, exit 70
//   stop(status)                   clean up, exit with that status
//
// Cleaning up: the functions given to `defer` run in reverse order, one after the other, all together within the bound;
// then those given to `atExit`, which are synchronous and run whatever happened before. Further signals while this goes
// on are ignored: the bound holds, and a terminal often sends SIGINT to npm and to us.

import { closeSync, constants, openSync } from 'node:fs';
import type { Log } from './log.ts';
import { EXIT_DEFECT, EXIT_FAILURE, EXIT_OK } from './usage-error.ts';

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/** Whether this process has a terminal that controls it: not once that has been closed. */
function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', constants.O_RDONLY | constants.O_NOCTTY | constants.O_NONBLOCK));
    return true;
  } catch {
    return false;
  }
}

export class Lifecycle {
  private readonly log: Log;
  private readonly boundMs: number;
  private readonly deferred: (() => Promise<void> | void)[] = [];
  private readonly finals: (() => void)[] = [];
  private status = EXIT_OK;
  private ending = false;
  private hadTerminal = false;
  /** Called for a SIGHUP that somebody sent, not for that of a terminal which was closed. */
  onHangup: (() => void) | null = null;

  /** @param boundMs  time for all deferred functions together, milliseconds */
  constructor(log: Log, boundMs: number) {
    this.log = log;
    this.boundMs = boundMs;
  }

  /**
   * Takes over signals and uncaught exceptions, and keeps the process alive until it is stopped.
   *
   * @param signals  those that end the process
   */
  begin(signals: readonly NodeJS.Signals[] = SIGNALS): void {
    this.hadTerminal = hasTerminal();
    for (const signal of signals) {
      process.on(signal, () => {
        if (signal === 'SIGHUP' && this.onHangup !== null && !(this.hadTerminal && !hasTerminal())) {
          if (!this.ending) this.onHangup();
          return;
        }
        if (!this.ending) this.log.debug(`${signal}: ending`);
        this.stop(EXIT_OK);
      });
    }
    process.on('uncaughtException', (error) => {
      this.log.error(`unexpected ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      this.stop(EXIT_DEFECT);
    });
    process.on('exit', () => this.runFinals());
    // Sockets and timers of a service may all be closed or unreferenced for a while: it still has work to do.
    setInterval(() => {}, 0x7fffffff);
  }

  /** True from the first stop() on. */
  get stopping(): boolean {
    return this.ending;
  }

  /** Has `run` called when the process ends. */
  defer(run: () => Promise<void> | void): void {
    this.deferred.push(run);
  }

  /** Has `run` called as the very last, in every case but SIGKILL. */
  atExit(run: () => void): void {
    this.finals.push(run);
  }

  /** Cleans up and exits. Of several statuses the largest counts. */
  stop(status: number): void {
    this.status = Math.max(this.status, status);
    if (this.ending) return;
    this.ending = true;
    const timer = setTimeout(() => {
      this.log.error(`not everything could be closed within ${this.boundMs} ms`);
      process.exit(Math.max(this.status, EXIT_FAILURE));
    }, this.boundMs);
    void this.runDeferred().then(() => {
      clearTimeout(timer);
      process.exit(this.status);
    });
  }

  private async runDeferred(): Promise<void> {
    for (let run = this.deferred.pop(); run !== undefined; run = this.deferred.pop()) {
      try {
        await run();
      } catch (error) {
        this.log.error(`while ending: ${error instanceof Error ? error.message : String(error)}`);
        this.status = Math.max(this.status, EXIT_FAILURE);
      }
    }
  }

  private runFinals(): void {
    for (let run = this.finals.pop(); run !== undefined; run = this.finals.pop()) run();
  }
}
