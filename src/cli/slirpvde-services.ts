// The part of slirpvde's command line that concerns its services: DHCP beyond the address range, local names, TFTP.
// Everything is checked here, so that the services themselves are only given what makes sense.

import { formatIpv4, type Ipv4Network, parseAddress, parseIpv4, parseMac } from '../core/address.ts';
import { type ClasslessRoute, writeAddresses, writeText, writeU8, writeU16, writeU32 } from '../wire/dhcpv4-options.ts';
import { UsageError } from './usage-error.ts';

/** A host with an address of its own (`--dhcp-host`). */
export interface HostEntry {
  /** Hardware address: upper 16 and lower 32 bits, unsigned. */
  readonly macHi: number;
  readonly macLo: number;
  readonly address: number;
  /** '' when none was given. */
  readonly name: string;
}

/** A name and its address (`--dns-record`). */
export interface NameEntry {
  readonly name: string;
  readonly words: readonly [number, number, number, number];
}

/** Domains that guests try for short names. */
export interface SearchList {
  readonly names: readonly string[];
  /** Whether the host's own search list is given on too, as it is at the time. */
  readonly ofHost: boolean;
}

export interface DhcpSettings {
  readonly hosts: readonly HostEntry[];
  /** Unsigned; 0: the router itself. */
  readonly nextServer: number;
  readonly bootFile: string;
  readonly domain: string;
  readonly routes: readonly ClasslessRoute[];
  readonly options: ReadonlyMap<number, Uint8Array>;
}

/** Access to the parsed command line. */
export interface Words {
  text(key: string): string | null;
  list(key: string): readonly string[];
}

export const DEFAULT_LEASE_SEC = 86_400;
const MIN_LEASE_SEC = 60;
const MAX_LEASE_SEC = 0x7fffffff;
const MAX_BOOT_FILE = 255;

/** What only makes sense with --dhcp, by key, with the option's name. */
const DHCP_ONLY: Readonly<Record<string, string>> = {
  leases: '--leases',
  dhcpLeaseTime: '--dhcp-lease-time',
  dhcpHost: '--dhcp-host',
  dhcpNextServer: '--dhcp-next-server',
  dhcpFile: '--dhcp-file',
  dhcpSearch: '--dhcp-search',
  dhcpOption: '--dhcp-option',
};

/**
 * @param used  keys of these that DHCPv6 or router advertisements have a use for
 * @throws UsageError for DHCP options without --dhcp
 */
export function checkDhcpOnly(words: Words, used: readonly string[]): void {
  for (const [key, option] of Object.entries(DHCP_ONLY)) {
    if (used.includes(key)) continue;
    if (words.text(key) !== null || words.list(key).length > 0) {
      throw new UsageError(`option '${option}' means nothing without --dhcp`, 'add --dhcp');
    }
  }
}

const bad = (option: string, value: string, why: string, hint = ''): UsageError =>
  new UsageError(`option '${option}': '${value}': ${why}`, hint);

/**
 * @param taken   addresses of the router, unsigned
 * @param domain  what `guestDomain` gave
 * @throws UsageError
 */
export function dhcpSettings(
  words: Words,
  network: Ipv4Network,
  taken: readonly number[],
  domain: string,
): DhcpSettings {
  const next = words.text('dhcpNextServer');
  const nextServer = next === null ? 0 : parseIpv4(next);
  if (nextServer < 0) throw bad('--dhcp-next-server', next!, 'is not an IPv4 address');
  const bootFile = words.text('dhcpFile') ?? '';
  if (bootFile.length > MAX_BOOT_FILE || /[^\x20-\x7e]/.test(bootFile)) {
    throw bad('--dhcp-file', bootFile, `is not ASCII text of at most ${MAX_BOOT_FILE} characters`);
  }
  const routes: ClasslessRoute[] = [];
  const options = new Map<number, Uint8Array>();
  for (const value of words.list('dhcpOption')) addOption(value, options, routes);
  return {
    hosts: hostEntries(words.list('dhcpHost'), network, taken),
    nextServer,
    bootFile,
    domain,
    routes,
    options,
  };
}

/** In --dhcp-search: the search list of this host. */
const HOST_LIST = 'host';

/** Domains of --dhcp-search. Throws UsageError. */
export function searchList(words: Words): SearchList {
  const names = words.list('dhcpSearch').flatMap((value) => value.split(','));
  for (const name of names) if (!isDomain(name)) throw bad('--dhcp-search', name, 'is not a domain name');
  return { names: names.filter((name) => name !== HOST_LIST), ofHost: names.includes(HOST_LIST) };
}

/** The domain of --dhcp-domain in lower case, '' for none. Throws UsageError. */
export function guestDomain(words: Words): string {
  const domain = (words.text('dhcpDomain') ?? '').toLowerCase().replace(/\.$/, '');
  if (domain !== '' && !isDomain(domain)) throw bad('--dhcp-domain', domain, 'is not a domain name');
  return domain;
}

/** Zones of --dns-rebind-ok, lower case. Throws UsageError. */
export function rebindExempt(words: Words): readonly string[] {
  return words.list('dnsRebindOk').map((zone) => {
    if (!isDomain(zone)) throw bad('--dns-rebind-ok', zone, 'is not a domain name');
    return zone.toLowerCase().replace(/\.$/, '');
  });
}

/** Names of --dns-record. Throws UsageError. */
export function nameEntries(words: Words): readonly NameEntry[] {
  return words.list('dnsRecord').map((value) => {
    const comma = value.indexOf(',');
    const name = value.slice(0, Math.max(0, comma)).replace(/\.$/, '');
    const address = parseAddress(value.slice(comma + 1));
    if (!isDomain(name) || address === null) {
      throw bad('--dns-record', value, 'is not a name and its address', 'expected NAME,ADDR, for example nas,10.0.2.9');
    }
    return { name, words: address };
  });
}

/** Seconds of --dhcp-lease-time. Throws UsageError. */
export function leaseTime(value: string | null): number {
  if (value === null) return DEFAULT_LEASE_SEC;
  const seconds = /^\d{1,10}$/.test(value) ? Number(value) : 0;
  if (seconds < MIN_LEASE_SEC || seconds > MAX_LEASE_SEC) {
    throw bad('--dhcp-lease-time', value, `is not a number of seconds from ${MIN_LEASE_SEC} to ${MAX_LEASE_SEC}`);
  }
  return seconds;
}

function hostEntries(values: readonly string[], network: Ipv4Network, taken: readonly number[]): HostEntry[] {
  const hosts: HostEntry[] = [];
  for (const value of values) {
    const host = hostEntry(value, network, taken);
    const why = hosts.some((h) => h.address === host.address)
      ? `${formatIpv4(host.address)} was given to another host before`
      : hosts.some((h) => h.macHi === host.macHi && h.macLo === host.macLo)
        ? 'its MAC address was given before'
        : host.name !== '' && hosts.some((h) => h.name.toLowerCase() === host.name.toLowerCase())
          ? `the name '${host.name}' was given before`
          : '';
    if (why !== '') throw bad('--dhcp-host', value, why);
    hosts.push(host);
  }
  return hosts;
}

function hostEntry(value: string, network: Ipv4Network, taken: readonly number[]): HostEntry {
  const hint = 'expected MAC,ADDR or MAC,ADDR,NAME, for example 52:54:00:12:34:56,10.0.2.40,web';
  const [macText, addressText, name = '', ...more] = value.split(',');
  const mac = parseMac(macText!);
  const address = parseIpv4(addressText ?? '');
  if (mac === null || (mac[0]! & 1) !== 0)
    throw bad('--dhcp-host', value, `'${macText}' is no host's MAC address`, hint);
  if (address < 0 || more.length > 0) throw bad('--dhcp-host', value, 'is not a host and its address', hint);
  const inside = (address & network.mask) >>> 0 === network.network;
  const edge = address === network.network || address === (network.network | ~network.mask) >>> 0;
  if (!inside || edge || taken.includes(address)) {
    throw bad('--dhcp-host', value, `${addressText} is not the address of a guest`, hint);
  }
  if (name !== '' && (name.includes('.') || !isDomain(name) || name.includes('_'))) {
    throw bad('--dhcp-host', value, `'${name}' is not a host name`, hint);
  }
  const hi = (mac[0]! << 8) | mac[1]!;
  const lo = ((mac[2]! << 24) | (mac[3]! << 16) | (mac[4]! << 8) | mac[5]!) >>> 0;
  return { macHi: hi, macLo: lo, address, name };
}

/** Labels of letters, digits, hyphens and underscores (which names of services have), a final dot allowed. */
export function isDomain(name: string): boolean {
  const bare = name.replace(/\.$/, '');
  return (
    bare.length <= 253 &&
    /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/i.test(bare)
  );
}

// --dhcp-option N,VALUE

/** Options that the server sends by itself, or that have an option of the command. */
const OWN_OPTIONS = new Set([
  ...[0, 1, 3, 6, 12, 15, 26, 28, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 61, 66, 67, 81, 82, 119, 255],
]);
const BYTE_OPTIONS = new Set([19, 20, 23, 29, 30, 31, 34, 36, 37, 39, 46, 116]);
const SHORT_OPTIONS = new Set([13, 22, 25]);
const LONG_OPTIONS = new Set([2, 24, 35, 38, 108]);
const ROUTES = 121;

function addOption(text: string, options: Map<number, Uint8Array>, routes: ClasslessRoute[]): void {
  const comma = text.indexOf(',');
  const code = /^\d{1,3}$/.test(text.slice(0, Math.max(0, comma))) ? Number(text.slice(0, comma)) : 0;
  const value = text.slice(comma + 1);
  const hint = 'expected N,VALUE, for example 42,10.0.2.2 or 114,https://portal.example/ or 43,01:04:0a:00:02:02';
  if (code < 1 || code > 254 || value === '') throw bad('--dhcp-option', text, 'is not an option and its value', hint);
  if (OWN_OPTIONS.has(code)) throw bad('--dhcp-option', text, `option ${code} is not set this way`);
  if (code === ROUTES) {
    routes.push(...parseRoutes(text, value));
    return;
  }
  if (options.has(code)) throw bad('--dhcp-option', text, `option ${code} was given before`);
  options.set(code, optionValue(text, code, value));
}

function optionValue(text: string, code: number, value: string): Uint8Array {
  const number = /^\d{1,10}$/.test(value) ? Number(value) : -1;
  const max = BYTE_OPTIONS.has(code)
    ? 0xff
    : SHORT_OPTIONS.has(code)
      ? 0xffff
      : LONG_OPTIONS.has(code)
        ? 0xffffffff
        : 0;
  if (max > 0) {
    if (number < 0 || number > max) throw bad('--dhcp-option', text, `is not a number from 0 to ${max}`);
    return max === 0xff ? writeU8(number) : max === 0xffff ? writeU16(number) : writeU32(number);
  }
  if (/^[0-9a-f]{2}(:[0-9a-f]{2})+$/i.test(value)) {
    return Uint8Array.from(value.split(':'), (byte) => Number.parseInt(byte, 16));
  }
  const addresses = value.split(',').map(parseIpv4);
  return addresses.includes(-1) ? writeText(value) : writeAddresses(...addresses);
}

/** `10.1.0.0/16,10.0.2.9[,NETWORK/LEN,ROUTER]...` */
function parseRoutes(text: string, value: string): ClasslessRoute[] {
  const words = value.split(',');
  const routes: ClasslessRoute[] = [];
  for (let i = 0; i < words.length; i += 2) {
    const [networkText, lenText] = words[i]!.split('/');
    const network = parseIpv4(networkText!);
    const prefixLen = /^\d{1,2}$/.test(lenText ?? '') ? Number(lenText) : -1;
    const router = parseIpv4(words[i + 1] ?? '');
    const host = prefixLen === 32 ? 0 : network & (0xffffffff >>> Math.max(0, prefixLen));
    if (network < 0 || prefixLen < 0 || prefixLen > 32 || router < 0 || host !== 0) {
      throw bad(
        '--dhcp-option',
        text,
        'is not a list of routes',
        'expected 121,NETWORK/LEN,ROUTER[,NETWORK/LEN,ROUTER]...',
      );
    }
    routes.push({ network, prefixLen, router });
  }
  return routes;
}
