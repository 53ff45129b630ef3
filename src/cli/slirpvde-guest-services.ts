// What the router's services are told of the configuration: DNS, DHCP, DHCPv6, router advertisements.

import { type Endpoint, formatAddress, formatIpv4, MAPPED, parseIpv4 } from '../core/address.ts';
import type { AddressWords } from '../core/ipv6-network.ts';
import { parseIpv6 } from '../core/ipv6-network.ts';
import type { TimerWheel } from '../core/timer-wheel.ts';
import { hasIpv6 } from '../host/ipv6-route.ts';
import type { ResolverConfig } from '../host/resolver-config.ts';
import type { RouterOptions } from '../router/index.ts';
import { type LeaseStore, MemoryLeaseStore, type UpstreamList } from '../services/index.ts';
import type { Switch } from '../switch/index.ts';
import { openLeases } from './lease-lock.ts';
import type { Log } from './log.ts';
import type { SlirpvdeConfig } from './slirpvde-config.ts';
import type { Closer } from './slirpvde-link.ts';
import { ownIpv4 } from './slirpvde-networks.ts';

/** DHCPv6 leases from this host of its network on. */
const DHCP6_START = 0x1000;
const DHCP6_COUNT = 4096;
const LOOPBACK_TOP = 127;

/** What the services have in common. */
export interface ServiceParts {
  readonly config: SlirpvdeConfig;
  readonly resolver: ResolverConfig;
  readonly wheel: TimerWheel;
  readonly mtu: number;
  /** The switch in this process knows where stations are. */
  readonly embedded: Switch | null;
  readonly log: Log;
  readonly closers: Closer[];
}

type Services = Pick<RouterOptions, 'dns' | 'dhcp' | 'dhcp6' | 'ra'>;

/** All services of a router; lease files are opened, and closed by `closers`. */
export function guestServices(parts: ServiceParts): Services {
  const { config, resolver } = parts;
  const { names, search } = config;
  const domains = (): readonly string[] =>
    search.ofHost ? [...search.names, ...resolver.config().search] : search.names;
  // Told once, at the start: who asks for the servers of the host gets those of that moment.
  const told4 = names.ofHost ? serversOfHost(resolver).filter(({ isIpv4 }) => isIpv4) : [];
  const told6 = names.ofHost ? serversOfHost(resolver).filter(({ isIpv4 }) => !isIpv4) : [];
  const dns4 = names.told4 === null ? told4.slice(0, 1).map(({ w3 }) => w3 >>> 0) : [names.told4];
  const dns6 = names.told6 === null ? told6.slice(0, 1).map(wordsOf) : [names.told6];
  return {
    dns: dnsOptions(config, resolver),
    dhcp: dhcpOptions(parts, dns4, domains),
    ...ipv6Services(parts, dns6, domains),
  };
}

const wordsOf = ({ w0, w1, w2, w3 }: Endpoint): AddressWords => [w0, w1, w2, w3];

/** Name servers of this host that guests could ask. */
function serversOfHost(resolver: ResolverConfig): Endpoint[] {
  return resolver
    .servers()
    .filter((e) => (e.isIpv4 ? e.w3 >>> 24 !== LOOPBACK_TOP : (e.w0 | e.w1 | e.w2) !== 0 && e.w0 >>> 22 !== 0x3fa));
}

function dnsOptions(config: SlirpvdeConfig, resolver: ResolverConfig): RouterOptions['dns'] {
  const { names, networks, ipv6 } = config;
  const { at4, at6, upstream } = names;
  if (at4 === null && at6 === null) return null;
  const own = networks.ipv4.map(({ address }) => address);
  const own6 = networks.ipv6.map(({ address }) => address);
  // A proxy at the router's own address is one at all of them; an address of its own is for names only.
  const all4 = at4 !== null && own.includes(at4) ? own.filter((address) => address !== at4) : [];
  const all6 = at6 !== null && own6.includes(at6) ? own6 : at6 === null ? [] : [at6];
  return {
    address: at4,
    others: [...all4.map((address): AddressWords => [0, 0, MAPPED, address | 0]), ...all6],
    dns64: ipv6.dns64,
    upstreams: upstream === null ? resolver : fixedList(upstream),
    domain: config.domain,
    records: config.dnsRecords.map((entry) => ({ ...entry, reverse: true })),
    ...(config.rebindExempt === null ? {} : { rebindExempt: config.rebindExempt }),
  };
}

function fixedList(server: Endpoint): UpstreamList {
  const list = [server];
  return { servers: () => list, suspect: () => {} };
}

function dhcpOptions(
  parts: ServiceParts,
  dns: readonly number[],
  search: () => readonly string[],
): RouterOptions['dhcp'] {
  const { config, mtu, embedded } = parts;
  const { dhcp, domain } = config;
  if (dhcp === null) return null;
  return {
    network: dhcp.network,
    ...(embedded === null ? {} : { portOf: (macHi, macLo) => embedded.portOf(macHi, macLo) }),
    dns,
    poolStart: dhcp.start,
    ...(dhcp.count === 0 ? {} : { poolSize: dhcp.count }),
    reserved: ownIpv4(config.networks, config.names),
    mtu,
    store: leaseStore(parts, '', formatIpv4, parseIpv4),
    leaseSec: config.leaseSec,
    hosts: dhcp.hosts,
    nextServer: dhcp.nextServer,
    bootFile: dhcp.bootFile,
    domain,
    search,
    routes: dhcp.routes,
    extra: dhcp.options,
    reservedNames: reservedNames(config),
  };
}

function ipv6Services(
  parts: ServiceParts,
  dns: readonly AddressWords[],
  search: () => readonly string[],
): Pick<RouterOptions, 'dhcp6' | 'ra'> {
  const { config } = parts;
  const { networks, names, ipv6, leaseSec } = config;
  if (networks.ipv6.length === 0) return {};
  const { dhcp6, radv, radvFollowsHost, pref64, nat64 } = ipv6;
  const pool = (): NonNullable<RouterOptions['dhcp6']>['pool'] => {
    if (dhcp6 === null) return null;
    const { network, prefixLen } = dhcp6;
    const [w0, w1, w2, w3] = network;
    const text = (word: number): string => formatAddress(w0, w1, w2, word | 0);
    const word = (value: string): number => {
      const words = parseIpv6(value);
      return words !== null && words[0] === w0 && words[1] === w1 && words[2] === w2 ? words[3] >>> 0 : -1;
    };
    const own = [...networks.ipv6.map(({ address }) => address), ...(names.at6 === null ? [] : [names.at6])];
    return {
      network,
      prefixLen,
      start: (w3 | DHCP6_START) >>> 0,
      size: DHCP6_COUNT,
      reserved: own.map((address) => address[3] >>> 0),
      leaseSec,
      store: leaseStore(parts, '6', text, word),
    };
  };
  const ra = (): RouterOptions['ra'] => ({
    settings: radv!,
    dns,
    search,
    pref64: pref64 ? nat64 : null,
    available: radvFollowsHost ? () => hasIpv6() : null,
  });
  return {
    dhcp6: {
      networks: networks.ipv6,
      dns,
      search,
      domain: config.domain,
      reservedNames: reservedNames(config),
      pool: pool(),
    },
    ...(radv === null ? {} : { ra: ra()! }),
  };
}

/** @param suffix  tells the file of this kind of leases from that of the other */
function leaseStore(
  { config, wheel, log, closers }: ServiceParts,
  suffix: string,
  text: (address: number) => string,
  parse: (text: string) => number,
): LeaseStore {
  if (config.leases === null) return new MemoryLeaseStore();
  const path = `${config.leases}${suffix}`;
  const warn = (line: string): void => log.warn(line);
  return openLeases({ path, wheel, warn, address: { text, parse } }, (closer) => closers.push(closer));
}

/** First labels of the configured names, where they are names in the guests' domain: no guest can take them. */
function reservedNames({ dnsRecords, domain }: SlirpvdeConfig): string[] {
  const labels = dnsRecords.map(({ name }) => {
    const under = domain !== '' && name.toLowerCase().endsWith(`.${domain}`);
    return under ? name.slice(0, -domain.length - 1) : name;
  });
  return labels.filter((label) => !label.includes('.'));
}
