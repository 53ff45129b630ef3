// Child processes of the interop tests: what they print is kept, they are stopped by their own pid, and none outlives
// the test process.
//
// Deadlines: what a test waits for happens at once on an idle machine, and a deadline only ends a wait for what will never
// happen. So none is shorter than PATIENCE_MS, whatever the test says: a slow or busy machine must not meet it.
//
// Every child carries VDENET_LAB=<id> in its environment. What a program leaves running behind its back (a daemon that
// forked away) is found by that mark in /proc, so a lab can tell when it closes whether anything is left.
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

const MARK = 'VDENET_LAB';
const KEPT_BYTES = 1 << 20; // of each output stream of a child: the newest ones
const TERM_MS = 10_000; // between SIGTERM and SIGKILL
const PIPES_MS = 500; // from the end of a child to the end of what it prints
const PATIENCE_MS = 40_000; // the shortest deadline

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Result extends Exit {
  readonly stdout: string;
  readonly stderr: string;
  /** From start to end, ms. */
  readonly ms: number;
  /** True when it was killed because its time was up. */
  readonly timedOut: boolean;
}

export interface RunOptions {
  /** Written to standard input, which is then closed. */
  readonly input?: string | Uint8Array;
  /** Killed after this long, ms, and not before PATIENCE_MS. */
  readonly timeoutMs?: number;
  readonly env?: Readonly<Record<string, string>>;
}

/** A child that runs beside the test until it is stopped. Its standard input is a pipe that stays open. */
export class Child {
  readonly title: string;
  readonly process: ChildProcess;
  readonly exited: Promise<Exit>;
  private out: Buffer[] = [];
  private err: Buffer[] = [];
  private watchers = new Set<() => void>();
  /** It has ended, and what it printed is kept. */
  private over = false;

  constructor(
    lab: string,
    argv: readonly string[],
    title = argv.join(' '),
    env: Readonly<Record<string, string>> = {},
  ) {
    this.title = title;
    this.process = spawn(argv[0]!, argv.slice(1), {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...env, [MARK]: lab },
    });
    this.process.stdin!.on('error', () => {});
    this.process.stdout!.on('data', (data: Buffer) => this.keep(this.out, data));
    this.process.stderr!.on('data', (data: Buffer) => this.keep(this.err, data));
    this.exited = new Promise((resolve) => {
      this.process.on('error', (error) => {
        this.keep(this.err, Buffer.from(`${error.message}\n`));
        resolve({ code: 127, signal: null });
      });
      this.process.on('close', (code, signal) => resolve({ code, signal }));
      // Its pipes may be held open by what it has started and left.
      this.process.on('exit', (code, signal) => {
        // The immediate: after a stall of this process, what is in the pipes is read first.
        setTimeout(() => setImmediate(resolve, { code, signal }), PIPES_MS).unref();
      });
    });
    void this.exited.then(() => {
      this.over = true;
      // What it has left running must not keep the tests' process from its end.
      this.process.stdout!.destroy();
      this.process.stderr!.destroy();
      this.wake();
    });
  }

  /** 0 when it could not be started. */
  get pid(): number {
    return this.process.pid ?? 0;
  }

  get running(): boolean {
    return this.pid !== 0 && this.process.exitCode === null && this.process.signalCode === null;
  }

  get stdout(): string {
    return Buffer.concat(this.out).toString();
  }

  get stdoutBytes(): Buffer {
    return Buffer.concat(this.out);
  }

  get stderr(): string {
    return Buffer.concat(this.err).toString();
  }

  write(data: string | Uint8Array): void {
    this.process.stdin!.write(data);
  }

  end(data: string | Uint8Array = ''): void {
    this.process.stdin!.end(data);
  }

  kill(signal: NodeJS.Signals = 'SIGTERM'): void {
    if (this.running) this.process.kill(signal);
  }

  /**
   * Waits until `test` holds, looked at whenever the child prints or ends; throws when it cannot hold any more: the child
   * has ended and all that it printed is here, or the time is up (at least PATIENCE_MS).
   */
  async until(test: (child: Child) => boolean, timeoutMs: number, what: string): Promise<void> {
    const limit = Math.max(timeoutMs, PATIENCE_MS);
    const end = performance.now() + limit;
    while (!test(this)) {
      const left = end - performance.now();
      if (left <= 0 || this.over) {
        const why = this.running ? `not within ${limit} ms` : 'it has ended';
        throw new Error(`${this.title}: ${what}: ${why}\n${this.stdout}${this.stderr}`);
      }
      await this.changed(left);
    }
  }

  /** Asks it to end, insists after ten seconds, and waits for the end. */
  async stop(): Promise<Exit> {
    if (this.running) this.process.kill('SIGTERM');
    const timer = setTimeout(() => this.process.kill('SIGKILL'), TERM_MS);
    const exit = await this.exited;
    clearTimeout(timer);
    return exit;
  }

  private keep(list: Buffer[], data: Buffer): void {
    list.push(data);
    let total = list.reduce((sum, part) => sum + part.length, 0);
    while (total > KEPT_BYTES && list.length > 1) total -= list.shift()!.length;
    this.wake();
  }

  private wake(): void {
    for (const watcher of [...this.watchers]) watcher();
  }

  private changed(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.watchers.delete(done);
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      this.watchers.add(done);
    });
  }
}

/** Runs a program to its end, or kills it when its time is up. Never rejects. */
export async function run(lab: string, argv: readonly string[], options: RunOptions = {}): Promise<Result> {
  const start = performance.now();
  const child = new Child(lab, argv, argv.join(' '), options.env);
  let timedOut = false;
  const timer = setTimeout(
    () => {
      timedOut = true;
      child.kill('SIGKILL');
    },
    Math.max(options.timeoutMs ?? 0, PATIENCE_MS),
  );
  child.end(options.input);
  const exit = await child.exited;
  clearTimeout(timer);
  return { ...exit, stdout: child.stdout, stderr: child.stderr, ms: performance.now() - start, timedOut };
}

/** Runs a program that must succeed; its standard output. */
export async function must(lab: string, argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const result = await run(lab, argv, options);
  if (result.code !== 0) {
    const how = result.timedOut ? 'timed out' : `ended with ${result.signal ?? result.code}`;
    throw new Error(`${argv.join(' ')}: ${how}\n${result.stderr}${result.stdout}`);
  }
  return result.stdout;
}

/** Polls until `test` holds, for at least PATIENCE_MS. */
export async function until(
  test: () => boolean | Promise<boolean>,
  timeoutMs: number,
  what: string | (() => string),
): Promise<void> {
  const limit = Math.max(timeoutMs, PATIENCE_MS);
  const end = performance.now() + limit;
  while (!(await test())) {
    if (performance.now() > end) throw new Error(`not within ${limit} ms: ${typeof what === 'string' ? what : what()}`);
    await delay(10);
  }
}

/** Tells whether a process runs: one that has ended and is not yet collected does not. */
export function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat[stat.lastIndexOf(')') + 2] !== 'Z';
  } catch {
    return false;
  }
}

/** Pids of all running processes that were started, however indirectly, by the lab `id`. */
export function processesOf(id: string): number[] {
  const mark = `${MARK}=${id}`;
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const marked = readFileSync(`/proc/${name}/environ`, 'latin1').split('\0').includes(mark);
      return marked && isRunning(Number(name)) ? [Number(name)] : [];
    } catch {
      return []; // ended meanwhile, or another user's
    }
  });
}

/** The command line of a process, for messages. */
export function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').join(' ').trim();
  } catch {
    return '';
  }
}
