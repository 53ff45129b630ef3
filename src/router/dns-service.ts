// What the DNS service of a router is made of: whom it asks, and the names that it knows itself.

import { type Ipv4Network, MAPPED } from '../core/address.ts';
import {
  DnsForwarder,
  type DnsForwarderOptions,
  type LocalHosts,
  LocalNames,
  type LocalRecord,
  RebindGuard,
} from '../services/index.ts';
import type { RouterContext } from './context.ts';

const NO_NETWORK: Ipv4Network = { address: 0, network: 0, prefixLen: 32, mask: 0xffffffff };

export interface DnsServiceOptions {
  readonly address: number;
  readonly upstreams: DnsForwarderOptions['upstreams'];
  /** Domain of the guests' names; '' or absent: they have one label. */
  readonly domain?: string;
  readonly records?: readonly LocalRecord[];
  /** Zones that may have private addresses, lower case; absent: every name may. */
  readonly rebindExempt?: readonly string[];
}

/**
 * Makes the forwarder. The names of the router itself come before all others.
 *
 * @param hosts  who knows the guests' names, or null
 */
export function makeForwarder(
  dns: DnsServiceOptions,
  net: { networks: readonly Ipv4Network[]; hostLoopback: boolean },
  context: RouterContext,
  hosts: LocalHosts | null,
): DnsForwarder {
  const { address: gateway, network, mask } = net.networks[0] ?? NO_NETWORK;
  const { domain = '', records = [], rebindExempt } = dns;
  const words = [0, 0, MAPPED, gateway | 0] as const;
  const full = domain === '' ? 'gateway' : `gateway.${domain}`;
  const names = ['gateway', '_gateway', ...(net.hostLoopback ? ['host.internal'] : [])].filter((name) => name !== full);
  const own: LocalRecord[] = [
    { name: full, words, reverse: true },
    ...names.map((name) => ({ name, words, reverse: false })),
  ];
  const local = new LocalNames({ records: [...own, ...records], domain, network, mask, hosts });
  return new DnsForwarder({
    host: context.host,
    upstreams: dns.upstreams,
    wheel: context.wheel,
    drops: context.drops,
    random16: context.random,
    local,
    ...(rebindExempt === undefined ? {} : { rebind: new RebindGuard({ exempt: rebindExempt, network, mask }) }),
  });
}
