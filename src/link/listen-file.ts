// What a server does with names in a directory that others may use as well: bind a socket that has its permissions
// before it has a name, find out whether a socket that is there is alive, and let only one of us do so at a time.

import { closeSync, constants, fchmodSync, fstatSync, openSync, statSync, unlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { VdeError } from '../core/errors.ts';
import { errnoName } from '../native/errno.ts';
import { AF_UNIX, type NativeApi, SOCK_STREAM } from '../native/native.ts';
import { effectiveUid } from './accounts.ts';
import { removeSocket, setSocketAccess } from './socket-file.ts';

/** Connections that wait to be accepted. */
const BACKLOG = 511;

/**
 * A bound socket with its final mode and group (-1: the process's own). A stream socket listens from the moment at which it
 * has a name, so that who waits for the name can connect. Throws a VdeError.
 */
export function bindSocket(api: NativeApi, type: number, path: string, mode: number, gid: number): number {
  const fd = api.socket(AF_UNIX, type, 0);
  if (fd < 0) throw new VdeError('ERR_VDE_SYSTEM', `vde: cannot make a socket for ${path}: ${errnoName(fd)}`);
  fchmodSync(fd, mode);
  const bound = api.bindUnix(fd, path);
  const status = bound === 0 && type === SOCK_STREAM ? api.listen(fd, BACKLOG) : bound;
  if (status < 0) {
    api.close(fd);
    throw new VdeError('ERR_VDE_SYSTEM', `vde: cannot bind ${path}: ${errnoName(status)}`);
  }
  if (setSocketAccess(path, effectiveUid(), { mode, gid })) return fd;
  api.close(fd);
  removeSocket(path);
  throw new VdeError('ERR_VDE_SYSTEM', `vde: cannot set mode and group of ${path}`);
}

/** Connects to a stream socket and hangs up: `open`, or the error code. EAGAIN: its backlog is full. */
export const knock = (path: string): Promise<string> =>
  new Promise((done) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      done('open');
    });
    socket.once('error', (error: NodeJS.ErrnoException) => done(error.code ?? error.message));
  });

/**
 * Makes a lock file if need be and locks it, for as long as the descriptor is open.
 *
 * @returns the descriptor; `held`: another process has the lock; `foreign`: the file is not a file of this user or root
 */
export function lockFile(api: NativeApi, file: string): number | 'held' | 'foreign' {
  for (;;) {
    const fd = openSync(file, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
    const stats = fstatSync(fd);
    const ours = stats.isFile() && (stats.uid === effectiveUid() || stats.uid === 0);
    const status = ours ? api.flock(fd) : 0;
    // Whoever had the lock may have removed the file between our open and our lock.
    const current = statSync(file, { throwIfNoEntry: false })?.ino === stats.ino;
    if (ours && status === 0 && current) return fd;
    closeSync(fd);
    if (!ours) return 'foreign';
    if (status < 0) return 'held';
  }
}

/** Removes a lock file and gives up the lock. */
export function unlockFile(file: string, fd: number): void {
  try {
    unlinkSync(file);
  } catch {
    // removed by somebody else: there is nothing left to do
  }
  closeSync(fd);
}
