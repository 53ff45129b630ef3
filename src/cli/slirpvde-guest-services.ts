// What the router's services are told of the configuration: DNS, DHCP, DHCPv6, router advertisements; at the start, and
// again when the configuration is another one (slirpvde-reload.ts).

import { type Endpoint, formatAddress, formatIpv4, MAPPED, parseIpv4 } from '../core/address.ts';
import type { AddressWords } from '../core/ipv6-network.ts';
import { parseIpv6 } from '../core/ipv6-network.ts';
import type { TimerWheel } from '../core/timer-wheel.ts';
import { hasIpv6 } from '../host/ipv6-route.ts';
import type { ResolverConfig } from '../host/resolver-config.ts';
import type { RouterChange, RouterOptions } from '../router/index.ts';
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
  /** The configuration in force. */
  config: SlirpvdeConfig;
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
  const { config, embedded } = parts;
  const { dns4, dns6 } = serversTold(parts, config);
  const dhcp = dhcpTold(parts, config, dns4);
  return {
    dns: dnsOptions(parts, config),
    dhcp:
      dhcp === null
        ? null
        : {
            ...dhcp,
            ...(embedded === null ? {} : { portOf: (macHi, macLo) => embedded.portOf(macHi, macLo) }),
            store: leaseStore(parts, '', formatIpv4, parseIpv4),
          },
    ...(config.networks.ipv6.length === 0
      ? {}
      : { dhcp6: dhcp6Options(parts, dns6), ...raOptions(parts, config, dns6) }),
  };
}

/** What services that run are told instead when `config` is to be in force. */
export function changedServices(
  parts: ServiceParts,
  config: SlirpvdeConfig,
): Pick<RouterChange, 'dns' | 'dhcp' | 'dhcp6' | 'ra'> {
  const { dns4, dns6 } = serversTold(parts, config);
  const dns = dnsOptions(parts, config);
  const dhcp = dhcpTold(parts, config, dns4);
  const ipv6 = config.networks.ipv6.length > 0;
  return {
    ...(dns === null ? {} : { dns }),
    ...(dhcp === null ? {} : { dhcp }),
    ...(ipv6
      ? { dhcp6: { dns: dns6, leaseSec: config.leaseSec, domain: config.domain }, ...raOptions(parts, config, dns6) }
      : {}),
  };
}

/** Name servers that guests are told. Who asks for those of the host gets those of this moment. */
function serversTold({ resolver }: ServiceParts, { names }: SlirpvdeConfig): { dns4: number[]; dns6: AddressWords[] } {
  const ofHost = names.ofHost ? serversOfHost(resolver) : [];
  const told4 = ofHost.filter(({ isIpv4 }) => isIpv4).slice(0, 1);
  const told6 = ofHost.filter(({ isIpv4 }) => !isIpv4).slice(0, 1);
  return {
    dns4: names.told4 === null ? told4.map(({ w3 }) => w3 >>> 0) : [names.told4],
    dns6: names.told6 === null ? told6.map(wordsOf) : [names.told6],
  };
}

/** The search list of the configuration in force, as it is at the time. */
const searchOf = (parts: ServiceParts) => (): readonly string[] => {
  const { search } = parts.config;
  return search.ofHost ? [...search.names, ...parts.resolver.config().search] : search.names;
};

const wordsOf = ({ w0, w1, w2, w3 }: Endpoint): AddressWords => [w0, w1, w2, w3];

/** Name servers of this host that guests could ask. */
function serversOfHost(resolver: ResolverConfig): Endpoint[] {
  return resolver
    .servers()
    .filter((e) => (e.isIpv4 ? e.w3 >>> 24 !== LOOPBACK_TOP : (e.w0 | e.w1 | e.w2) !== 0 && e.w0 >>> 22 !== 0x3fa));
}

function dnsOptions({ resolver }: ServiceParts, config: SlirpvdeConfig): RouterOptions['dns'] {
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

function dhcpTold(
  parts: ServiceParts,
  config: SlirpvdeConfig,
  dns: readonly number[],
): NonNullable<RouterChange['dhcp']> | null {
  const { mtu } = parts;
  const { dhcp, domain } = config;
  if (dhcp === null) return null;
  return {
    network: dhcp.network,
    dns,
    poolStart: dhcp.start,
    ...(dhcp.count === 0 ? {} : { poolSize: dhcp.count }),
    reserved: ownIpv4(config.networks, config.names),
    mtu,
    leaseSec: config.leaseSec,
    hosts: dhcp.hosts,
    nextServer: dhcp.nextServer,
    bootFile: dhcp.bootFile,
    domain,
    search: searchOf(parts),
    routes: dhcp.routes,
    extra: dhcp.options,
    reservedNames: reservedNames(config),
  };
}

function dhcp6Options(parts: ServiceParts, dns: readonly AddressWords[]): NonNullable<RouterOptions['dhcp6']> {
  const { networks, names, ipv6, leaseSec } = parts.config;
  const { dhcp6 } = ipv6;
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
  return {
    networks: networks.ipv6,
    dns,
    search: searchOf(parts),
    domain: parts.config.domain,
    reservedNames: reservedNames(parts.config),
    pool: pool(),
  };
}

function raOptions(
  parts: ServiceParts,
  { ipv6 }: SlirpvdeConfig,
  dns: readonly AddressWords[],
): Pick<RouterOptions, 'ra'> {
  const { radv, radvFollowsHost, pref64, nat64 } = ipv6;
  if (radv === null) return {};
  return {
    ra: {
      settings: radv,
      dns,
      search: searchOf(parts),
      pref64: pref64 ? nat64 : null,
      available: radvFollowsHost ? () => hasIpv6() : null,
    },
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
