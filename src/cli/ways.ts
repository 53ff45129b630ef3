// The ways in and out of slirpvde besides VDE sockets and ports: QEMU's own sockets, Unix sockets, X displays. Text of
// options to what they mean; the general forwards are in forward.ts, the grammar of Unix sockets in mgmt/unix-text.ts.
//
//   --qemu-stream PATH, --qemu-connect PATH     a QEMU on a stream: it connects to us, or we to it
//   --qemu-dgram LOCAL,REMOTE                   a QEMU on datagrams: our socket, and QEMU's
//   -L /PATH:GUEST:PORT                         a Unix socket of the host leads to a guest
//   -x PORT:PATH                                a port of the router leads to a Unix socket of the host
//   -X GUEST[:DISPLAY[.SCREEN]]                 the first free port of the host from 6000 leads to a guest's display

import type { Endpoint } from '../core/address.ts';
import { VdeError } from '../core/errors.ts';
import { addressOf } from '../mgmt/forward-text.ts';
import { parseUnixForwardText, parseUnixServiceText } from '../mgmt/unix-text.ts';
import type { UnixForward, UnixService } from '../router/index.ts';
import { UsageError } from './usage-error.ts';

export { isUnixForward } from '../mgmt/unix-text.ts';
export type { UnixForward, UnixService } from '../router/index.ts';

export interface QemuDgramPaths {
  readonly local: string;
  readonly remote: string;
}

/** A display of a guest's X server: port 6000 and its number. */
export interface Display {
  readonly guest: Endpoint;
}

/** Ports of the host that are tried for an X display, both included. */
export const DISPLAY_PORTS = { first: 6000, last: 6100 } as const;
const X_PORT = 6000;
const MAX_DISPLAY = 65_535 - X_PORT;

/** Makes a path absolute, or throws; `option` is for the message. */
export type PathReader = (option: string, value: string) => string;

const badForward = (option: string, text: string, why: string, expected: string): UsageError =>
  new UsageError(`option '${option}': bad forward '${text}': ${why}`, `expected ${expected}`, 'ERR_VDE_BAD_FORWARD');

/** Reads by a grammar of the console, whose errors become those of an option. */
function parsed<T>(option: string, text: string, expected: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof VdeError)) throw error;
    throw badForward(option, text, error.message, expected);
  }
}

export function parseUnixForward(option: string, text: string, path: PathReader): UnixForward {
  const expected = `PATH:GUEST:GUESTPORT, for example ${option} /run/guest-ssh:10.0.2.15:22`;
  const forward = parsed(option, text, expected, () => parseUnixForwardText(text));
  return { path: path(option, forward.path), guest: forward.guest };
}

export function parseUnixService(text: string, path: PathReader): UnixService {
  const expected = 'PORT:PATH, for example -x 6010:/run/service.sock';
  const service = parsed('-x', text, expected, () => parseUnixServiceText(text));
  return { port: service.port, path: path('-x', service.path) };
}

export function parseDisplay(text: string): Display {
  const expected = 'GUEST[:DISPLAY[.SCREEN]], for example -X 10.0.2.15:0';
  const m = /^(\[[^\]]*\]|[^:\]]*)(?::(\d{1,5})(?:\.\d{1,5})?)?$/.exec(text);
  if (m === null) throw badForward('-X', text, 'what follows the guest is not a display', expected);
  const guest = addressOf(m[1]!);
  if (guest === null) throw badForward('-X', text, `'${m[1]}' is not an IPv4 address, or IPv6 in brackets`, expected);
  const display = Number(m[2] ?? 0);
  if (display > MAX_DISPLAY) throw badForward('-X', text, `there is no display ${display}`, expected);
  guest.port = X_PORT + display;
  return { guest };
}

export function parseQemuDgram(text: string, path: PathReader): QemuDgramPaths {
  const words = text.split(',');
  if (words.length !== 2 || words.includes('')) {
    throw new UsageError(
      `option '--qemu-dgram': cannot read '${text}'`,
      'expected LOCAL,REMOTE: the path of our socket, and that of the socket of QEMU',
    );
  }
  return { local: path('--qemu-dgram', words[0]!), remote: path('--qemu-dgram', words[1]!) };
}
