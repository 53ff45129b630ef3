import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { errnoName } from '../../src/native/errno.ts';
import { AF_UNIX, type NativeApi, native, SOCK_DGRAM } from '../../src/native/native.ts';

export const api: NativeApi = native();

/** Bytes from one slot to the next; no power of two, as in production. */
export const STRIDE = 2112;

/** A new directory under the system's temporary one, removed after the test. */
export function directory(t: ExecutionContext): string {
  const path = mkdtempSync(join(tmpdir(), 'vdenet-native-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const open = new Set<number>();

/** Closes a descriptor of `closing` before the test ends. */
export function close(fd: number): void {
  if (open.delete(fd)) api.close(fd);
}

/** A descriptor that is closed after the test at the latest; fails the test when it is an error. */
export function closing(t: ExecutionContext, fd: number): number {
  if (fd < 0) throw new Error(`no descriptor but ${errnoName(fd)}`);
  open.add(fd);
  t.teardown(() => close(fd));
  return fd;
}

export interface Pair {
  a: number;
  b: number;
  pathA: string;
  pathB: string;
}

/** Two Unix datagram sockets, bound and connected to each other as the ends of a VDE data path are. */
export function pair(t: ExecutionContext): Pair {
  const dir = directory(t);
  const a = closing(t, api.socket(AF_UNIX, SOCK_DGRAM, 0));
  const b = closing(t, api.socket(AF_UNIX, SOCK_DGRAM, 0));
  const pathA = join(dir, 'a');
  const pathB = join(dir, 'b');
  const results = [
    api.bindUnix(a, pathA),
    api.bindUnix(b, pathB),
    api.connectUnix(a, pathB),
    api.connectUnix(b, pathA),
  ];
  t.deepEqual(results, [0, 0, 0, 0]);
  return { a, b, pathA, pathB };
}

/** Resolves with the events of the first wake-up, and ends the watch. */
export function wakeUp(fd: number, events: number): Promise<number> {
  return new Promise((resolve) => {
    const poll = api.poll(fd, events, (seen) => {
      api.pollClose(poll);
      resolve(seen);
    });
  });
}

/** Lets the event loop look for readiness `count` times. */
export async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

export interface Ended {
  code: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end, whatever that is; 30 s at most. */
export function run(command: string, args: string[], env: NodeJS.ProcessEnv = process.env): Promise<Ended> {
  return new Promise((resolve) => {
    const child = execFile(command, args, { env, timeout: 30_000 }, (_error, stdout, stderr) =>
      resolve({ code: child.exitCode, signal: child.signalCode, stdout, stderr }),
    );
  });
}

/** Runs a scenario of children.ts in a process of its own. */
export function child(scenario: string, nodeArguments: string[] = []): Promise<Ended> {
  const script = fileURLToPath(new URL('children.ts', import.meta.url));
  return run(process.execPath, ['--import=tsx', ...nodeArguments, script, scenario]);
}

/** Ends a test that this machine cannot run: with the reason in the log, or as a failure where CI=true. */
export function cannotRun(t: ExecutionContext, reason: string): void {
  if (process.env['CI'] === 'true') t.fail(reason);
  else {
    t.log(`not run: ${reason}`);
    t.pass();
  }
}
