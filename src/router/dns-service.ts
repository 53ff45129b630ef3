// What the DNS service of a router is made of: whom it asks, and the names that it knows itself.

import { type Ipv4Network, MAPPED } from '../core/address.ts';
import type { AddressWords } from '../core/ipv6-network.ts';
import type { Ipv6Link } from '../ip/index.ts';
import {
  Dns64,
  DnsForwarder,
  type DnsSettings,
  type LocalHosts,
  LocalNames,
  type LocalRecord,
  RebindGuard,
} from '../services/index.ts';
import type { Nat64Prefix } from '../wire/nat64.ts';
import type { RouterContext } from './context.ts';

const NO_NETWORK: Ipv4Network = { address: 0, network: 0, prefixLen: 32, mask: 0xffffffff };

export interface DnsServiceOptions {
  /** Own IPv4 address at which names are answered, unsigned; null: none. */
  readonly address: number | null;
  /** Further own addresses, of both families. */
  readonly others?: readonly AddressWords[];
  /** Makes up addresses in the first prefix of NAT64 for names that have none of IPv6. */
  readonly dns64?: boolean;
  readonly upstreams: DnsSettings['upstreams'];
  /** Domain of the guests' names; '' or absent: they have one label. */
  readonly domain?: string;
  readonly records?: readonly LocalRecord[];
  /** Zones that may have private addresses, lower case; absent: every name may. */
  readonly rebindExempt?: readonly string[];
}

/** What of the router the service has to know. */
export interface DnsNetwork {
  readonly networks: readonly Ipv4Network[];
  readonly ipv6?: Ipv6Link | null;
  readonly nat64?: readonly Nat64Prefix[];
  readonly hostLoopback: boolean;
}

/** @param hosts  who knows the guests' names */
export const makeForwarder = (
  dns: DnsServiceOptions,
  net: DnsNetwork,
  context: RouterContext,
  hosts: LocalHosts,
): DnsForwarder =>
  new DnsForwarder({
    host: context.host,
    wheel: context.wheel,
    drops: context.drops,
    random16: context.random,
    ...dnsSettings(dns, net, context, hosts),
  });

/** What the forwarder knows and whom it asks. The names of the router itself come before all others. */
export function dnsSettings(
  dns: DnsServiceOptions,
  net: DnsNetwork,
  context: RouterContext,
  hosts: LocalHosts,
): DnsSettings {
  const first = net.networks[0];
  const { network, mask } = first ?? NO_NETWORK;
  const { domain = '', records = [], rebindExempt } = dns;
  const gateways: AddressWords[] = first === undefined ? [] : [[0, 0, MAPPED, first.address | 0]];
  const gateway6 = net.ipv6?.addresses[0];
  if (gateway6 !== undefined) gateways.push(gateway6.words);
  const full = domain === '' ? 'gateway' : `gateway.${domain}`;
  const names = ['gateway', '_gateway', ...(net.hostLoopback ? ['host.internal'] : [])].filter((name) => name !== full);
  const own: LocalRecord[] = gateways.flatMap((words) => [
    { name: full, words, reverse: true },
    ...names.map((name) => ({ name, words, reverse: false })),
  ]);
  const networks6 = (net.ipv6?.addresses ?? []).map(({ words, prefixLen }) => ({ network: words, prefixLen }));
  const local = new LocalNames({ records: [...own, ...records], domain, network, mask, networks6, hosts });
  const prefix = dns.dns64 === true ? net.nat64?.[0] : undefined;
  // Addresses of the guests' own network have no counterpart: the translator refuses them.
  const isReachable = (v4: number): boolean => !context.ip.own.isOnLink4(v4) && v4 >>> 24 !== 127 && v4 >>> 24 !== 0;
  return {
    upstreams: dns.upstreams,
    local,
    ...(prefix === undefined ? {} : { dns64: new Dns64({ prefix, isReachable }) }),
    ...(rebindExempt === undefined ? {} : { rebind: new RebindGuard({ exempt: rebindExempt, network, mask }) }),
  };
}

/** All addresses at which names are answered, as words. */
export const dnsAddresses = ({ address, others = [] }: DnsServiceOptions): AddressWords[] => [
  ...(address === null ? [] : [[0, 0, MAPPED, address | 0] as const]),
  ...others,
];
