// The guard of the switch that is in one process with its router: what guests may say to each other there.
//
// The router's port is trusted, and its addresses are bound to it from the start, as are those that no station has (the
// network's own and its broadcast address): whoever claims one of them is noticed.
//
//   warn      the default: false ARP and neighbor discovery, servers of DHCP and routers that are not ours are counted
//             and told in the log, once a second at most, and forwarded. Sources are left alone: nothing binds the
//             address of a guest that was configured by hand. (The router itself always refuses what a station does not
//             own, ip/neighbor.ts.)
//   enforce   all of that is dropped, and so is a source address that neither DHCP nor duplicate address detection has
//             bound to the port

import { MAPPED } from '../core/address.ts';
import { DROP_REASONS, type DropName } from '../core/drop.ts';
import { GUARD_KINDS, type GuardKind, type GuardMode, type Switch } from '../switch/index.ts';
import type { Log } from './log.ts';
import type { SlirpvdeConfig } from './slirpvde-config.ts';

const KINDS: Readonly<Record<GuardMode, readonly GuardKind[]>> = {
  off: [],
  warn: ['arp', 'dhcp', 'ra'],
  enforce: ['arp', 'dhcp', 'ra', 'source'],
};
const NAMES = Object.keys(DROP_REASONS) as DropName[];

/** Sets the guard of a switch whose port `router` leads to the router with this MAC address. */
export function guardEmbedded(sw: Switch, config: SlirpvdeConfig, router: number, mac: Uint8Array, log: Log): void {
  const mode = config.guard;
  sw.admin.setTrusted(router, true);
  const macHi = (mac[0]! << 8) | mac[1]!;
  const macLo = (mac[2]! << 24) | (mac[3]! << 16) | (mac[4]! << 8) | mac[5]!;
  const owner = { macHi, macLo, port: router, source: 'static', lifetimeSec: 0 } as const;
  const { guard } = sw;
  const { networks, names } = config;
  const own4 = networks.ipv4.flatMap(({ address, network, mask }) => [address, network, network | ~mask]);
  for (const address of names.at4 === null ? own4 : [...own4, names.at4]) {
    guard.bindings.bind(0, 0, 0, MAPPED, address | 0, owner);
  }
  const own6 = networks.ipv6.map(({ address }) => address);
  for (const [w0, w1, w2, w3] of names.at6 === null ? own6 : [...own6, names.at6]) {
    guard.bindings.bind(0, w0, w1, w2, w3, owner);
  }
  for (const kind of GUARD_KINDS) guard.setMode(kind, KINDS[mode].includes(kind) ? mode : 'off');
  guard.onObjection = (port, reason) => {
    const what = mode === 'enforce' ? 'dropped' : 'seen';
    log.limited('warn', `guard-${port.number}`, `port ${port.number}: ${what}: ${DROP_REASONS[NAMES[reason]!]}`);
  };
}
