// What a test needs of the machine, and what is missing of it.
//
// A need is a program's name, or one of the words of FEATURES. What is missing leaves a test out, with the reason in its
// title; with CI set it is a failure.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { IS_ROOT, PROJECT } from './namespace.ts';

process.env['PATH'] = [process.env['PATH'] ?? '', '/usr/sbin', '/sbin'].join(delimiter);

/** Where scripts/install-peers.mjs puts the kernel of the QEMU guest. */
export const GUEST_KERNEL = join(PROJECT, 'build/guest-kernel');

/** Where Debian keeps systemd-networkd, which is on nobody's PATH. */
export const NETWORKD = '/usr/lib/systemd/systemd-networkd';

const UNSHARE = ['unshare', ...(IS_ROOT ? [] : ['--user', '--map-root-user']), '--net', '--mount', '--'];

function works(...command: string[]): boolean {
  const [program, ...args] = [...UNSHARE, ...command];
  return spawnSync(program!, args, { stdio: 'ignore', timeout: 10_000 }).status === 0;
}

const FEATURES: Readonly<Record<string, { why: string; test: () => boolean }>> = {
  namespaces: { why: 'namespaces cannot be made here', test: () => works('true') },
  tap: {
    why: 'TAP interfaces cannot be made here (/dev/net/tun)',
    test: () => works('ip', 'tuntap', 'add', 'dev', 'probe0', 'mode', 'tap'),
  },
  'systemd-networkd': { why: 'systemd-networkd is not installed', test: () => existsSync(NETWORKD) },
  'guest-kernel': {
    why: 'no kernel for the guest (scripts/install-peers.mjs fetches it)',
    test: () => existsSync(join(GUEST_KERNEL, 'vmlinuz')),
  },
};

function isProgram(name: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((dir) => {
    try {
      accessSync(join(dir, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

const known = new Map<string, string | null>();

function lacking(need: string): string | null {
  if (!known.has(need)) {
    const feature = FEATURES[need];
    if (feature) known.set(need, feature.test() ? null : feature.why);
    else known.set(need, isProgram(need) ? null : `${need} is not installed`);
  }
  return known.get(need)!;
}

/** Why a test with these needs cannot run here, or null when it can. */
export function missing(needs: readonly string[]): string | null {
  const reasons = needs.map(lacking).filter((reason) => reason !== null);
  return reasons.length > 0 ? reasons.join('; ') : null;
}
