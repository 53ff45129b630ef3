// Socket files that others may replace while we look: every change is made to the file that was looked at.
//
// A path is opened with O_PATH, which follows no link and needs no permission on the file itself; what is then checked,
// changed or connected to is the open file, through /proc/self/fd. Between the check and the use nobody can swap it.

import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  type Stats,
  unlinkSync,
} from 'node:fs';

const O_PATH = 0o10000000; // Linux; Node does not export it

/** Runs `use` on the file at `path`, whatever it is, by a name that stays with the file. Errors as of open(2). */
export function withFile<T>(path: string, use: (stats: Stats, pinned: string) => T): T {
  const fd = openSync(path, O_PATH | constants.O_NOFOLLOW);
  try {
    return use(fstatSync(fd), `/proc/self/fd/${fd}`);
  } finally {
    closeSync(fd);
  }
}

export interface SocketAccess {
  mode: number;
  /** New owner and group; -1 leaves them. */
  uid?: number;
  gid?: number;
}

/** Sets owner, group and mode of a socket file of this user. False when another file is there, or it is not allowed. */
export function setSocketAccess(path: string, uid: number, access: SocketAccess): boolean {
  try {
    return withFile(path, (stats, pinned) => {
      if (!stats.isSocket() || stats.uid !== uid) return false;
      chmodSync(pinned, access.mode);
      if ((access.uid ?? -1) >= 0 || (access.gid ?? -1) >= 0) chownSync(pinned, access.uid ?? -1, access.gid ?? -1);
      return true;
    });
  } catch {
    return false;
  }
}

/** Removes a socket file. False when there is none; what is not a socket is left alone. */
export function removeSocket(path: string): boolean {
  try {
    if (!lstatSync(path).isSocket()) return false;
    unlinkSync(path);
    return true;
  } catch {
    return false;
  }
}
