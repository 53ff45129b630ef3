// The control directory of a server: made or taken over safely, and left empty.
//
//   PATH/           2700 by default
//   PATH/ctl        listening stream socket
//   PATH/.lock      held by flock(2) for the life of the server; tells whether we made the directory
//   PATH/NNN.FD     data sockets
//
// Other users may have been here first (PATH is often in /tmp), and so may have been a server that was killed:
// - The directory must be a real one, of this user or root, and not writable by others unless sticky or asked for.
// - One server at a time: the lock decides between two of us, a connect to `ctl` finds a classic switch. A `ctl` that
//   refuses connections is left over; it is removed, with the data sockets beside it. What is no socket is not touched.
// - Sockets get their mode before they have a name, so there is no moment at which others may connect.

import {
  chmodSync,
  chownSync,
  fchmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readSync,
  rmdirSync,
  type Stats,
  writeSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { VdeError } from '../core/errors.ts';
import { errnoName } from '../native/errno.ts';
import { type NativeApi, SOCK_STREAM } from '../native/native.ts';
import { effectiveUid } from './accounts.ts';
import { bindSocket, knock, lockFile, unlockFile } from './listen-file.ts';
import { removeSocket, setSocketAccess } from './socket-file.ts';
import { MAX_PATH } from './vde-protocol.ts';

const DEFAULT_SOCKET_MODE = 0o600;
const DEFAULT_DIR_MODE = 0o2700;
/** Longest name that the server puts behind the directory: a slash and a data socket. */
const LONGEST_NAME = '/NNN.FFFFF'.length;
const DATA_SOCKET = /^\d{3,5}\.\d{1,7}$/;
const CREATED = 'created by vdenet\n';

export interface ControlDirOptions {
  path: string;
  /** Mode of `ctl` and the data sockets, octal permission bits. */
  mode?: number;
  /** Mode of the directory. */
  dirMode?: number;
  /** Group of directory and sockets, -1 or absent for the process's own. */
  gid?: number;
}

/** Modes as vde_switch derives them from -m and --dirmode, of which either may be missing. */
export function modes(mode: number | undefined, dirMode: number | undefined): { socket: number; dir: number } {
  if (mode === undefined && dirMode === undefined) return { socket: DEFAULT_SOCKET_MODE, dir: DEFAULT_DIR_MODE };
  const socket = mode ?? dirMode! & 0o666;
  // Search permission for every class that may read or write the socket.
  const search = (socket >> 2) | (socket >> 1) | socket;
  return { socket, dir: dirMode ?? 0o2000 | socket | (search & 0o111) };
}

export class ControlDir {
  /** Absolute path of the directory. */
  readonly path: string;
  /** Listening stream socket, until the server takes it. */
  readonly listenFd: number;
  readonly socketMode: number;
  private readonly gid: number;
  private readonly lockFd: number;
  private readonly created: boolean;
  private readonly ctlInode: number;
  private readonly api: NativeApi;

  private constructor(api: NativeApi, path: string, socketMode: number, gid: number, lock: Lock, listenFd: number) {
    this.api = api;
    this.path = path;
    this.socketMode = socketMode;
    this.gid = gid;
    this.lockFd = lock.fd;
    this.created = lock.created;
    this.listenFd = listenFd;
    this.ctlInode = lstatSync(join(path, 'ctl')).ino;
  }

  /** Makes or takes over the directory and binds `ctl` in it. Throws a VdeError and leaves nothing behind otherwise. */
  static async open(api: NativeApi, options: ControlDirOptions): Promise<ControlDir> {
    const path = resolve(options.path);
    if (Buffer.byteLength(path) + LONGEST_NAME > MAX_PATH) {
      const most = MAX_PATH - LONGEST_NAME;
      throw new VdeError('ERR_VDE_PATH_TOO_LONG', `vde: control directory ${path} is longer than ${most} bytes`);
    }
    const { socket, dir } = modes(options.mode, options.dirMode);
    const gid = options.gid ?? -1;
    const made = makeDirectory(path, dir, gid);
    let lock: Lock | null = null;
    try {
      lock = takeLock(api, path, made);
      await removeLeftovers(path);
      if (lock.created && !made) setDirectoryAccess(path, dir, gid);
      const listenFd = bindSocket(api, SOCK_STREAM, join(path, 'ctl'), socket, gid);
      return new ControlDir(api, path, socket, gid, lock, listenFd);
    } catch (error) {
      if (lock !== null) unlockFile(join(path, '.lock'), lock.fd);
      if (lock?.created === true || (made && lock === null)) removeDirectory(path);
      throw asVdeError(error, path);
    }
  }

  /** Binds a data socket in the directory; the descriptor's peer is to be connected already. Throws a VdeError. */
  bindData(fd: number, name: string, peerUid: number): string {
    const path = join(this.path, name);
    const uid = effectiveUid();
    const root = uid === 0;
    fchmodSync(fd, root ? this.socketMode & 0o700 : this.socketMode);
    let status = this.api.bindUnix(fd, path);
    if (errnoName(status) === 'EADDRINUSE' && removeSocket(path)) status = this.api.bindUnix(fd, path);
    if (status < 0) throw new VdeError('ERR_VDE_SYSTEM', `vde: cannot bind ${path}: ${errnoName(status)}`);
    setSocketAccess(path, uid, {
      mode: root ? this.socketMode & 0o700 : this.socketMode,
      uid: root ? peerUid : -1,
      gid: this.gid,
    });
    return path;
  }

  /** Removes what is left in the directory of ours, and the directory if we made it and it is empty. */
  release(): void {
    const ctl = join(this.path, 'ctl');
    if (lstatSync(ctl, { throwIfNoEntry: false })?.ino === this.ctlInode) removeSocket(ctl);
    unlockFile(join(this.path, '.lock'), this.lockFd);
    if (this.created) removeDirectory(this.path);
  }
}

/** True when the directory was made by this call. */
function makeDirectory(path: string, mode: number, gid: number): boolean {
  let made = true;
  try {
    mkdirSync(path, 0o700);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw asVdeError(error, path);
    made = false;
  }
  const stats = lstatSync(path);
  const why = unsafe(stats, mode);
  if (why !== null)
    throw new VdeError('ERR_VDE_UNSAFE_DIRECTORY', `vde: control directory ${path} ${why}; not using it`);
  if (!made) return false;
  try {
    setDirectoryAccess(path, mode, gid);
    return true;
  } catch (error) {
    removeDirectory(path);
    throw asVdeError(error, path);
  }
}

function setDirectoryAccess(path: string, mode: number, gid: number): void {
  if (gid >= 0) chownSync(path, -1, gid);
  chmodSync(path, mode); // after chown, which clears the set-group-ID bit
}

/** Why a directory must not be used, or null. `asked` are the permissions the caller wants it to have. */
function unsafe(stats: Stats, asked: number): string | null {
  if (stats.isSymbolicLink()) return 'is a symbolic link';
  if (!stats.isDirectory()) return 'is not a directory';
  if (stats.uid !== effectiveUid() && stats.uid !== 0) return `belongs to another user (uid ${stats.uid})`;
  if ((stats.mode & 0o022 & ~asked) !== 0 && (stats.mode & 0o1000) === 0) return 'can be written by others';
  return null;
}

interface Lock {
  fd: number;
  /** The directory was made by us or by a server of ours that was killed. */
  created: boolean;
}

function takeLock(api: NativeApi, path: string, made: boolean): Lock {
  const file = join(path, '.lock');
  const fd = lockFile(api, file);
  if (fd === 'foreign')
    throw new VdeError('ERR_VDE_UNSAFE_DIRECTORY', `vde: ${file} is not a file of this user; not using it`);
  if (fd === 'held') throw running(path);
  if (made) writeSync(fd, CREATED, 0);
  return { fd, created: made || hasMark(fd) };
}

function hasMark(fd: number): boolean {
  const bytes = Buffer.alloc(CREATED.length);
  return readSync(fd, bytes, 0, bytes.length, 0) === bytes.length && bytes.toString() === CREATED;
}

/** Sockets of clients (libvdeplug), which are of no use without the switch. A client that is killed leaves its own. */
const CLIENT_SOCKET = /^\.\d+-\d+$/;

function removeDirectory(path: string): void {
  try {
    for (const name of readdirSync(path)) if (CLIENT_SOCKET.test(name)) removeSocket(join(path, name));
    rmdirSync(path);
  } catch {
    // not empty: a user's file is in it
  }
}

const running = (path: string): VdeError =>
  new VdeError('ERR_VDE_SWITCH_RUNNING', `vde: a switch is already running at ${path}`);

/** Removes `ctl` and the data sockets of a server that was killed; throws when one is listening. */
async function removeLeftovers(path: string): Promise<void> {
  const ctl = join(path, 'ctl');
  const stats = lstatSync(ctl, { throwIfNoEntry: false });
  if (stats !== undefined) {
    if (!stats.isSocket())
      throw new VdeError('ERR_VDE_UNSAFE_DIRECTORY', `vde: ${ctl} is in the way and is not a socket; remove it`);
    const answer = await knock(ctl);
    if (answer === 'open' || answer === 'EAGAIN') throw running(path);
    if (answer !== 'ECONNREFUSED' && answer !== 'ENOENT')
      throw new VdeError('ERR_VDE_SYSTEM', `vde: cannot tell whether a switch is running at ${ctl}: ${answer}`);
    removeSocket(ctl);
  }
  for (const name of readdirSync(path)) if (DATA_SOCKET.test(name)) removeSocket(join(path, name));
}

function asVdeError(error: unknown, path: string): VdeError {
  if (error instanceof VdeError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  return new VdeError('ERR_VDE_SYSTEM', `vde: cannot use ${path} as control directory: ${code ?? message}`, {
    cause: error,
  });
}
