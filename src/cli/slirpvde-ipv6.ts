// The part of the command line that concerns IPv6: router advertisements, DHCPv6, and IPv4 for guests that have none.
//
// NAT64 is there as soon as a network of IPv6 is. DNS64 and PREF64 point guests at it; they do so by themselves only where
// guests have no IPv4, since those that have would go through the translation without need.

import { readFileSync } from 'node:fs';
import { VdeError } from '../core/errors.ts';
import { formatIpv6, type Ipv6Network, isInNetwork, parseIpv6Network } from '../core/ipv6-network.ts';
import { prefixInformation, RA_DEFAULTS, type RaSettings } from '../services/index.ts';
import { type Nat64Prefix, PREFIX_LENGTHS, WELL_KNOWN_PREFIX } from '../wire/nat64.ts';
import { parseRaFile } from './ra-file.ts';
import { cidr6, type GuestNetworks, type Personality, withPrefixes } from './slirpvde-networks.ts';
import { UsageError } from './usage-error.ts';

export interface Ipv6Settings {
  /** Router advertisements; null: none. */
  readonly radv: RaSettings | null;
  /** Their lifetime follows whether this host has a route for IPv6. */
  readonly radvFollowsHost: boolean;
  /** Addresses by DHCPv6, in this network; null: name servers only. */
  readonly dhcp6: Ipv6Network | null;
  /** Null: off. */
  readonly nat64: Nat64Prefix | null;
  readonly dns64: boolean;
  readonly pref64: boolean;
}

/** Access to the parsed command line. */
export interface Ipv6Words {
  /** Null: the option was not given; '': given without a value. */
  optional(key: string): string | null;
  text(key: string): string | null;
  path(key: string): string | null;
  flag(key: string): boolean;
}

const WELL_KNOWN = `${formatIpv6(WELL_KNOWN_PREFIX.words)}/${WELL_KNOWN_PREFIX.prefixLen}`;
const SIZES = PREFIX_LENGTHS.join(', ');
/** DHCPv6 leases from this host on: the range has 4096 addresses. */
const MIN_HOST_BITS = 14;

/**
 * The settings, and the networks that guests then have: those of -H, and those of which advertisements make guests
 * addresses without a -H that holds them.
 *
 * @throws UsageError
 */
export function ipv6Settings(
  words: Ipv6Words,
  hosts: GuestNetworks,
  personality: Personality,
): { ipv6: Ipv6Settings; networks: GuestNetworks } {
  const has6 = hosts.ipv6.length > 0;
  if (!has6) checkUnused(words);
  const radv = advertisements(words, hosts);
  const forGuests = (radv?.prefixes ?? []).filter(({ autonomous, validSec }) => autonomous && validSec > 0);
  const networks = withPrefixes(hosts, forGuests, personality);
  const nat64 = nat64Prefix(words.text('nat64'), networks);
  const only6 = networks.ipv4.length === 0;
  const ipv6 = {
    radv,
    radvFollowsHost: words.flag('radvFollowsHost'),
    dhcp6: words.flag('dhcp6') ? dhcp6Network(networks.ipv6) : null,
    nat64,
    dns64: onOff('--dns64', words.text('dns64'), only6, nat64),
    pref64: onOff('--pref64', words.text('pref64'), only6, nat64),
  };
  return { ipv6, networks };
}

const IPV6_ONLY: Readonly<Record<string, string>> = {
  radv: '--radvd',
  radvFile: '--radvdrc',
  radvFollowsHost: '--radv-follow-host',
  dhcp6: '--dhcp6',
  nat64: '--nat64',
  dns64: '--dns64',
  pref64: '--pref64',
};

function checkUnused(words: Ipv6Words): void {
  for (const [key, option] of Object.entries(IPV6_ONLY)) {
    if (words.optional(key) !== null || words.text(key) !== null || words.flag(key)) {
      throw new UsageError(
        `option '${option}' needs an IPv6 network`,
        'add one with --host, for example --host 2001:db8::1/64',
      );
    }
  }
}

function advertisements(words: Ipv6Words, { ipv6 }: GuestNetworks): RaSettings | null {
  const value = words.optional('radv');
  const file = words.path('radvFile');
  if (value === null && file === null) {
    if (!words.flag('radvFollowsHost')) return null;
    throw new UsageError("option '--radv-follow-host' means nothing without advertisements", 'add --radvd');
  }
  const managed = words.flag('dhcp6');
  const fromFile = file === null ? null : readRaFile(file);
  const settings = fromFile ?? { ...RA_DEFAULTS, advManagedFlag: managed };
  const given = value === null || value === '' ? [] : value.split(',').map(prefixOf);
  if (given.length > 0 && settings.prefixes.length > 0) {
    throw new UsageError("prefixes are named twice: by '--radvd' and in the file of '--radvdrc'");
  }
  if (given.length > 0) return { ...settings, prefixes: given.map((n) => prefixInformation(n.network, n.prefixLen)) };
  if (settings.prefixes.length > 0) return settings;
  // The original advertises the network of the first -H; guests have use for all that there are.
  return { ...settings, prefixes: ipv6.map((n) => prefixInformation(n.network, n.prefixLen)) };
}

function prefixOf(text: string): Ipv6Network {
  try {
    const network = parseIpv6Network(text, 64);
    const top = network.network[0] >>> 16;
    if (network.network[0] !== 0 && top >>> 8 !== 0xff && (top & 0xffc0) !== 0xfe80) return network;
  } catch (error) {
    if (!(error instanceof VdeError)) throw error;
  }
  throw new UsageError(
    `option '--radvd': '${text}' is not a prefix for guests`,
    'expected PREFIX[/LEN][,PREFIX[/LEN]]..., for example -r2001:db8::/64',
    'ERR_VDE_BAD_ADDRESS',
  );
}

function readRaFile(path: string): RaSettings {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new UsageError(`option '--radvdrc': cannot read ${path}: ${(error as NodeJS.ErrnoException).code}`);
  }
  try {
    return parseRaFile(path, text);
  } catch (error) {
    if (!(error instanceof VdeError)) throw error;
    throw new UsageError(error.message, 'docs/reference/ra-file.md has the form of the file', error.code);
  }
}

function dhcp6Network(networks: readonly Ipv6Network[]): Ipv6Network {
  const network = networks.find(({ prefixLen }) => prefixLen <= 128 - MIN_HOST_BITS);
  if (network !== undefined) return network;
  throw new UsageError(
    `option '--dhcp6' needs a network of at most ${128 - MIN_HOST_BITS} bits of prefix, not ${networks.map(cidr6).join(', ')}`,
  );
}

function nat64Prefix(given: string | null, networks: GuestNetworks): Nat64Prefix | null {
  if (given === 'off' || networks.ipv6.length === 0) return null;
  const value = given === null || given === 'on' ? WELL_KNOWN : given;
  const hint = `expected PREFIX/LEN with one of ${SIZES} bits (RFC 6052), for example 64:ff9b:1::/96, or off`;
  const bad = (why: string): UsageError =>
    new UsageError(`option '--nat64': '${value}' ${why}`, hint, 'ERR_VDE_BAD_ADDRESS');
  let network: Ipv6Network;
  try {
    network = parseIpv6Network(value, 96);
  } catch (error) {
    if (!(error instanceof VdeError)) throw error;
    throw bad('is not an IPv6 prefix');
  }
  const { network: prefix, prefixLen, address } = network;
  if (!PREFIX_LENGTHS.includes(prefixLen)) throw bad(`has ${prefixLen} bits`);
  if (formatIpv6(address) !== formatIpv6(prefix)) throw bad(`has host bits; did you mean ${formatIpv6(prefix)}?`);
  // Bits 64 to 71 of an address are 0 whatever the prefix (RFC 6052 section 2.2).
  if (prefix[2] >>> 24 !== 0) throw bad('has bits 64 to 71 set');
  const top = prefix[0] >>> 16;
  const isUnusable = prefix[0] === 0 || top >>> 8 === 0xff || (top & 0xffc0) === 0xfe80;
  if (isUnusable) throw bad('cannot be the prefix of a translator');
  const taken = networks.ipv6.find((n) => isInNetwork(n.network, prefix, Math.min(n.prefixLen, prefixLen)));
  if (taken !== undefined) throw bad(`overlaps the guest network ${cidr6(taken)}`);
  return { words: prefix as Nat64Prefix['words'], prefixLen };
}

/** What makes guests use a translator: nothing without one. */
function onOff(option: string, value: string | null, byDefault: boolean, nat64: Nat64Prefix | null): boolean {
  if (value !== null && value !== 'on' && value !== 'off') {
    throw new UsageError(`option '${option}': '${value}' is neither on nor off`);
  }
  if (nat64 !== null) return value === null ? byDefault : value === 'on';
  if (value !== 'on') return false;
  throw new UsageError(`option '${option}' means nothing with --nat64 off`);
}
