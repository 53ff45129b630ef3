// Guests that are network namespaces: from options to a configuration, and from that to the link.

import { closeSync, fstatSync, type Stats, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Ipv4Network } from '../core/address.ts';
import { VdeError } from '../core/errors.ts';
import type { FrameMemory, Link } from '../core/frame.ts';
import { OffloadTap, openTap, openTapIn } from '../link/index.ts';
import { UsageError } from './usage-error.ts';

export interface TapConfig {
  readonly name: string;
  /** Process number or path; null: an interface of this namespace. */
  readonly netns: string | null;
  /** Absolute path, or null. */
  readonly userns: string | null;
  /** What --configure sets: the guest's address in the router's network; null: nothing. */
  readonly guest: { readonly address: number; readonly network: Ipv4Network } | null;
}

const PID = /^[1-9]\d{0,9}$/;
const DEFAULT_TAP = 'tap0';

export interface TapTexts {
  readonly tap: string | null;
  readonly netns: string | null;
  readonly userns: string | null;
  readonly configure: boolean;
}

/**
 * @param read   makes a path absolute
 * @param guest  the first address for guests and its network, asked for with --configure
 * @throws UsageError
 */
export function tapConfig(
  texts: TapTexts,
  read: (option: string, value: string) => string,
  guest: () => TapConfig['guest'],
): TapConfig | null {
  const { tap, netns, userns, configure } = texts;
  if (netns === null) {
    if (userns !== null || configure) throw new UsageError(`--${configure ? 'configure' : 'userns'} goes with --netns`);
    return tap === null ? null : { name: tap, netns, userns, guest: null };
  }
  return {
    name: tap ?? DEFAULT_TAP,
    netns: PID.test(netns) ? netns : read('--netns', netns),
    userns: userns === null ? null : read('--userns', userns),
    guest: configure ? guest() : null,
  };
}

/** Reads the number of an inherited descriptor, with `waits` of one whose other end can be closed. Throws UsageError. */
export function inheritedFd(option: string, text: string | null, waits = false): number | null {
  if (text === null) return null;
  const fd = /^\d{1,7}$/.test(text) ? Number(text) : -1;
  let stat: Stats;
  try {
    stat = fstatSync(fd);
  } catch {
    throw new UsageError(`option '${option}': '${text}' is not an open descriptor`);
  }
  if (waits && !stat.isFIFO() && !stat.isSocket())
    throw new UsageError(`option '${option}': descriptor ${text} is no pipe and no socket: it has no other end`);
  return fd;
}

/** Opens the interface. Throws a VdeError. */
export function openTapLink(config: TapConfig, mtu: number, memory: FrameMemory): Link {
  const { name, netns, userns, guest } = config;
  const ipv4 =
    guest === null
      ? null
      : { address: guest.address, prefixLen: guest.network.prefixLen, gateway: guest.network.address };
  const fd =
    netns === null
      ? openTap(name, true)
      : openTapIn({ netns, name, mtu, ipv4, ...(userns === null ? {} : { userns }) });
  return new OffloadTap(fd, { name, mtu, memory });
}

/** Tells whoever waits that guests are served. */
export function tellReady(fd: number): void {
  try {
    writeSync(fd, '1');
    if (fd > 2) closeSync(fd);
  } catch (error) {
    throw new VdeError('ERR_VDE_SYSTEM', `cannot write to descriptor ${fd}: ${(error as Error).message}`);
  }
}

/** Fulfilled when the other end of a pipe or socket is closed; what comes before is read and dropped. */
export function whenClosed(fd: number): Promise<null> {
  return new Promise((done) => {
    const stream = new Socket({ fd, readable: true, writable: false });
    stream.on('data', () => {});
    stream.on('error', () => done(null));
    stream.on('close', () => done(null));
    stream.unref();
  });
}
