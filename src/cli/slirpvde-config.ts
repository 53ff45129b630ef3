// From slirpvde's command line to a configuration without loose ends: every address is known, inside its network and
// not taken twice, every path absolute. What the original leaves to chance (an address outside the network, a DNS
// address that is the broadcast address of a small network) is an error or gets a working default here.
//
//   -H 10.1.2.3/16     router 10.1.2.3, network 10.1.0.0/16, DNS network|3, DHCP from network|15
//   -H 10.1.0.0/16     the same network, router network|2
//   networks below /28 end before host 15, those below /29 before host 3: DHCP then starts at the first free host, and
//   the router's address answers DNS too.

import { type Endpoint, formatIpv4, type Ipv4Network, ipv4Mask, parseIpv4 } from '../core/address.ts';
import { VdeError } from '../core/errors.ts';
import { POLICY_FORM, parsePolicyRule } from '../mgmt/policy-text.ts';
import type { PolicyRule, UdpFilter, UdpTimeoutProfile } from '../router/index.ts';
import { type Forward, formatForward, parseForward } from './forward.ts';
import type { ParsedCommand } from './parse.ts';
import {
  checkDhcpOnly,
  type DhcpSettings,
  dhcpSettings,
  guestDomain,
  type NameEntry,
  nameEntries,
  rebindExempt,
} from './slirpvde-services.ts';
import { UsageError } from './usage-error.ts';
import { absolutePath, type ManagementSocket, managementSocket, octalMode, oneOf } from './values.ts';
import {
  type Display,
  isUnixForward,
  parseDisplay,
  parseQemuDgram,
  parseUnixForward,
  parseUnixService,
  type QemuDgramPaths,
  type UnixForward,
  type UnixService,
} from './ways.ts';

export interface SlirpvdeConfig {
  /** Control directory, absolute; null: try the usual places. */
  readonly socket: string | null;
  /** Frames come and go on standard input and output. */
  readonly stdio: boolean;
  /** Port of the switch, 1 to 2^24 - 1; null: any. */
  readonly port: number | null;
  /** Name of the group that may use our sockets. */
  readonly group: string | null;
  /** Permissions of our sockets, 0 to 0o777. */
  readonly mode: number | null;
  /** May become a switch when none listens. */
  readonly embeddedSwitch: boolean;
  /** The guest network; `address` is the router's (unsigned, as all addresses here). */
  readonly network: Ipv4Network;
  /** Address that guests are told to ask names of. */
  readonly nameserver: number;
  /** Address inside the network at which names are answered: the same, or host 3 when `nameserver` lies outside. */
  readonly dnsAddress: number;
  readonly dhcp: (DhcpSettings & { readonly start: number; readonly leases: string | null }) | null;
  /** Domain of the guests' names, '' for none. */
  readonly domain: string;
  readonly dnsRecords: readonly NameEntry[];
  /** Zones that may have private addresses; null when all may. */
  readonly rebindExempt: readonly string[] | null;
  /** Directory that TFTP serves, absolute, or null. */
  readonly tftp: string | null;
  /** Largest IP packet, bytes. */
  readonly mtu: number;
  /** Guests reach the host's loopback at the router's address. */
  readonly hostLoopback: boolean;
  readonly udpFilter: UdpFilter;
  readonly udpTimeouts: UdpTimeoutProfile;
  /** The addresses of the host are refused to guests. */
  readonly noHost: boolean;
  /** Guests reach services of the router and what `rules` allow, nothing else. */
  readonly restrict: boolean;
  /** --allow and --deny, in the order of the command line. */
  readonly rules: readonly PolicyRule[];
  /** Management console: socket (absolute path), its permissions and group; null: none. */
  readonly mgmt: ManagementSocket | null;
  readonly forwards: readonly Forward[];
  readonly displays: readonly Display[];
  readonly unixForwards: readonly UnixForward[];
  readonly unixServices: readonly UnixService[];
  /** Sockets that guests of QEMU connect to, and sockets of a QEMU that listens; absolute paths, as all here. */
  readonly qemuStreams: readonly string[];
  readonly qemuConnects: readonly string[];
  readonly qemuDgrams: readonly QemuDgramPaths[];
  /** Configuration file that the above came from too, absolute. */
  readonly config: string | null;
  readonly daemon: boolean;
  /** Absolute paths, or null. */
  readonly pidfile: string | null;
  readonly log: string | null;
  readonly capture: string | null;
  readonly quiet: boolean;
  readonly verbose: boolean;
}

export const MIN_MTU = 576; // RFC 791 section 3.1: what every host must take
export const MAX_MTU = 9216; // a VDE frame holds 9234 bytes: Ethernet header, one tag, and this
/** With links that carry the longest frames there are (qemu-stream.ts). */
export const MAX_STREAM_MTU = 65_532;
const DEFAULT_MTU = 1500;
const MAX_SWITCH_PORT = 0xffffff; // 24 bits in the VDE request

// The words of --udp-filter and --udp-timeouts, defaults first.
const UDP_FILTERS = ['any', 'address', 'address-port'] as const satisfies readonly UdpFilter[];
const UDP_TIMEOUTS = ['short', 'rfc'] as const satisfies readonly UdpTimeoutProfile[];

const DEFAULT_NETWORK = '10.0.2.0/24';
const DEFAULT_PREFIX_LEN = 24;

/**
 * Makes the configuration.
 *
 * @param cwd  directory that relative paths start from
 * @throws UsageError
 */
export function slirpvdeConfig(parsed: ParsedCommand, cwd: string): SlirpvdeConfig {
  const text = (key: string): string | null => {
    const value = parsed.values.get(key);
    return typeof value === 'string' ? value : null;
  };
  const flag = (key: string): boolean => parsed.values.get(key) === true;
  const list = (key: string): readonly string[] => {
    const value = parsed.values.get(key);
    return Array.isArray(value) ? value : [];
  };
  const path = (key: string): string | null => {
    const value = text(key);
    return value === null ? null : absolutePath(`--${key}`, value, cwd);
  };
  const dhcpValue = parsed.values.get('dhcp');
  const socket = switchSocket(parsed.positionals, text('sock'), dhcpValue !== undefined, cwd);
  const network = guestNetwork(text('host') ?? DEFAULT_NETWORK);
  const names = nameservers(network, text('nameserver'));
  const taken = [network.address, names.dnsAddress];
  const port = switchPort(text('port')) ?? socket.port;
  const read = (option: string, value: string): string => absolutePath(option, value, cwd);
  const check = <T extends { guest: Endpoint }>(option: string, value: string, forward: T): T =>
    checkForward(network, taken, option, value, forward);
  const unixForwards = list('tcp')
    .filter(isUnixForward)
    .map((value) => check('-L', value, parseUnixForward('-L', value, read)));
  const unixServices = list('unix').map((value) => parseUnixService(value, read));
  const displays = list('display').map((value) => check('-X', value, parseDisplay(value)));
  const qemuStreams = list('qemuStream').map((value) => read('--qemu-stream', value));
  const qemuConnects = list('qemuConnect').map((value) => read('--qemu-connect', value));
  const qemuDgrams = list('qemuDgram').map((value) => parseQemuDgram(value, read));
  checkUnix(unixForwards, unixServices, names.dnsAddress === network.address);
  const streams = qemuStreams.length + qemuConnects.length;
  if (streams + qemuDgrams.length > 0 && flag('noSwitch')) {
    throw new UsageError('guests of QEMU are ports of the embedded switch', 'leave out --no-switch');
  }
  if (socket.stdio && flag('daemon')) {
    throw new UsageError("'-' and --daemon exclude each other: frames come on standard input");
  }
  const ports = list('tcp').filter((value) => !isUnixForward(value));
  const forwards = [
    ...ports.map((value) => checkForward(network, taken, '-L', value, parseForward('tcp', '-L', value))),
    ...list('udp').map((value) => checkForward(network, taken, '-U', value, parseForward('udp', '-U', value))),
  ];
  checkTwice(forwards);
  const domain = guestDomain({ text, list });
  if (dhcpValue === undefined) checkDhcpOnly({ text, list });
  return {
    socket: socket.path,
    stdio: socket.stdio,
    port,
    group: text('group'),
    mode: octalMode('--mode', text('mode')),
    embeddedSwitch: !flag('noSwitch'),
    network,
    ...names,
    dhcp:
      dhcpValue === undefined
        ? null
        : {
            start: dhcpStart(network, taken, text('dhcp')),
            leases: path('leases'),
            ...dhcpSettings({ text, list }, network, taken, domain),
          },
    domain,
    dnsRecords: nameEntries({ text, list }),
    rebindExempt: flag('dnsRebindProtect') ? rebindExempt({ text, list }) : null,
    tftp: path('tftp'),
    mtu: mtu(text('mtu'), streams > 0 ? MAX_STREAM_MTU : MAX_MTU),
    hostLoopback: !flag('noHostLoopback') && !flag('noHost'),
    noHost: flag('noHost'),
    restrict: flag('restrict'),
    rules: parsed.sequence.flatMap(({ key, value }) => policyRule(key, value)),
    udpFilter: oneOf('--udp-filter', text('udpFilter'), UDP_FILTERS),
    udpTimeouts: oneOf('--udp-timeouts', text('udpTimeouts'), UDP_TIMEOUTS),
    mgmt: managementSocket(path('mgmt'), text('mgmtMode'), text('mgmtGroup')),
    forwards,
    displays,
    unixForwards,
    unixServices,
    qemuStreams,
    qemuConnects,
    qemuDgrams,
    config: path('config'),
    daemon: flag('daemon'),
    pidfile: path('pidfile'),
    log: path('log'),
    capture: path('capture'),
    quiet: flag('quiet') || (socket.stdio && !flag('verbose')),
    verbose: flag('verbose'),
  };
}

const broadcastOf = (network: Ipv4Network): number => (network.network | ~network.mask) >>> 0;

const isInside = (network: Ipv4Network, address: number): boolean => (address & network.mask) >>> 0 === network.network;

/** Inside, and neither the network's own nor the broadcast address. */
const isHost = (network: Ipv4Network, address: number): boolean =>
  isInside(network, address) && address !== network.network && address !== broadcastOf(network);

const cidr = (network: Ipv4Network): string => `${formatIpv4(network.network)}/${network.prefixLen}`;

const badAddress = (message: string, hint: string): UsageError => new UsageError(message, hint, 'ERR_VDE_BAD_ADDRESS');

function switchSocket(
  positionals: readonly string[],
  option: string | null,
  dhcp: boolean,
  cwd: string,
): { path: string | null; port: number | null; stdio: boolean } {
  const word = positionals[0];
  if (word !== undefined && option !== null) {
    throw new UsageError(`the switch is named twice: --sock '${option}' and '${word}'`);
  }
  if (word !== undefined && dhcp && parseIpv4(word) >= 0) {
    throw new UsageError(
      `'${word}' is an address, not the control directory of a switch`,
      `did you mean --dhcp=${word}?`,
    );
  }
  let value = word ?? option;
  if (value === null) return { path: null, port: null, stdio: false };
  if (value === '') throw new UsageError('the control directory is an empty name');
  if (value === '-') return { path: null, port: null, stdio: true };
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(value);
  if (scheme !== null) {
    if (scheme[1]!.toLowerCase() !== 'vde') {
      throw new UsageError(`cannot join '${value}': only vde:// and plain paths name switches`);
    }
    value = value.slice(scheme[0].length);
    if (value === '') return { path: null, port: null, stdio: false };
  }
  const bracket = /\[([^[\]]*)\]$/.exec(value);
  if (bracket === null) return { path: absolutePath('--sock', value, cwd), port: null, stdio: false };
  const before = value.slice(0, bracket.index);
  if (!/^\d{1,8}$/.test(bracket[1]!) || before === '') {
    throw new UsageError(`cannot read '${value}'`, 'expected DIR or DIR[PORT], where PORT is a number');
  }
  return { path: absolutePath('--sock', before, cwd), port: switchPort(bracket[1]!), stdio: false };
}

function switchPort(value: string | null): number | null {
  if (value === null) return null;
  const port = /^\d{1,8}$/.test(value) ? Number(value) : -1;
  if (port < 0 || port > MAX_SWITCH_PORT) {
    throw new UsageError(
      `'${value}' is not a switch port`,
      `expected a number from 1 to ${MAX_SWITCH_PORT}, or 0 for any`,
    );
  }
  return port === 0 ? null : port;
}

function policyRule(key: string, text: string): PolicyRule[] {
  if (key !== 'allow' && key !== 'deny') return [];
  try {
    return [parsePolicyRule(key === 'allow', text)];
  } catch (error) {
    if (!(error instanceof VdeError)) throw error;
    throw new UsageError(`option '--${key}': bad rule '${text}': ${error.message}`, POLICY_FORM, error.code);
  }
}

function mtu(value: string | null, most: number): number {
  if (value === null) return DEFAULT_MTU;
  const bytes = /^\d{1,5}$/.test(value) ? Number(value) : 0;
  if (bytes < MIN_MTU || bytes > most) {
    throw new UsageError(`option '--mtu': '${value}' is not between ${MIN_MTU} and ${most}`);
  }
  return bytes;
}

function guestNetwork(value: string): Ipv4Network {
  const hint = 'expected a.b.c.d or a.b.c.d/LEN, for example 10.0.2.2/24';
  const slash = value.indexOf('/');
  const address = parseIpv4(slash < 0 ? value : value.slice(0, slash));
  const lenText = slash < 0 ? String(DEFAULT_PREFIX_LEN) : value.slice(slash + 1);
  if (address < 0) throw badAddress(`option '--host': '${value}' is not an IPv4 address`, hint);
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
  const router = address === network ? (network | 2) >>> 0 : address;
  const result = { address: router, network, prefixLen, mask };
  if (router === broadcastOf(result)) {
    throw badAddress(`option '--host': ${formatIpv4(router)} is the broadcast address of ${cidr(result)}`, hint);
  }
  return result;
}

function nameservers(network: Ipv4Network, value: string | null): { nameserver: number; dnsAddress: number } {
  const third = (network.network | 3) >>> 0;
  const own = isHost(network, third) ? third : network.address;
  if (value === null) return { nameserver: own, dnsAddress: own };
  const address = parseIpv4(value);
  if (address < 0) {
    throw badAddress(
      `option '--nameserver': '${value}' is not an IPv4 address`,
      'expected a.b.c.d, for example 10.0.2.3',
    );
  }
  if (isInside(network, address)) {
    if (isHost(network, address)) return { nameserver: address, dnsAddress: address };
    throw badAddress(`option '--nameserver': ${value} is not the address of a host in ${cidr(network)}`, '');
  }
  const top = address >>> 24;
  if (top === 0 || top === 127 || top >= 224) {
    throw badAddress(
      `option '--nameserver': guests cannot reach ${value}`,
      'without --nameserver guests ask slirpvde, which asks the name servers of this host',
    );
  }
  return { nameserver: address, dnsAddress: own };
}

/** First address to lease: as given, else host 15, else the lowest host that is not ours. */
function dhcpStart(network: Ipv4Network, taken: readonly number[], value: string | null): number {
  if (value !== null) {
    const start = parseIpv4(value);
    if (start < 0) {
      throw badAddress(`option '--dhcp': '${value}' is not an IPv4 address`, 'expected --dhcp or --dhcp=a.b.c.d');
    }
    if (!isHost(network, start)) {
      throw badAddress(`option '--dhcp': ${value} is not the address of a host in ${cidr(network)}`, '');
    }
    return start;
  }
  const fifteenth = (network.network | 15) >>> 0;
  if (isHost(network, fifteenth)) return fifteenth;
  let start = network.network + 1;
  while (taken.includes(start)) start++;
  return start;
}

function checkForward<T extends { readonly guest: Endpoint; readonly guestName?: string | null }>(
  network: Ipv4Network,
  taken: readonly number[],
  option: string,
  text: string,
  forward: T,
): T {
  if ((forward.guestName ?? null) !== null) return forward;
  const guest = forward.guest.w3 >>> 0;
  const why = !isHost(network, guest)
    ? `${forward.guest.host} is not the address of a host in ${cidr(network)}`
    : taken.includes(guest)
      ? `${forward.guest.host} is an address of the router, not of a guest`
      : '';
  if (why !== '') {
    throw new UsageError(`option '${option}': bad forward '${text}': ${why}`, '', 'ERR_VDE_BAD_FORWARD');
  }
  return forward;
}

/** A path or a port of the router has one meaning, and TCP port 53 is taken where the router answers DNS. */
function checkUnix(forwards: readonly UnixForward[], services: readonly UnixService[], dnsHere: boolean): void {
  const bad = (message: string): never => {
    throw new UsageError(message, '', 'ERR_VDE_BAD_FORWARD');
  };
  const paths = new Set<string>();
  for (const { path } of forwards) if (paths.size === paths.add(path).size) bad(`two forwards of ${path}`);
  const ports = new Set<number>();
  for (const { port } of services) {
    if (ports.size === ports.add(port).size) bad(`option '-x': port ${port} of the router leads to two sockets`);
    if (port === 53 && dnsHere) bad("option '-x': port 53 of the router is that of DNS");
  }
}

/** The same port of the host cannot lead to two guests. */
function checkTwice(forwards: readonly Forward[]): void {
  const seen = new Map<string, Forward>();
  for (const forward of forwards) {
    const { listen, count = 1 } = forward;
    if (listen.port === 0) continue;
    for (let port = listen.port; port < listen.port + count; port++) {
      const key = `${forward.protocol} ${listen.host} ${port}`;
      const first = seen.get(key);
      if (first !== undefined) {
        throw new UsageError(
          `two forwards of ${forward.protocol.toUpperCase()} port ${port}: ` +
            `'${formatForward(first)}' and '${formatForward(forward)}'`,
          '',
          'ERR_VDE_BAD_FORWARD',
        );
      }
      seen.set(key, forward);
    }
  }
}
