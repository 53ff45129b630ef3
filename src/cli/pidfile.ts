// Pid files that are whole or absent, and that belong to one process.
//
// The file is written under a temporary name and then linked to its own: link(2) fails when the name exists, so readers
// never see half a file and two starts cannot both succeed. A file that exists is looked at: when its process is gone, or
// is some other program that got the number later, the file is stale and taken over. What is no pid file is never touched.
// At the end the file is removed only while it is still the one written here: the original's clean-up deletes the file of
// the instance that was running before it.

import {
  closeSync,
  constants,
  linkSync,
  lstatSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename } from 'node:path';
import { VdeError } from '../core/errors.ts';

export interface PidFile {
  /** Pid of the process whose stale file was replaced, or null. */
  readonly replaced: number | null;
  /** Removes the file if it is still ours. Never throws. */
  remove(): void;
}

/** Attempts against others that take over the same stale file at the same time. */
const MAX_ATTEMPTS = 5;

/**
 * Writes the pid of this process, or another id, to `path`.
 *
 * @param command  what the command line of a process that may own such a file holds: `slirpvde`
 * @param id       what to write instead: the pid of a child, or a process group as a negative number
 * @throws VdeError  ERR_VDE_PID_FILE
 */
export function createPidFile(path: string, command: string, id = process.pid): PidFile {
  const temporary = `${path}.${process.pid}.new`;
  let replaced: number | null = null;
  try {
    writeFileSync(temporary, `${id}\n`, { flag: 'wx', mode: 0o644 });
  } catch (error) {
    throw failure(path, 'cannot be written', error);
  }
  try {
    for (let attempt = 1; ; attempt++) {
      try {
        linkSync(temporary, path);
        break;
      } catch (error) {
        if (codeOf(error) !== 'EEXIST' || attempt === MAX_ATTEMPTS) throw failure(path, 'cannot be written', error);
      }
      replaced = removeStale(path, command, id < 0) ?? replaced;
    }
    const ino = lstatSync(path).ino;
    return { replaced, remove: () => removeOwn(path, ino, id) };
  } finally {
    unlinkQuietly(temporary);
  }
}

/** Moves a stale pid file out of the way and gives its pid; null when the file vanished by itself. Throws when in use. */
function removeStale(path: string, command: string, group: boolean): number | null {
  const found = readPidFile(path, group);
  if (found === null) return null;
  if (isRunning(found.pid, command)) {
    throw new VdeError(
      'ERR_VDE_PID_FILE',
      `pid file ${path} belongs to process ${found.pid}, which is running; stop it or choose another file`,
    );
  }
  // Renamed first: if another start has replaced the file in between, what was moved is not what was read.
  const aside = `${path}.${process.pid}.old`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw failure(path, 'cannot be replaced', error);
  }
  try {
    if (lstatSync(aside).ino !== found.ino) linkSync(aside, path);
  } catch (error) {
    throw failure(path, 'was replaced by another process', error);
  } finally {
    unlinkQuietly(aside);
  }
  return found.pid;
}

/** Pid, or process group (negative), and inode of a pid file, or null when there is none. Throws when it is something else. */
function readPidFile(path: string, group: boolean): { pid: number; ino: number } | null {
  const bytes = Buffer.alloc(32);
  let length: number;
  let ino: number;
  try {
    const stat = lstatSync(path);
    if (!stat.isFile()) throw new VdeError('ERR_VDE_PID_FILE', `pid file ${path} exists and is not a regular file`);
    ino = stat.ino;
    const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      length = readSync(fd, bytes);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (error instanceof VdeError) throw error;
    if (codeOf(error) === 'ENOENT') return null;
    throw failure(path, 'exists and cannot be read', error);
  }
  const text = bytes.toString('latin1', 0, length).trim();
  if (!(group ? /^-[1-9]\d{0,9}$/ : /^[1-9]\d{0,9}$/).test(text)) {
    throw new VdeError(
      'ERR_VDE_PID_FILE',
      `pid file ${path} exists and holds no process id; remove it or choose another`,
    );
  }
  return { pid: Number(text), ino };
}

/** True when `pid` is a living process, or group (negative), whose leader may be an instance of `command`. */
function isRunning(pid: number, command: string): boolean {
  if (Math.abs(pid) === process.pid) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: there is such a process, of another user.
    if (codeOf(error) !== 'EPERM') return false;
  }
  let words: string[];
  try {
    words = readFileSync(`/proc/${Math.abs(pid)}/cmdline`, 'utf8').split('\0');
  } catch {
    // No /proc here, or not for us: believe the file.
    return true;
  }
  return words.some((word) => basename(word).includes(command));
}

function removeOwn(path: string, ino: number, id: number): void {
  try {
    if (lstatSync(path).ino === ino && readPidFile(path, id < 0)?.pid === id) unlinkSync(path);
  } catch {
    // Gone, or no longer ours.
  }
}

function unlinkQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // It was not there.
  }
}

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code;

const failure = (path: string, what: string, cause: unknown): VdeError =>
  new VdeError('ERR_VDE_PID_FILE', `pid file ${path} ${what}: ${codeOf(cause) ?? String(cause)}`, { cause });
