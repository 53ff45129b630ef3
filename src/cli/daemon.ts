// -d: the service in the background, with an honest answer in the foreground.
//
//   parent                                    child (same command line, own session)
//     spawn ------------------------------->  starts the service; standard error is a pipe to the parent
//     copies the child's standard error  <--  start-up text, warnings, or the reason of a failure
//                                             ready: standard error becomes /dev/null, then
//     exit 0  <------------- "ready" on fd 3  goes on alone
//     or: child ended -> exit with its status
//     or: time is up  -> end the child, say so, exit 1
//
// So what is printed is the same with and without -d, and a script that goes on after exit 0 finds a network that works.

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, fstatSync, openSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import type { Readable } from 'node:stream';
import { EXIT_FAILURE, EXIT_OK } from './usage-error.ts';

/** Tells the child which descriptor is the ready channel. */
const READY_FD_ENV = 'VDENET_READY_FD';
const READY_FD = 3;
const READY = 'ready\n';
/** From SIGTERM to SIGKILL for a child that was not ready in time, milliseconds. */
const KILL_AFTER_MS = 3000;

/** The child's end of the ready channel. */
export class ReadyChannel {
  /** The channel this process was given by its parent, or null when it is no background child. */
  static inherit(): ReadyChannel | null {
    const given = process.env[READY_FD_ENV];
    delete process.env[READY_FD_ENV];
    if (given !== String(READY_FD)) return null;
    try {
      const stat = fstatSync(READY_FD);
      return stat.isSocket() || stat.isFIFO() ? new ReadyChannel() : null;
    } catch {
      return null;
    }
  }

  /**
   * Lets go of the parent's terminal and reports readiness.
   *
   * @returns  false when the parent is gone and nobody knows of this process
   */
  ready(): boolean {
    closeSync(2);
    const fd = openSync('/dev/null', 'r+');
    if (fd !== 2) closeSync(fd);
    try {
      writeSync(READY_FD, READY);
      return true;
    } catch {
      return false;
    } finally {
      closeSync(READY_FD);
    }
  }
}

/**
 * Starts the running command line again in the background and waits for it.
 *
 * @param name     the command, for messages
 * @param limitMs  time the child has to become ready, milliseconds
 * @returns        exit status for this process
 */
export async function runInBackground(name: string, limitMs: number): Promise<number> {
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    detached: true,
    env: { ...process.env, [READY_FD_ENV]: String(READY_FD) },
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
  });
  return await new Promise<number>((resolve) => watch(child, name, limitMs, resolve));
}

function watch(child: ChildProcess, name: string, limitMs: number, done: (status: number) => void): void {
  const say = (text: string): void => {
    process.stderr.write(`${name}: ${text}\n`);
  };
  const channel = child.stdio[READY_FD] as Readable;
  let ready = false;
  let printed = false;
  let stderrEnded = false;
  /** Set when this side gave the child up: the status to exit with. */
  let givenUp: number | null = null;
  let killTimer: ReturnType<typeof setTimeout> | undefined;

  const giveUp = (status: number): void => {
    if (givenUp !== null || ready) return;
    givenUp = status;
    child.kill('SIGTERM');
    killTimer = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS);
  };
  const limit = setTimeout(() => {
    say(`the background process was not ready within ${limitMs} ms`);
    giveUp(EXIT_FAILURE);
  }, limitMs);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => giveUp(128 + constants.signals[signal]));
  }
  const finish = (status: number): void => {
    clearTimeout(limit);
    clearTimeout(killTimer);
    channel.destroy();
    child.unref();
    done(status);
  };
  const finishIfReady = (): void => {
    if (ready && stderrEnded && givenUp === null) finish(EXIT_OK);
  };

  child.on('error', (error) => {
    say(`cannot start the background process: ${error.message}`);
    finish(EXIT_FAILURE);
  });
  child.stderr!.on('data', (chunk: Buffer) => {
    printed = true;
    process.stderr.write(chunk);
  });
  child.stderr!.on('end', () => {
    stderrEnded = true;
    finishIfReady();
  });
  channel.on('data', (chunk: Buffer) => {
    ready ||= chunk.toString('latin1').includes(READY);
    finishIfReady();
  });
  // The other end goes away with the child; 'close' below tells the reason.
  channel.on('error', () => {});
  child.on('close', (code, signal) => {
    if (givenUp !== null) return finish(givenUp);
    if (ready) return finish(EXIT_OK);
    if (signal !== null) say(`the background process was ended by ${signal} before it was ready`);
    else if (!printed || code === EXIT_OK) say(`the background process ended with status ${code} before it was ready`);
    finish(code === null || code === EXIT_OK ? EXIT_FAILURE : code);
  });
}
