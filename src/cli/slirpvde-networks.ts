// The guest networks of a command line, and the addresses that follow from them: -H, -N, and where DHCP begins.
//
//   -H 10.1.2.3/16     router 10.1.2.3, network 10.1.0.0/16, DNS network|3, DHCP from network|15
//   -H 10.1.0.0/16     the same network, router network|2
//   -H 2001:db8::1/64  the same for IPv6: router ::1, DNS ::3
//   networks below /28 end before host 15, those below /29 (IPv6: /126) before host 3: DHCP then starts at the first free
//   host, and the router's address answers DNS too.
//
// slirpvde6 has other defaults: the router is host 1, DNS is answered at its own addresses and only with -N.

import {
  type Endpoint,
  formatIpv4,
  type Ipv4Network,
  ipv4Mask,
  MAPPED,
  parseEndpoint,
  parseIpv4,
} from '../core/address.ts';
import { VdeError } from '../core/errors.ts';
import {
  type AddressWords,
  formatIpv6,
  type Ipv6Network,
  isInNetwork,
  parseIpv6,
  parseIpv6Network,
  sameWords,
} from '../core/ipv6-network.ts';
import { UsageError } from './usage-error.ts';

/** What differs between the commands slirpvde and slirpvde6. */
export interface Personality {
  readonly name: 'slirpvde' | 'slirpvde6';
  /** The network without -H. */
  readonly network: string;
  /** Host number of the router where only a network is named. */
  readonly routerHost: number;
  /** DNS has an address of its own, and is answered without being asked for. */
  readonly ownDns: boolean;
  /** Addresses that DHCP leases unless a number is given; 0: all that are left. */
  readonly dhcpCount: number;
  /** DHCP starts so far behind the router's address, or at host 15 (0). */
  readonly dhcpOffset: number;
}

export const SLIRPVDE_PERSONALITY: Personality = {
  name: 'slirpvde',
  network: '10.0.2.0/24',
  routerHost: 2,
  ownDns: true,
  dhcpCount: 0,
  dhcpOffset: 0,
};
export const SLIRPVDE6_PERSONALITY: Personality = {
  name: 'slirpvde6',
  network: '10.0.2.1/24',
  routerHost: 1,
  ownDns: false,
  dhcpCount: 10,
  dhcpOffset: 14,
};

/** The networks of guests; `address` of each is the router's. At least one in all. */
export interface GuestNetworks {
  readonly ipv4: readonly Ipv4Network[];
  readonly ipv6: readonly Ipv6Network[];
}

/** Who answers guests' questions for names. Null: nobody of that family. */
export interface NameService {
  /** Address that guests are told. */
  readonly told4: number | null;
  readonly told6: AddressWords | null;
  /** Own address at which names are answered. */
  readonly at4: number | null;
  readonly at6: AddressWords | null;
  /** Guests are told the name servers of this host instead. */
  readonly ofHost: boolean;
  /** Asked instead of the name servers of this host. */
  readonly upstream: Endpoint | null;
}

const DEFAULT_PREFIX_LEN = 24;
const DEFAULT_PREFIX_LEN_6 = 64;
const MAX_NETWORKS = 16;
const DNS_HOST = 3;
const DHCP_HOST = 15;
const DNS_PORT = 53;
const MAX_COUNT = 4096;

const badAddress = (message: string, hint = ''): UsageError => new UsageError(message, hint, 'ERR_VDE_BAD_ADDRESS');

export const broadcastOf = (network: Ipv4Network): number => (network.network | ~network.mask) >>> 0;
const isInside = (network: Ipv4Network, address: number): boolean => (address & network.mask) >>> 0 === network.network;
/** Inside, and neither the network's own nor the broadcast address. */
export const isHost = (network: Ipv4Network, address: number): boolean =>
  isInside(network, address) && address !== network.network && address !== broadcastOf(network);
export const cidr = (network: Ipv4Network): string => `${formatIpv4(network.network)}/${network.prefixLen}`;
export const cidr6 = (network: Ipv6Network): string => `${formatIpv6(network.network)}/${network.prefixLen}`;

/** The networks of all -H; throws UsageError. */
export function guestNetworks(values: readonly string[], personality: Personality): GuestNetworks {
  const texts = values.length > 0 ? values : [personality.network];
  if (texts.length > MAX_NETWORKS) throw badAddress(`option '--host': more than ${MAX_NETWORKS} networks`);
  const ipv4: Ipv4Network[] = [];
  const ipv6: Ipv6Network[] = [];
  for (const text of texts) {
    if (text.includes(':')) {
      const network = ipv6Network(text, personality);
      const other = ipv6.find(({ network: n, prefixLen }) =>
        isInNetwork(n, network.network, Math.min(prefixLen, network.prefixLen)),
      );
      if (other !== undefined) throw badAddress(`option '--host': ${cidr6(network)} and ${cidr6(other)} overlap`);
      ipv6.push(network);
    } else {
      const network = ipv4Network(text, personality);
      const other = ipv4.find((n) => isInside(n, network.network) || isInside(network, n.network));
      if (other !== undefined) throw badAddress(`option '--host': ${cidr(network)} and ${cidr(other)} overlap`);
      ipv4.push(network);
    }
  }
  return { ipv4, ipv6 };
}

function ipv4Network(value: string, { routerHost }: Personality): Ipv4Network {
  const hint = `expected a.b.c.d or a.b.c.d/LEN, for example 10.0.2.${routerHost}/24`;
  const slash = value.indexOf('/');
  const address = parseIpv4(slash < 0 ? value : value.slice(0, slash));
  const lenText = slash < 0 ? String(DEFAULT_PREFIX_LEN) : value.slice(slash + 1);
  if (address < 0) throw badAddress(`option '--host': '${value}' is not an IPv4 or IPv6 address`, hint);
  const prefixLen = /^\d{1,2}$/.test(lenText) ? Number(lenText) : -1;
  if (prefixLen < 8 || prefixLen > 30) {
    throw badAddress(`option '--host': '${value}': the prefix length is not a number from 8 to 30`, hint);
  }
  const top = address >>> 24;
  if (top === 0 || top === 127 || top >= 224) {
    throw badAddress(`option '--host': ${formatIpv4(address)} cannot be the address of a network of hosts`, hint);
  }
  const mask = ipv4Mask(prefixLen);
  const network = (address & mask) >>> 0;
  const router = address === network ? (network | routerHost) >>> 0 : address;
  const result = { address: router, network, prefixLen, mask };
  if (router === broadcastOf(result)) {
    throw badAddress(`option '--host': ${formatIpv4(router)} is the broadcast address of ${cidr(result)}`, hint);
  }
  return result;
}

function ipv6Network(value: string, { routerHost }: Personality): Ipv6Network {
  const hint = 'expected ADDR or ADDR/LEN, for example 2001:db8::1/64';
  let parsed: Ipv6Network;
  try {
    parsed = parseIpv6Network(value, DEFAULT_PREFIX_LEN_6);
  } catch (error) {
    if (!(error instanceof VdeError)) throw error;
    throw badAddress(`option '--host': '${value}' is not an IPv6 address and a prefix length`, hint);
  }
  const { address, network, prefixLen } = parsed;
  if (prefixLen < 16 || prefixLen > 126) {
    throw badAddress(`option '--host': '${value}': the prefix length is not a number from 16 to 126`, hint);
  }
  const [w0, w1, w2] = address;
  const top = w0 >>> 16;
  const isLinkLocal = (top & 0xffc0) === 0xfe80;
  if ((w0 === 0 && w1 === 0 && (w2 === 0 || w2 === MAPPED)) || top >>> 8 === 0xff || isLinkLocal) {
    throw badAddress(`option '--host': ${formatIpv6(address)} cannot be the address of a network of hosts`, hint);
  }
  return { address: sameWords(address, network) ? hostOf(parsed, routerHost) : address, network, prefixLen };
}

/**
 * Adds the prefixes of which guests make themselves addresses and that no -H holds: the router would drop what comes from
 * those addresses. It has an address in each, since it answers guests by it.
 *
 * @throws UsageError
 */
export function withPrefixes(
  { ipv4, ipv6 }: GuestNetworks,
  prefixes: readonly { readonly prefix: AddressWords; readonly prefixLen: number }[],
  { routerHost }: Personality,
): GuestNetworks {
  const all = [...ipv6];
  for (const { prefix, prefixLen } of prefixes) {
    if (all.some((n) => n.prefixLen <= prefixLen && isInNetwork(n.network, prefix, n.prefixLen))) continue;
    const network = { address: prefix, network: prefix, prefixLen };
    const inside = ipv6.find(({ address }) => isInNetwork(prefix, address, prefixLen));
    all.push({ ...network, address: inside?.address ?? hostOf(network, routerHost) });
  }
  if (ipv4.length + all.length > MAX_NETWORKS) throw badAddress(`option '--radvd': more than ${MAX_NETWORKS} networks`);
  return { ipv4, ipv6: all };
}

/** Address of host number `host` of a network. */
const hostOf = ({ network: [w0, w1, w2, w3] }: Ipv6Network, host: number): AddressWords => [w0, w1, w2, w3 | host];

/** Who answers for names: -N. Throws UsageError. */
export function nameService(
  networks: GuestNetworks,
  values: readonly string[],
  asked: boolean,
  personality: Personality,
): NameService {
  return personality.ownDns ? ownNameService(networks, values) : proxyOf(networks, values, asked);
}

/** slirpvde: an address of its own; -N moves it, or tells guests of another server. One -N for each family. */
function ownNameService({ ipv4, ipv6 }: GuestNetworks, values: readonly string[]): NameService {
  let told4: number | null = null;
  let told6: AddressWords | null = null;
  for (const value of values) {
    const v6 = parseIpv6(value);
    if (v6 !== null) told6 = v6;
    else {
      const v4 = parseIpv4(value);
      if (v4 < 0) {
        throw badAddress(
          `option '--nameserver': '${value}' is not an IPv4 or IPv6 address`,
          'expected a.b.c.d, for example 10.0.2.3',
        );
      }
      told4 = v4;
    }
  }
  const [at4, tell4] = ipv4[0] === undefined ? [null, told4] : dnsIn4(ipv4, told4);
  const [at6, tell6] = ipv6[0] === undefined ? [null, told6] : dnsIn6(ipv6, told6);
  return { told4: tell4, told6: tell6, at4, at6, ofHost: false, upstream: null };
}

function dnsIn4(networks: readonly Ipv4Network[], told: number | null): [number, number] {
  const first = networks[0]!;
  const third = (first.network | DNS_HOST) >>> 0;
  const own = isHost(first, third) ? third : first.address;
  if (told === null) return [own, own];
  const network = networks.find((n) => isInside(n, told));
  if (network !== undefined) {
    if (isHost(network, told)) return [told, told];
    throw badAddress(`option '--nameserver': ${formatIpv4(told)} is not the address of a host in ${cidr(network)}`);
  }
  const top = told >>> 24;
  if (top === 0 || top === 127 || top >= 224) throw unreachable(formatIpv4(told));
  return [own, told];
}

function dnsIn6(networks: readonly Ipv6Network[], told: AddressWords | null): [AddressWords, AddressWords] {
  const first = networks[0]!;
  const own = first.prefixLen <= 125 ? hostOf(first, DNS_HOST) : first.address;
  if (told === null) return [own, own];
  const network = networks.find((n) => isInNetwork(told, n.network, n.prefixLen));
  if (network !== undefined) {
    if (!sameWords(told, network.network)) return [told, told];
    throw badAddress(`option '--nameserver': ${formatIpv6(told)} is not the address of a host in ${cidr6(network)}`);
  }
  const [w0, w1, w2] = told;
  if ((w0 === 0 && w1 === 0 && w2 === 0) || w0 >>> 24 === 0xff || w0 >>> 22 === 0x3fa)
    throw unreachable(formatIpv6(told));
  return [own, told];
}

const unreachable = (address: string): UsageError =>
  badAddress(
    `option '--nameserver': guests cannot reach ${address}`,
    'without --nameserver guests ask slirpvde, which asks the name servers of this host',
  );

/** slirpvde6: a proxy at the router's addresses, when -N is given, to the server that it names or those of the host. */
function proxyOf({ ipv4, ipv6 }: GuestNetworks, values: readonly string[], asked: boolean): NameService {
  const nobody = { told4: null, told6: null, at4: null, at6: null };
  if (!asked) return { ...nobody, ofHost: true, upstream: null };
  const value = values.at(-1);
  if (value !== undefined && parseIpv4(value) < 0 && parseIpv6(value) === null) {
    throw badAddress(
      `option '--dns': '${value}' is not an IPv4 or IPv6 address`,
      'expected the address of a name server',
    );
  }
  const upstream = value === undefined ? null : parseEndpoint(value, DNS_PORT);
  const at4 = ipv4[0]?.address ?? null;
  const at6 = ipv6[0]?.address ?? null;
  return { told4: at4, told6: at6, at4, at6, ofHost: false, upstream };
}

/** What DHCP leases. */
export interface DhcpRange {
  readonly network: Ipv4Network;
  readonly start: number;
  /** 0: all that are left. */
  readonly count: number;
}

/**
 * The range of --dhcp[=START[/COUNT]]: in the first network that holds START; without it from host 15 of the first network,
 * or the lowest host that is not ours. Throws UsageError.
 *
 * @param taken  own addresses, unsigned
 */
export function dhcpRange(
  networks: readonly Ipv4Network[],
  taken: readonly number[],
  value: string | null,
  personality: Personality,
): DhcpRange {
  if (networks.length === 0) {
    throw new UsageError(
      "option '--dhcp' needs an IPv4 network",
      'add one with --host, or leave out --dhcp; --dhcp6 serves IPv6',
    );
  }
  const slash = value === null ? -1 : value.indexOf('/');
  const count = slash < 0 ? personality.dhcpCount : countOf(value!, value!.slice(slash + 1));
  const text = value === null ? null : slash < 0 ? value : value.slice(0, slash);
  if (text !== null && text !== '') {
    const start = parseIpv4(text);
    if (start < 0) {
      throw badAddress(
        `option '--dhcp': '${value}' is not an IPv4 address`,
        'expected --dhcp or --dhcp=a.b.c.d[/COUNT]',
      );
    }
    const network = networks.find((n) => isHost(n, start));
    if (network === undefined) {
      throw badAddress(`option '--dhcp': ${text} is not the address of a host in ${networks.map(cidr).join(', ')}`);
    }
    return { network, start, count };
  }
  const network = networks[0]!;
  const usual =
    personality.dhcpOffset > 0 ? network.address + personality.dhcpOffset : (network.network | DHCP_HOST) >>> 0;
  let start = usual;
  if (!isHost(network, start)) {
    start = network.network + 1;
    while (taken.includes(start)) start++;
  }
  return { network, start, count };
}

function countOf(value: string, text: string): number {
  const count = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (count >= 1 && count <= MAX_COUNT) return count;
  throw new UsageError(`option '--dhcp': '${value}': the number of addresses is not from 1 to ${MAX_COUNT}`);
}

/** Own IPv4 addresses, unsigned. */
export const ownIpv4 = (networks: GuestNetworks, names: NameService): number[] => [
  ...networks.ipv4.map(({ address }) => address),
  ...(names.at4 === null ? [] : [names.at4]),
];

/** Why an address cannot be a guest's, or '' when it can. */
export function whyNoGuest(networks: GuestNetworks, names: NameService, guest: Endpoint): string {
  const { w0, w1, w2, w3 } = guest;
  const all = [...networks.ipv4.map(cidr), ...networks.ipv6.map(cidr6)].join(', ');
  if (guest.isIpv4) {
    if (!networks.ipv4.some((n) => isHost(n, w3 >>> 0))) return `${guest.host} is not the address of a host in ${all}`;
    return ownIpv4(networks, names).includes(w3 >>> 0)
      ? `${guest.host} is an address of the router, not of a guest`
      : '';
  }
  const words: AddressWords = [w0, w1, w2, w3];
  const inside = networks.ipv6.some((n) => isInNetwork(words, n.network, n.prefixLen) && !sameWords(words, n.network));
  if (!inside) return `${guest.host} is not the address of a host in ${all}`;
  const own = [...networks.ipv6.map(({ address }) => address), ...(names.at6 === null ? [] : [names.at6])];
  return own.some((address) => sameWords(address, words))
    ? `${guest.host} is an address of the router, not of a guest`
    : '';
}
