// The console of slirpvde: its table, put together from the menus of the router and, when slirpvde is the switch too,
// of the switch; and the socket that it is served on.

import { formatAddress } from '../core/address.ts';
import type { DropCounters } from '../core/drop.ts';
import type { Link } from '../core/frame.ts';
import type { Router } from '../router/index.ts';
import type { Switch } from '../switch/index.ts';
import type { Captures } from './captures.ts';
import { ipText, sizeText } from './columns.ts';
import type { ConsoleEntry, ConsoleOptions, EventCategory } from './console.ts';
import { data } from './replies.ts';
import { type LogControl, routerCommands } from './router-commands.ts';
import { ServedConsole } from './served-console.ts';
import { switchCommands } from './switch-commands.ts';

/** What the console is told about the process that it belongs to. */
export interface SlirpvdeConsoleOptions {
  readonly version: string;
  readonly router: Router;
  readonly link: Link;
  /** How the link came about: `joined`, `embedded` and so on. */
  readonly role: string;
  /** The switch in this process, or null. */
  readonly embedded: Switch | null;
  /** Control directory. */
  readonly socket: string;
  /** Networks as `ADDR/LEN`, where names are answered, and the first address to lease (null: DHCP is not served). */
  readonly networks: readonly string[];
  readonly dnsAddresses: readonly string[];
  readonly dhcpStart: number | null;
  readonly mac: string;
  readonly captures: Captures;
  readonly log: LogControl;
  readonly logLevels: readonly string[];
  /** Descriptors open in this process, -1 when not known, and how many it may open. */
  readonly openFiles: () => number;
  readonly maxFiles: number;
  /** The management socket. */
  readonly path: string;
  readonly mode: number;
  readonly gid: number;
  /** Ends the process in order. */
  readonly shutdown: () => void;
  /** Reads the configuration again; what came of it. Rejects with a VdeError, and nothing has changed then. */
  readonly reload: () => Promise<readonly string[]>;
  readonly report: (text: string) => void;
}

/** Events of slirpvde's console (`debug/list`). */
export const EVENTS = {
  log: { path: 'log', tag: 0o061, help: 'lines of the log' },
  'forward/+': { path: 'forward/+', tag: 0o071, help: 'forward opened' },
  'forward/-': { path: 'forward/-', tag: 0o072, help: 'forward closed' },
  policy: { path: 'policy', tag: 0o073, help: 'policy rule added or removed' },
} as const satisfies Record<string, EventCategory>;

export class SlirpvdeConsole {
  private readonly served: ServedConsole;

  private constructor(served: ServedConsole) {
    this.served = served;
  }

  /** Opens the socket and serves it. Rejects like LocalSocket.open, and leaves nothing behind then. */
  static async open(options: SlirpvdeConsoleOptions): Promise<SlirpvdeConsole> {
    const { path, mode, gid } = options;
    const console: ConsoleOptions = {
      banner: bannerOf(options.version),
      prompt: 'slirpvde',
      entries: slirpvdeCommands(options, (what, text) => served.event(EVENTS[what], text)),
      events: Object.values(EVENTS),
      shutdown: options.shutdown,
      report: options.report,
    };
    const served: ServedConsole = await ServedConsole.open(path, mode, console, gid);
    return new SlirpvdeConsole(served);
  }

  /** A line of the log, for clients that follow it. */
  logged(line: string): void {
    this.served.event(EVENTS.log, line);
  }

  close(): Promise<void> {
    return this.served.close();
  }
}

const bannerOf = (version: string): string[] => [
  `slirpvde (vdenet) V.${version}`,
  'user-mode router for VDE networks - MIT licence',
];

/** Everything but the commands that every console has. */
export function slirpvdeCommands(
  options: SlirpvdeConsoleOptions,
  changed: (what: 'forward/+' | 'forward/-' | 'policy', text: string) => void,
): ConsoleEntry[] {
  const { link, embedded } = options;
  const drops: { where: string; counters: () => Iterable<DropCounters> }[] = [
    { where: 'link', counters: () => [link.drops] },
  ];
  if (embedded !== null) {
    drops.push({ where: 'switch', counters: () => embedded.ports().map((port) => port.drops) });
    drops.push({
      where: 'ports',
      counters: () => embedded.ports().flatMap((port) => port.endpoints.map((endpoint) => endpoint.link.drops)),
    });
  }
  return [
    {
      path: 'showinfo',
      help: 'show version, addresses, and how much of each bounded thing is in use',
      details: '`N of M`: N in use, M is the bound.',
      run: () => data(infoLines(options)),
    },
    {
      path: 'reload',
      help: 'read resolv.conf and the configuration files again, as SIGHUP does',
      details: 'Shows what has changed. Fails, with the reason, when a file is wrong: nothing has changed then.',
      run: async () => data(await options.reload()),
    },
    ...routerCommands({ ...options, drops, changed }),
    ...(embedded === null ? [] : switchCommands(embedded)),
  ];
}

function infoLines(options: SlirpvdeConsoleOptions): string[] {
  const { router, link } = options;
  const s = router.status();
  const of = ({ used, limit }: { used: number; limit: number }): string => `${used} of ${limit}`;
  const row = (name: string, text: string): string => `${name.padEnd(16)} ${text}`;
  const dhcp = router.dhcp?.usage() ?? null;
  const dns = router.dns?.snapshot() ?? null;
  const memory = process.memoryUsage();
  const files = options.openFiles();
  const upstreams = router.dns?.upstreamState().asked.map(String).join(' ') ?? '';
  const { networks, prefixes } = router.ip.own;
  const routers = [
    ...networks.map(({ address }) => ipText(address)),
    ...(prefixes ?? []).map(({ words }) => formatAddress(...words)),
  ];
  const dnsAt = options.dnsAddresses.length === 0 ? 'none' : options.dnsAddresses.join(' ');
  const start = options.dhcpStart === null ? '' : ` dhcp from ${ipText(options.dhcpStart)}`;
  return [
    ...bannerOf(options.version),
    '',
    `pid ${process.pid} MAC ${options.mac} uptime ${Math.floor(process.uptime())}`,
    `mgmt ${options.path} perm ${options.mode.toString(8).padStart(4, '0')}`,
    `switch ${options.socket} ${options.role} mtu ${link.mtu}`,
    `network ${options.networks.join(' ')} router ${routers.join(' ')} dns ${dnsAt}${start}`,
    ...advertisements(router),
    row(
      'tcp flows',
      `${s.tcp.flows}, half-open ${of(s.tcp.halfOpen)}, waiting ${of(s.tcp.waiting)}, time-wait ${of(s.tcp.timeWait)}`,
    ),
    row('tcp buffers', `${sizeText(s.tcp.memory.used)} of ${sizeText(s.tcp.memory.limit)}`),
    row('udp flows', of(s.udp)),
    row('icmp flows', of(s.icmp)),
    row(
      'forward clients',
      `${of(s.clients)}, forwards ${router.forwards.list().length}, ports ${of(s.listeners)}, waiting ${of(s.held)}`,
    ),
    row(
      'descriptors',
      `${files < 0 ? 'not known' : of({ used: files, limit: options.maxFiles })}, of flows ${of(s.descriptors)}, ` +
        `${s.descriptors.share} for one guest of several; guests with flows ${s.descriptors.guests}`,
    ),
    row('neighbors', `${of(s.neighbors)}, incomplete ${of(s.incomplete)}`),
    row('reassembly', `${of(s.fragmented)}, ${sizeText(s.fragmentBytes.used)} of ${sizeText(s.fragmentBytes.limit)}`),
    ...(dhcp === null ? [] : [row('leases', `${of({ used: dhcp.bound, limit: dhcp.size })}, aside ${dhcp.aside}`)]),
    ...(dns === null
      ? []
      : [
          row(
            'dns',
            `queries ${dns.queries} answers ${dns.answers} failed ${dns.servfails} waiting ${dns.waiting} ` +
              `upstreams ${upstreams === '' ? 'none' : upstreams}`,
          ),
        ]),
    row('link', `in ${link.stats.rxFrames} frames, out ${link.stats.txFrames} frames`),
    row('drops', String(s.dropped)),
    row('memory', `resident ${sizeText(memory.rss)}, heap ${sizeText(memory.heapUsed)}`),
  ];
}

/** The line about router advertisements and DHCPv6, where there are any. */
function advertisements(router: Router): string[] {
  const { advertiser, dhcp6 } = router;
  if (dhcp6 === null) return [];
  const sent = advertiser === null ? 'off' : `sent ${advertiser.sentToAll} to all, ${advertiser.sentToOne} to one`;
  const leases = dhcp6.leases().filter(({ state }) => state === 'bound').length;
  return [`${'router adv'.padEnd(16)} ${sent}; dhcp6 leases ${leases}`];
}
