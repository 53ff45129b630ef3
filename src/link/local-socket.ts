// A listening Unix stream socket at a path that the user names, for management.
//
//   PATH        mode 0600 unless asked otherwise, from the first moment it has a name
//   PATH.lock   held by flock(2) for as long as the socket is used: decides between two of us
//
// A socket that is there already is taken over only when it refuses connections: then its server was killed. What is not
// a socket is never removed.

import { lstatSync } from 'node:fs';
import { resolve } from 'node:path';
import { VdeError } from '../core/errors.ts';
import { type NativeApi, native, SOCK_STREAM } from '../native/native.ts';
import { bindSocket, knock, lockFile, unlockFile } from './listen-file.ts';
import { removeSocket } from './socket-file.ts';
import { MAX_PATH } from './vde-protocol.ts';

export interface LocalSocketOptions {
  path: string;
  /** Permissions; default 0600. */
  mode?: number;
  /** Group, -1 (the default) for the process's own. */
  gid?: number;
}

export class LocalSocket {
  /** Absolute. */
  readonly path: string;
  readonly mode: number;
  /** Bound and listening; its taker accepts, and closes it. */
  readonly fd: number;
  private readonly lockFd: number;
  private readonly inode: number;
  private released = false;

  private constructor(path: string, mode: number, fd: number, lockFd: number) {
    this.path = path;
    this.mode = mode;
    this.fd = fd;
    this.lockFd = lockFd;
    this.inode = lstatSync(path).ino;
  }

  /**
   * Binds the socket. Rejects with ERR_VDE_MANAGEMENT_SOCKET (somebody listens there, or another file is in the way),
   * ERR_VDE_PATH_TOO_LONG, ERR_VDE_NO_NATIVE or ERR_VDE_SYSTEM, and then leaves nothing behind.
   */
  static async open(options: LocalSocketOptions): Promise<LocalSocket> {
    const api = native();
    const path = resolve(options.path);
    if (Buffer.byteLength(path) > MAX_PATH)
      throw new VdeError('ERR_VDE_PATH_TOO_LONG', `the management socket ${path} is longer than ${MAX_PATH} bytes`);
    const lockFd = takeLock(api, path);
    try {
      await removeStale(path);
      const mode = options.mode ?? 0o600;
      return new LocalSocket(path, mode, bindSocket(api, SOCK_STREAM, path, mode, options.gid ?? -1), lockFd);
    } catch (error) {
      unlockFile(lockOf(path), lockFd);
      throw error;
    }
  }

  /** Removes the socket's name, if it still is this socket's, and the lock. Safe to call twice. */
  release(): void {
    if (this.released) return;
    this.released = true;
    if (lstatSync(this.path, { throwIfNoEntry: false })?.ino === this.inode) removeSocket(this.path);
    unlockFile(lockOf(this.path), this.lockFd);
  }
}

const lockOf = (path: string): string => `${path}.lock`;

const inUse = (path: string): VdeError =>
  new VdeError('ERR_VDE_MANAGEMENT_SOCKET', `another process already serves the management socket ${path}`);

function takeLock(api: NativeApi, path: string): number {
  let fd: number | 'held' | 'foreign';
  try {
    fd = lockFile(api, lockOf(path));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new VdeError('ERR_VDE_SYSTEM', `cannot make the management socket ${path}: ${code ?? message}`, {
      cause: error,
    });
  }
  if (fd === 'held') throw inUse(path);
  if (fd === 'foreign')
    throw new VdeError('ERR_VDE_MANAGEMENT_SOCKET', `${lockOf(path)} is not a file of this user; not using it`);
  return fd;
}

/** Removes the socket of a server that was killed; throws when another file is there, or somebody listens. */
async function removeStale(path: string): Promise<void> {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return;
  if (!stats.isSocket())
    throw new VdeError('ERR_VDE_MANAGEMENT_SOCKET', `${path} is in the way and is not a socket; remove it`);
  const answer = await knock(path);
  if (answer === 'open' || answer === 'EAGAIN') throw inUse(path);
  if (answer !== 'ECONNREFUSED' && answer !== 'ENOENT')
    throw new VdeError('ERR_VDE_SYSTEM', `cannot tell whether anybody listens at ${path}: ${answer}`);
  removeSocket(path);
}
