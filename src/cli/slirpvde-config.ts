// From slirpvde's command line to a configuration without loose ends: every address is known, inside its network and
// not taken twice, every path absolute. What the original leaves to chance (an address outside the network, a DNS
// address that is the broadcast address of a small network) is an error or gets a working default here.

import { type Endpoint, type Ipv4Network, parseIpv4 } from '../core/address.ts';
import { VdeError } from '../core/errors.ts';
import { POLICY_FORM, parsePolicyRule } from '../mgmt/policy-text.ts';
import type { PolicyRule, UdpFilter, UdpTimeoutProfile } from '../router/index.ts';
import type { GuardMode } from '../switch/index.ts';
import { type Forward, formatForward, forwardBind, parseForward } from './forward.ts';
import type { ParsedCommand } from './parse.ts';
import { type Ipv6Settings, ipv6Settings } from './slirpvde-ipv6.ts';
import {
  dhcpRange,
  type GuestNetworks,
  guestNetworks,
  type NameService,
  nameService,
  ownIpv4,
  type Personality,
  SLIRPVDE_PERSONALITY,
  whyNoGuest,
} from './slirpvde-networks.ts';
import {
  checkDhcpOnly,
  type DhcpSettings,
  dhcpSettings,
  guestDomain,
  leaseTime,
  type NameEntry,
  nameEntries,
  rebindExempt,
  type SearchList,
  searchList,
} from './slirpvde-services.ts';
import { inheritedFd, type TapConfig, tapConfig } from './slirpvde-tap.ts';
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

export interface DhcpConfig extends DhcpSettings {
  readonly network: Ipv4Network;
  /** First address to lease, unsigned, and how many; 0: all that follow. */
  readonly start: number;
  readonly count: number;
}

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
  /** What the guard of that switch does; see embedded-guard.ts. */
  readonly guard: GuardMode;
  /** The networks of --host, and all that guests may be in: those, and prefixes that are advertised. */
  readonly hosts: GuestNetworks;
  readonly networks: GuestNetworks;
  readonly names: NameService;
  readonly ipv6: Ipv6Settings;
  readonly dhcp: DhcpConfig | null;
  /** How long leases of either DHCP last, and their file (absolute; null: they end with the process). */
  readonly leaseSec: number;
  readonly leases: string | null;
  readonly search: SearchList;
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
  /** Where forwards and displays listen that do not say: an address as in a forward. */
  readonly forwardBind: string;
  readonly displays: readonly Display[];
  readonly unixForwards: readonly UnixForward[];
  readonly unixServices: readonly UnixService[];
  /** Sockets that guests of QEMU connect to, and sockets of a QEMU that listens; absolute paths, as all here. */
  readonly qemuStreams: readonly string[];
  readonly qemuConnects: readonly string[];
  readonly qemuDgrams: readonly QemuDgramPaths[];
  /** The router's cable is a TAP interface; null: a switch. */
  readonly tap: TapConfig | null;
  /** Descriptors of whoever started us, to be told that guests are served, and that ends us when it is closed there. */
  readonly readyFd: number | null;
  readonly exitFd: number | null;
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
const MIN_MTU_6 = 1280; // RFC 8200 section 5: what every link must carry
export const MAX_MTU = 9216; // a VDE frame holds 9234 bytes: Ethernet header, one tag, and this
/** With a TAP interface: the kernel's bound. */
export const MAX_TAP_MTU = 65_521;
/** With links that carry the longest frames there are (qemu-stream.ts). */
export const MAX_STREAM_MTU = 65_532;
const DEFAULT_MTU = 1500;
const MAX_SWITCH_PORT = 0xffffff; // 24 bits in the VDE request

// The words of --udp-filter and --udp-timeouts, defaults first.
const GUARD_MODES = ['warn', 'off', 'enforce'] as const satisfies readonly GuardMode[];
const UDP_FILTERS = ['any', 'address', 'address-port'] as const satisfies readonly UdpFilter[];
const UDP_TIMEOUTS = ['short', 'rfc'] as const satisfies readonly UdpTimeoutProfile[];

/**
 * Makes the configuration.
 *
 * @param cwd  directory that relative paths start from
 * @throws UsageError
 */
export function slirpvdeConfig(
  parsed: ParsedCommand,
  cwd: string,
  personality: Personality = SLIRPVDE_PERSONALITY,
): SlirpvdeConfig {
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
  const optional = (key: string): string | null => (parsed.values.get(key) === true ? '' : text(key));
  const hosts = guestNetworks(list('host'), personality);
  const { ipv6, networks } = ipv6Settings({ optional, text, path, flag }, hosts, personality);
  const nameserver = parsed.values.get('nameserver');
  const names = nameService(networks, list('nameserver'), nameserver !== undefined, personality);
  const port = switchPort(text('port')) ?? socket.port;
  const read = (option: string, value: string): string => absolutePath(option, value, cwd);
  const check = <T extends { guest: Endpoint }>(option: string, value: string, forward: T): T =>
    checkForward(networks, names, option, value, forward);
  const unixForwards = list('tcp')
    .filter(isUnixForward)
    .map((value) => check('-L', value, parseUnixForward('-L', value, read)));
  const unixServices = list('unix').map((value) => parseUnixService(value, read));
  const displays = list('display').map((value) => check('-X', value, parseDisplay(value)));
  const qemuStreams = list('qemuStream').map((value) => read('--qemu-stream', value));
  const qemuConnects = list('qemuConnect').map((value) => read('--qemu-connect', value));
  const qemuDgrams = list('qemuDgram').map((value) => parseQemuDgram(value, read));
  const dnsAtRouter =
    networks.ipv4.some(({ address }) => address === names.at4) ||
    networks.ipv6.some(({ address }) => String(address) === String(names.at6));
  checkUnix(unixForwards, unixServices, dnsAtRouter);
  const streams = qemuStreams.length + qemuConnects.length;
  if (streams + qemuDgrams.length > 0 && flag('noSwitch')) {
    throw new UsageError('guests of QEMU are ports of the embedded switch', 'leave out --no-switch');
  }
  if (socket.stdio && flag('daemon')) {
    throw new UsageError("'-' and --daemon exclude each other: frames come on standard input");
  }
  const tap = tapConfig(
    { tap: text('tap'), netns: text('netns'), userns: text('userns'), configure: flag('configure') },
    read,
    () => firstGuest(networks, names, text('dhcp'), personality),
  );
  if (tap !== null) checkTapOnly(socket.path !== null || socket.stdio, port !== null, streams + qemuDgrams.length > 0);
  const readyFd = inheritedFd('--ready-fd', text('readyFd'));
  const exitFd = inheritedFd('--exit-fd', text('exitFd'), true);
  if (flag('daemon') && (readyFd ?? exitFd) !== null)
    throw new UsageError(
      '--ready-fd and --exit-fd are for a process that stays in the foreground',
      'leave out --daemon',
    );
  const bind = forwardBind(text('forwardBind'));
  const ports = list('tcp').filter((value) => !isUnixForward(value));
  const forwards = [
    ...ports.map((value) => checkForward(networks, names, '-L', value, parseForward('tcp', '-L', value, bind))),
    ...list('udp').map((value) => checkForward(networks, names, '-U', value, parseForward('udp', '-U', value, bind))),
  ];
  checkTwice(forwards);
  const domain = guestDomain({ text, list });
  const dhcp = (): DhcpConfig => {
    const taken = ownIpv4(networks, names);
    const range = dhcpRange(networks.ipv4, taken, text('dhcp'), personality);
    return { ...range, ...dhcpSettings({ text, list }, range.network, taken, domain) };
  };
  if (dhcpValue === undefined) {
    const used = [
      ...(ipv6.dhcp6 === null ? [] : ['leases', 'dhcpLeaseTime']),
      ...(networks.ipv6.length > 0 ? ['dhcpSearch'] : []),
    ];
    checkDhcpOnly({ text, list }, used);
  }
  return {
    socket: socket.path,
    stdio: socket.stdio,
    port,
    group: text('group'),
    mode: octalMode('--mode', text('mode')),
    embeddedSwitch: !flag('noSwitch'),
    guard: oneOf('--guard', text('guard'), GUARD_MODES),
    hosts,
    networks,
    names,
    ipv6,
    dhcp: dhcpValue === undefined ? null : dhcp(),
    leaseSec: leaseTime(text('dhcpLeaseTime')),
    leases: path('leases'),
    search: searchList({ text, list }),
    domain,
    dnsRecords: nameEntries({ text, list }),
    rebindExempt: flag('dnsRebindProtect') ? rebindExempt({ text, list }) : null,
    tftp: path('tftp'),
    mtu: mtu(text('mtu'), networks.ipv6.length > 0 ? MIN_MTU_6 : MIN_MTU, maxMtu(tap !== null, streams > 0)),
    hostLoopback: !flag('noHostLoopback') && !flag('noHost'),
    noHost: flag('noHost'),
    restrict: flag('restrict'),
    rules: parsed.sequence.flatMap(({ key, value }) => policyRule(key, value)),
    udpFilter: oneOf('--udp-filter', text('udpFilter'), UDP_FILTERS),
    udpTimeouts: oneOf('--udp-timeouts', text('udpTimeouts'), UDP_TIMEOUTS),
    mgmt: managementSocket(path('mgmt'), text('mgmtMode'), text('mgmtGroup')),
    forwards,
    forwardBind: bind,
    displays,
    unixForwards,
    unixServices,
    qemuStreams,
    qemuConnects,
    qemuDgrams,
    tap,
    readyFd,
    exitFd,
    config: path('config'),
    daemon: flag('daemon'),
    pidfile: path('pidfile'),
    log: path('log'),
    capture: path('capture'),
    quiet: flag('quiet') || (socket.stdio && !flag('verbose')),
    verbose: flag('verbose'),
  };
}

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

/** What --configure gives the guest: the first address that DHCP would lease. */
function firstGuest(
  networks: GuestNetworks,
  names: NameService,
  dhcpStart: string | null,
  personality: Personality,
): TapConfig['guest'] {
  if (networks.ipv4.length === 0) return null;
  const { start, network } = dhcpRange(networks.ipv4, ownIpv4(networks, names), dhcpStart, personality);
  return { address: start, network };
}

function checkTapOnly(named: boolean, port: boolean, qemu: boolean): void {
  if (!named && !port && !qemu) return;
  const what = qemu ? 'guests of QEMU are' : 'a switch is';
  throw new UsageError(
    `--tap and --netns make the interface the router's only cable, but ${what} named too`,
    'start vde_switch and slirpvde, and vde_plug2tap for the interface',
  );
}

const maxMtu = (tap: boolean, streams: boolean): number => (tap ? MAX_TAP_MTU : streams ? MAX_STREAM_MTU : MAX_MTU);

function mtu(value: string | null, least: number, most: number): number {
  if (value === null) return DEFAULT_MTU;
  const bytes = /^\d{1,5}$/.test(value) ? Number(value) : 0;
  if (bytes < least || bytes > most) {
    throw new UsageError(`option '--mtu': '${value}' is not between ${least} and ${most}`);
  }
  return bytes;
}

function checkForward<T extends { readonly guest: Endpoint; readonly guestName?: string | null }>(
  networks: GuestNetworks,
  names: NameService,
  option: string,
  text: string,
  forward: T,
): T {
  if ((forward.guestName ?? null) !== null) return forward;
  const why = whyNoGuest(networks, names, forward.guest);
  if (why === '') return forward;
  throw new UsageError(`option '${option}': bad forward '${text}': ${why}`, '', 'ERR_VDE_BAD_FORWARD');
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
