// One attempt to join a switch: from a name to two connected sockets.
//
//   1. connect to the control socket, the first of the candidates that listens
//   2. bind a datagram socket of our own: DIR/.PID-N, else in /var/run, /var/tmp, /tmp; set its mode and group
//   3. send the request in one write; wait for the 110 bytes of the reply (a classic switch may never answer)
//   4. connect the datagram socket to the path in the reply
//   5. unlink our own socket: both ends are connected, nobody needs its name any more
//
// Whatever fails, the file and both sockets are gone when the promise is rejected. Unlike the plug library we do not
// change the mode of the switch's socket after connecting: it is the switch's, and we are connected by then.

import { statSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { VdeError } from '../core/errors.ts';
import { errnoName } from '../native/errno.ts';
import { AF_UNIX, type NativeApi, SOCK_DGRAM } from '../native/native.ts';
import { effectiveUid, groupId, userName } from './accounts.ts';
import { type Candidate, locate } from './locate.ts';
import { removeSocket, setSocketAccess } from './socket-file.ts';
import type { Timers } from './timers.ts';
import { encodeRequest, MAX_PATH, parseReply, REPLY_LEN } from './vde-protocol.ts';

/** How long a switch may take to answer. */
export const ANSWER_MS = 5000;
const DEFAULT_SOCKET_MODE = 0o700;
const MAX_NAMES = 1000;

export interface JoinOptions {
  /** As `locate` takes it. */
  path: string;
  /** Port number, -1 for any; what brackets in `path` say comes first. */
  port: number;
  /** Group of our own socket, name or number; '' for none. */
  group: string;
  /** Mode of our own socket; -1 for the default. */
  mode: number;
  description: string;
}

export interface Joined {
  /** The lease: its end is the end of the port. */
  ctl: Socket;
  /** Connected datagram socket, the caller's from now on. */
  fd: number;
  /** Control socket that was joined. */
  where: string;
}

/** Joins a switch. Rejects with a VdeError, or with the signal's reason when it is aborted. */
export async function joinSwitch(
  api: NativeApi,
  options: JoinOptions,
  timers: Timers,
  signal: AbortSignal,
): Promise<Joined> {
  const located = locate(options.path, process.env['HOME'] ?? '', options.port);
  const { ctl, candidate } = await connectFirst(located.candidates, signal);
  let fd = -1;
  let own = '';
  try {
    const group = located.group ?? options.group;
    const access = ownAccess(candidate.ctl, group, located.mode ?? options.mode);
    [fd, own] = bindOwn(api, dirname(candidate.ctl));
    grant(own, access);
    const request = encodeRequest(candidate.port, own, describe(options.description));
    const path = await ask(ctl, request, candidate.ctl, timers, signal);
    const status = api.connectUnix(fd, path);
    if (status < 0)
      throw new VdeError('ERR_VDE_SWITCH_REFUSED', `vde: cannot connect to ${path}: ${errnoName(status)}`);
    return { ctl, fd, where: candidate.ctl };
  } catch (error) {
    if (fd >= 0) api.close(fd);
    ctl.destroy();
    throw error;
  } finally {
    if (own !== '') removeSocket(own);
  }
}

/** `NAME user=LOGIN pid=PID`, and the address of the ssh client when there is one, as the plug library writes it. */
export function describe(name: string): string {
  const ssh = process.env['SSH_CLIENT']?.split(' ')[0];
  return `${name} user=${userName()} pid=${process.pid}${ssh === undefined || ssh === '' ? '' : ` SSH=${ssh}`}`;
}

async function connectFirst(
  candidates: Candidate[],
  signal: AbortSignal,
): Promise<{ ctl: Socket; candidate: Candidate }> {
  const tried: string[] = [];
  for (const candidate of candidates) {
    const result = await connectTo(candidate.ctl, signal);
    if (typeof result !== 'string') return { ctl: result, candidate };
    tried.push(`${candidate.ctl} (${result})`);
  }
  const last = candidates[candidates.length - 1]!.ctl;
  throw new VdeError(
    'ERR_VDE_NO_SWITCH',
    `vde: cannot join a switch: none listens at ${tried.join(', ')}; start one with vde_switch -s ${dirname(last)}`,
  );
}

/** The connected stream, or the error code. */
function connectTo(path: string, signal: AbortSignal): Promise<Socket | string> {
  if (Buffer.byteLength(path) > MAX_PATH) return Promise.resolve('ENAMETOOLONG');
  return new Promise((done, fail) => {
    signal.throwIfAborted();
    const ctl = connect(path);
    const abort = () => {
      ctl.destroy();
      fail(signal.reason);
    };
    const failed = (error: NodeJS.ErrnoException) => {
      signal.removeEventListener('abort', abort);
      done(error.code ?? error.message);
    };
    signal.addEventListener('abort', abort, { once: true });
    ctl.once('error', failed);
    ctl.once('connect', () => {
      signal.removeEventListener('abort', abort);
      ctl.off('error', failed);
      done(ctl);
    });
  });
}

/** Binds a datagram socket in the first place that allows it. */
function bindOwn(api: NativeApi, dir: string): [fd: number, path: string] {
  const fd = api.socket(AF_UNIX, SOCK_DGRAM, 0);
  if (fd < 0) throw new VdeError('ERR_VDE_SYSTEM', `vde: cannot make a datagram socket: ${errnoName(fd)}`);
  const pid = String(process.pid).padStart(5, '0');
  const tried: string[] = [];
  let n = 0;
  for (const start of [`${dir}/.`, '/var/run/vde.', '/var/tmp/vde.', '/tmp/vde.']) {
    for (; n < MAX_NAMES; n++) {
      const path = `${start}${pid}-${String(n).padStart(5, '0')}`;
      const status = api.bindUnix(fd, path);
      if (status >= 0) return [fd, path];
      if (errnoName(status) === 'EADDRINUSE') continue;
      tried.push(`${path} (${errnoName(status)})`);
      break;
    }
  }
  api.close(fd);
  throw new VdeError('ERR_VDE_SYSTEM', `vde: cannot make a socket file, tried ${tried.join(', ')}`);
}

interface OwnAccess {
  mode: number;
  gid: number;
  /** Group of a switch of another user, -1 for none: it gets access; when that is not allowed, everybody does. */
  switchGid: number;
}

/** Sets mode and group of our own socket. Throws when the group that was asked for is not allowed. */
function grant(path: string, { mode, gid, switchGid }: OwnAccess): void {
  const uid = effectiveUid();
  if (!setSocketAccess(path, uid, { mode, gid }) && gid >= 0)
    throw new VdeError('ERR_VDE_SYSTEM', `vde: cannot give ${path} to group ${gid}: not a member of it`);
  if (switchGid < 0 || setSocketAccess(path, uid, { mode: mode | 0o070, gid: switchGid })) return;
  setSocketAccess(path, uid, { mode: mode | 0o077 });
}

/** Mode and group of our own socket. The switch, maybe another user's, must be able to connect to it. */
function ownAccess(ctl: string, group: string, mode: number): OwnAccess {
  const own = { mode: mode >= 0 ? mode : DEFAULT_SOCKET_MODE, gid: -1, switchGid: -1 };
  if (group !== '') return { ...own, gid: groupId(group) };
  const owner = statSync(ctl, { throwIfNoEntry: false });
  const foreign = owner !== undefined && owner.uid !== 0 && owner.uid !== effectiveUid();
  return foreign && (own.mode & 0o077) === 0 ? { ...own, switchGid: owner.gid } : own;
}

/** Sends the request and waits for the path in the reply. */
function ask(ctl: Socket, request: Buffer, where: string, timers: Timers, signal: AbortSignal): Promise<string> {
  return new Promise((done, fail) => {
    let reply = Buffer.alloc(0);
    const refuse = (why: string) => {
      finish();
      fail(new VdeError('ERR_VDE_SWITCH_REFUSED', `vde: the switch at ${where} gave no port: ${why}`));
    };
    const data = (chunk: Buffer) => {
      reply = Buffer.concat([reply, chunk]);
      if (reply.length < REPLY_LEN) return;
      const path = parseReply(reply);
      if (path === null) return refuse('its answer names no socket');
      finish();
      done(path);
    };
    const closed = () => refuse('it closed the connection (port in use, not allowed or out of range?)');
    const failed = (error: Error) => refuse(error.message);
    const abort = () => {
      finish();
      fail(signal.reason);
    };
    const timer = timers.start(
      () => refuse(`no answer within ${ANSWER_MS / 1000} s (port in use or out of range?)`),
      ANSWER_MS,
    );
    const finish = () => {
      timers.stop(timer);
      signal.removeEventListener('abort', abort);
      ctl.off('data', data).off('close', closed).off('error', failed);
    };
    ctl.on('data', data).on('close', closed).on('error', failed);
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) return abort();
    ctl.write(request);
  });
}
