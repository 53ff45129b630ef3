// Listening Unix stream sockets on node:net: no native code, and the care that files which others may see or have left
// need.
//
// - The file gets its mode before anybody can connect: the mask of the process is set around the call that makes it,
//   which is synchronous. (A worker may not set the mask; there the mode follows at once.)
// - A file that is in the way is looked at: a socket that refuses connections was left by a process that was killed and
//   is taken over; one that answers, and whatever is not a socket, is not touched.
// - The file is removed when the server is closed; libuv does that.

import { chmodSync, lstatSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server, type ServerOpts, type Socket } from 'node:net';
import { VdeError } from '../core/errors.ts';

/** Longest path of a socket, bytes: 108 in the address, less the NUL. */
const MAX_PATH = 107;
const BACKLOG = 511;

export interface UnixServerOptions extends ServerOpts {
  /** Mode of the file; default 0600. */
  readonly mode?: number;
}

/** Throws ERR_VDE_PATH_TOO_LONG when a path does not fit into a Unix address. */
export function checkUnixPath(path: string): void {
  if (Buffer.byteLength(path) > MAX_PATH)
    throw new VdeError('ERR_VDE_PATH_TOO_LONG', `vde: the socket path ${path} is longer than ${MAX_PATH} bytes`);
}

/**
 * Listens at `path`. Errors of later accepts are swallowed: that connection is lost, the server goes on.
 *
 * Rejects with ERR_VDE_PATH_TOO_LONG, or ERR_VDE_LISTEN with path, reason and what would help.
 */
export async function listenUnixStream(
  path: string,
  options: UnixServerOptions,
  accept: (socket: Socket) => void,
): Promise<Server> {
  checkUnixPath(path);
  for (let last = false; ; last = true) {
    try {
      return await listen(path, options, accept);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? 'EIO';
      if (code !== 'EADDRINUSE' || last) throw failure(path, code, error);
      await takeOver(path);
    }
  }
}

function listen(path: string, options: UnixServerOptions, accept: (socket: Socket) => void): Promise<Server> {
  const mode = options.mode ?? 0o600;
  const server = createServer(options, accept);
  return new Promise((done, fail) => {
    server.once('error', fail);
    const before = setMask(~mode & 0o777);
    try {
      server.listen({ path, backlog: BACKLOG });
    } finally {
      if (before >= 0) setMask(before);
    }
    server.once('listening', () => {
      server.off('error', fail).on('error', () => {});
      if (before < 0) chmodSync(path, mode);
      done(server);
    });
  });
}

/** Sets the mask for new files; the one before, or -1 where that is not allowed (workers). */
function setMask(mask: number): number {
  try {
    return process.umask(mask);
  } catch {
    return -1;
  }
}

/** Removes a socket that nobody listens at any more; throws when it is anything else. */
async function takeOver(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) throw failure(path, 'it is in the way and is not a socket');
  const answer = await knock(path);
  if (answer === 'open' || answer === 'EAGAIN') throw failure(path, 'another process listens there');
  if (answer === 'ENOENT') return;
  if (answer !== 'ECONNREFUSED') throw failure(path, `whether another process listens there is not known: ${answer}`);
  // Another one may have taken it over meanwhile.
  if (lstatSync(path, { throwIfNoEntry: false })?.ino === found.ino) unlinkSync(path);
}

/** Connects and hangs up: `open`, or the error code. EAGAIN: the backlog of a listener is full. */
const knock = (path: string): Promise<string> =>
  new Promise((done) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      done('open');
    });
    socket.once('error', (error: NodeJS.ErrnoException) => done(error.code ?? error.message));
  });

const ADVICE: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process has just taken it',
  EACCES: 'the directory does not permit it',
  ENOENT: 'there is no such directory',
  ENOTDIR: 'a part of the path is not a directory',
};

function failure(path: string, why: string, cause?: unknown): VdeError {
  const advice = ADVICE[why];
  const text = `cannot listen at ${path}: ${why}${advice === undefined ? '' : `; ${advice}`}`;
  return new VdeError('ERR_VDE_LISTEN', text, cause === undefined ? undefined : { cause });
}
