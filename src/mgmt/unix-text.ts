// Unix sockets of the host as people write them, for -L, -x and the console.
//
//   /PATH:GUEST:PORT    a socket at that path leads to a guest
//   PORT:/PATH          a port of the router leads to the socket at that path

import { VdeError } from '../core/errors.ts';
import type { UnixForward, UnixService } from '../router/index.ts';
import { addressOf } from './forward-text.ts';

/** What a path is written as, for hints. */
export const UNIX_FORM = '/PATH:GUEST:GUESTPORT or PORT:/PATH';

const bad = (why: string): never => {
  throw new VdeError('ERR_VDE_BAD_FORWARD', why);
};

const portOf = (text: string): number => {
  const value = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return value <= 65_535 ? value : 0;
};

/** True for what begins with a path: a socket that leads to a guest. */
export const isUnixForward = (text: string): boolean => text.startsWith('/');

/** @throws VdeError  ERR_VDE_BAD_FORWARD, with what is wrong but not the text itself */
export function parseUnixForwardText(text: string): UnixForward {
  const m = /^(\/.*):(\[[^\]]*\]|[^:\]]*):([^:]*)$/.exec(text);
  if (m === null) return bad('no guest and port follow the path');
  const [, path, host, port] = m as unknown as [string, string, string, string];
  const guest = addressOf(host);
  if (guest === null) return bad(`the guest address '${host}' is not an IPv4 address, or IPv6 in brackets`);
  if (portOf(port) === 0) return bad(`the guest port '${port}' is not a port (1 to 65535)`);
  guest.port = portOf(port);
  return { path, guest };
}

/** @throws VdeError  as above */
export function parseUnixServiceText(text: string): UnixService {
  const colon = text.indexOf(':');
  if (colon < 0) return bad('no path follows the port');
  const port = text.slice(0, colon);
  if (portOf(port) === 0) return bad(`'${port}' is not a port (1 to 65535)`);
  if (colon === text.length - 1) return bad('the path is empty');
  return { port: portOf(port), path: text.slice(colon + 1) };
}
