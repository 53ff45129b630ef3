// Which options of slirpvde can change while it runs, and which need a new start.
//
// What is decided anew for each packet, query, lease or connection can change: forwards, the policy, what the services
// say. What the guests' network, the links and the process are made of cannot: those options are named, and keep the
// value that they had.

import { Endpoint } from '../core/address.ts';
import type { SlirpvdeConfig } from './slirpvde-config.ts';

/** A part of the configuration and the option that is meant by it. */
interface Setting {
  readonly option: string;
  readonly of: (config: SlirpvdeConfig) => unknown;
}

const setting = (option: string, of: Setting['of']): Setting => ({ option, of });

/** Options with a value of their own that only a start can change. */
const AT_START: readonly (readonly [option: string, key: keyof SlirpvdeConfig])[] = [
  ['--sock', 'socket'],
  ['--sock', 'stdio'],
  ['--port', 'port'],
  ['--group', 'group'],
  ['--mode', 'mode'],
  ['--no-switch', 'embeddedSwitch'],
  ['--guard', 'guard'],
  ['--tap', 'tap'],
  ['--ready-fd', 'readyFd'],
  ['--exit-fd', 'exitFd'],
  ['--host', 'hosts'],
  ['--mtu', 'mtu'],
  ['--leases', 'leases'],
  ['--mgmt', 'mgmt'],
  ['--qemu-stream', 'qemuStreams'],
  ['--qemu-connect', 'qemuConnects'],
  ['--qemu-dgram', 'qemuDgrams'],
  ['--daemon', 'daemon'],
  ['--pidfile', 'pidfile'],
  ['--log', 'log'],
  ['--capture', 'capture'],
];

/** The options above, once each, for the manual. */
export const START_OPTIONS: readonly string[] = [...new Set(AT_START.map(([option]) => option))];

/** Services that a start begins or leaves out, and where they are. */
const NAMES_AT = setting('--nameserver', ({ names }) => [names.at4, names.at6]);
const DHCP_IN = setting('--dhcp', ({ dhcp }) => dhcp?.network ?? null);
const IPV6_PARTS: readonly Setting[] = [
  setting('--dhcp6', ({ ipv6 }) => ipv6.dhcp6),
  setting('--nat64', ({ ipv6 }) => ipv6.nat64),
  setting('--radvd', ({ ipv6 }) => ipv6.radv !== null),
];

/** What changes at once. Forwards are told one by one, by slirpvde-reload.ts. */
const AT_ONCE: readonly Setting[] = [
  setting('--forward-bind', ({ forwardBind }) => forwardBind),
  setting('--no-host-loopback', ({ hostLoopback }) => hostLoopback),
  setting('--no-host', ({ noHost }) => noHost),
  setting('--restrict', ({ restrict }) => restrict),
  setting('--allow and --deny', ({ rules }) => rules),
  setting('--udp-filter', ({ udpFilter }) => udpFilter),
  setting('--udp-timeouts', ({ udpTimeouts }) => udpTimeouts),
  setting('--nameserver', ({ names }) => names),
  setting('--dns-record', ({ dnsRecords }) => dnsRecords),
  setting('--dns-rebind-protect', ({ rebindExempt }) => rebindExempt),
  setting('--dhcp', ({ dhcp }) => (dhcp === null ? null : [dhcp.start, dhcp.count])),
  setting('--dhcp-lease-time', ({ leaseSec }) => leaseSec),
  setting('--dhcp-host', ({ dhcp }) => dhcp?.hosts),
  setting('--dhcp-domain', ({ domain }) => domain),
  setting('--dhcp-search', ({ search }) => search),
  setting('--dhcp-next-server', ({ dhcp }) => dhcp?.nextServer),
  setting('--dhcp-file', ({ dhcp }) => dhcp?.bootFile),
  setting('--dhcp-option', ({ dhcp }) => [dhcp?.options, dhcp?.routes]),
  setting('--tftp', ({ tftp }) => tftp),
  setting('--radvd', ({ ipv6 }) => ipv6.radv),
  setting('--radv-follow-host', ({ ipv6 }) => ipv6.radvFollowsHost),
  setting('--dns64', ({ ipv6 }) => ipv6.dns64),
  setting('--pref64', ({ ipv6 }) => ipv6.pref64),
];

/** The services that have to be told when one of these differs. */
const SERVICES: Readonly<Record<'dns' | 'dhcp' | 'ra', Setting['of']>> = {
  dns: (c) => [c.names, c.domain, c.dnsRecords, c.rebindExempt, c.ipv6.dns64, c.hostLoopback],
  dhcp: (c) => [c.names, c.domain, c.dnsRecords, c.dhcp, c.leaseSec],
  ra: (c) => [c.names, c.ipv6, c.search],
};

export interface RunTimeChange {
  /** What is in force from now on. */
  readonly config: SlirpvdeConfig;
  /** Options that are otherwise now, in words for the log. */
  readonly changed: readonly string[];
  /** Options that keep their value until a new start. */
  readonly kept: readonly string[];
}

/** What of a new configuration can be in force without a new start. */
export function runTimeChange(from: SlirpvdeConfig, to: SlirpvdeConfig): RunTimeChange {
  const differs = ({ of }: Setting): boolean => !same(of(from), of(to));
  const kept: string[] = [];
  let config = to;
  for (const [option, key] of AT_START) {
    if (same(from[key], to[key])) continue;
    kept.push(option);
    config = { ...config, [key]: from[key] };
  }
  if (!same(from.networks, to.networks)) {
    // All addresses follow from the networks. Some of these are prefixes that are advertised.
    if (same(from.hosts, to.hosts)) kept.push('--radvd');
    config = { ...config, networks: from.networks, names: from.names, dhcp: from.dhcp, ipv6: from.ipv6 };
  } else {
    if (differs(NAMES_AT)) {
      kept.push(NAMES_AT.option);
      config = { ...config, names: from.names };
    }
    if (differs(DHCP_IN)) {
      kept.push(DHCP_IN.option);
      config = { ...config, dhcp: from.dhcp };
    }
    const parts = IPV6_PARTS.filter(differs);
    if (parts.length > 0) {
      kept.push(...parts.map(({ option }) => option));
      config = { ...config, ipv6: from.ipv6 };
    }
  }
  const changed = AT_ONCE.filter(({ of }) => !same(of(from), of(config))).map(({ option }) => option);
  return { config, changed, kept };
}

/** Whether a service has to be told of a change. */
export const concerns = (service: keyof typeof SERVICES, from: SlirpvdeConfig, to: SlirpvdeConfig): boolean =>
  !same(SERVICES[service](from), SERVICES[service](to));

const same = (a: unknown, b: unknown): boolean => comparable(a) === comparable(b);

const comparable = (value: unknown): string | undefined =>
  JSON.stringify(value, (_key, v) => {
    if (v instanceof Endpoint) return String(v);
    if (v instanceof Map) return [...v];
    return v instanceof Uint8Array ? [...v] : v;
  });
