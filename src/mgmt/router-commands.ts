// The menus of a router: flows, leases, forwards, drop counters, neighbors, captures, policy, log level and DNS.
//
// Every command reads a snapshot or calls a method that any user of the library could call; this file only turns words
// into calls and results into lines. Lists are sorted and have at most MAX_LINES lines.

import { isAbsolute } from 'node:path';
import { Endpoint, formatAddress, parseAddress, parseIpv4 } from '../core/address.ts';
import { DROP_REASONS, Drop, type DropCounters, type DropName, dropLabel, dropSnapshot } from '../core/drop.ts';
import { parseIpv6 } from '../core/ipv6-network.ts';
import type { FlowKind, ForwardView, Router } from '../router/index.ts';
import type { Lease6View } from '../services/index.ts';
import type { Captures } from './captures.ts';
import { columns, durationText, ipText, MAX_LINES, macText } from './columns.ts';
import type { ConsoleEntry } from './console.ts';
import { FORWARD_FORM, formatForward, parseForwardText } from './forward-text.ts';
import { formatPolicyRule, POLICY_FORM, parsePolicyRule } from './policy-text.ts';
import { data, failure, type Reply, SUCCESS } from './replies.ts';
import { unixCommands } from './unix-commands.ts';

/** The log of the process, as far as the console changes it. */
export interface LogControl {
  level: string;
}

export interface RouterCommandsOptions {
  readonly router: Router;
  readonly captures: Captures;
  readonly log: LogControl;
  /** Levels that `log` takes, gravest first. */
  readonly logLevels: readonly string[];
  /** Counters beside the router's own, by where they are kept. */
  readonly drops: readonly { readonly where: string; readonly counters: () => Iterable<DropCounters> }[];
  /** Hears of forwards and rules that were added or removed, for events. */
  readonly changed: (what: 'forward/+' | 'forward/-' | 'policy', text: string) => void;
}

const FLOW_KINDS: readonly FlowKind[] = ['tcp', 'udp', 'icmp', 'client'];

export function routerCommands(options: RouterCommandsOptions): ConsoleEntry[] {
  return [
    ...flowCommands(options.router),
    ...leaseCommands(options.router),
    ...lease6Commands(options.router),
    ...forwardCommands(options),
    ...unixCommands(options),
    ...policyCommands(options),
    ...dropCommands(options),
    ...neighborCommands(options.router),
    ...captureCommands(options.captures),
    ...dnsCommands(options.router),
    ...logCommands(options),
  ];
}

// ---- flow

function flowCommands(router: Router): ConsoleEntry[] {
  return [
    { path: 'flow', help: 'FLOW MENU' },
    {
      path: 'flow/list',
      syntax: '[KIND] [GUEST]',
      help: 'list the flows: tcp, udp, icmp, client, or all; of one guest',
      details:
        'Oldest first. GUEST and PEER are the two ends, OUT and IN payload bytes from and to the guest, AGE and IDLE the ' +
        'time since the flow began and since it last carried something. `client` is a client of a UDP forward.',
      run: (words) => listFlows(router, words),
    },
    {
      path: 'flow/close',
      syntax: 'ID',
      help: 'end a flow (TCP: by reset on both sides)',
      run: ([id = '']) => (router.endFlow(id) ? SUCCESS : failure('ENOENT')),
    },
  ];
}

function listFlows(router: Router, words: readonly string[]): Reply {
  const kinds = words.filter((word): word is FlowKind => (FLOW_KINDS as readonly string[]).includes(word));
  const others = words.filter((word) => !(FLOW_KINDS as readonly string[]).includes(word));
  const address = others.length === 0 ? undefined : parseAddress(others[0]!);
  if (others.length > 1 || address === null)
    return failure('EINVAL', `expected ${FLOW_KINDS.join(', ')} or a guest's address`);
  const page = router.flows({
    limit: MAX_LINES,
    ...(kinds.length > 0 ? { kinds } : {}),
    ...(address === undefined ? {} : { guest: new Endpoint().set(...address, 0) }),
  });
  const rows = page.flows.map((f) => [
    f.id,
    f.guest,
    f.peer,
    f.state,
    String(f.bytesOut),
    String(f.bytesIn),
    durationText(f.ageMs),
    durationText(f.idleMs),
  ]);
  const lines = columns(['ID', 'GUEST', 'PEER', 'STATE', 'OUT', 'IN', 'AGE', 'IDLE'], rows);
  if (page.total > rows.length) lines.push(`... and ${page.total - rows.length} more`);
  return data(lines);
}

// ---- lease

function leaseCommands(router: Router): ConsoleEntry[] {
  const { dhcp } = router;
  if (dhcp === null) return [];
  return [
    { path: 'lease', help: 'DHCP LEASE MENU' },
    {
      path: 'lease/list',
      help: 'list the leases, and clients that are remembered',
      run: () => {
        const rows = dhcp
          .leases()
          .slice(0, MAX_LINES)
          .map((l) => [
            ipText(l.address),
            l.client === '' ? '-' : macText(l.macHi, l.macLo),
            l.state,
            Number.isFinite(l.remainingMs)
              ? `${l.remainingMs < 0 ? '-' : ''}${durationText(Math.abs(l.remainingMs))}`
              : '-',
            l.hostname === '' ? '-' : l.hostname,
          ]);
        return data(columns(['ADDRESS', 'MAC', 'STATE', 'LEFT', 'NAME'], rows));
      },
    },
    {
      path: 'lease/release',
      syntax: 'ADDRESS',
      help: 'end a lease; its client is given the address again if it asks in time',
      run: ([text = '']) => {
        const address = parseIpv4(text);
        if (address < 0) return failure('EINVAL');
        return dhcp.endLease(address) ? SUCCESS : failure('ENOENT');
      },
    },
  ];
}

function lease6Commands({ dhcp6 }: Router): ConsoleEntry[] {
  if (dhcp6 === null) return [];
  return [
    { path: 'lease6', help: 'DHCPV6 LEASE MENU' },
    {
      path: 'lease6/list',
      help: 'list the leases of DHCPv6, and clients that are remembered',
      details: 'CLIENT is the identifier (DUID) and, behind the slash, the number of its association (IAID).',
      run: () => {
        const rows = dhcp6.leases().slice(0, MAX_LINES);
        const row = ({ address, client, state, remainingMs: left, hostname }: Lease6View): string[] => [
          formatAddress(...address),
          client === '' ? '-' : client.replace(/^duid:/, ''),
          state,
          Number.isFinite(left) ? `${left < 0 ? '-' : ''}${durationText(Math.abs(left))}` : '-',
          hostname === '' ? '-' : hostname,
        ];
        return data(columns(['ADDRESS', 'CLIENT', 'STATE', 'LEFT', 'NAME'], rows.map(row)));
      },
    },
    {
      path: 'lease6/release',
      syntax: 'ADDRESS',
      help: 'end a lease of DHCPv6; its client is given the address again if it asks in time',
      run: ([text = '']) => {
        const address = parseIpv6(text);
        if (address === null) return failure('EINVAL');
        return dhcp6.endLease(address) ? SUCCESS : failure('ENOENT');
      },
    },
  ];
}

// ---- forward

const forwardRow = ({ id, rule, hits, misses }: ForwardView): string[] => [
  String(id),
  rule.protocol,
  formatForward(rule),
  String(hits),
  String(misses),
];
const FORWARD_HEAD = ['ID', 'PROTO', 'FORWARD', 'CLIENTS', 'REFUSED'];

function forwardCommands({ router, changed }: RouterCommandsOptions): ConsoleEntry[] {
  const { forwards } = router;
  return [
    { path: 'forward', help: 'PORT FORWARD MENU' },
    {
      path: 'forward/list',
      help: 'list the forwards',
      run: () => data(columns(FORWARD_HEAD, forwards.list().map(forwardRow))),
    },
    {
      path: 'forward/add',
      syntax: 'tcp|udp FORWARD',
      help: `open a forward: ${FORWARD_FORM}`,
      details:
        'The form of -L and -U. Answers with the line of the new forward, which has its number and the real port where ' +
        'any (0) was asked for.',
      run: async ([protocol, text, ...rest]) => {
        if ((protocol !== 'tcp' && protocol !== 'udp') || text === undefined || rest.length > 0)
          return failure('EINVAL', `expected tcp or udp, and ${FORWARD_FORM}`);
        const view = await forwards.add(parseForwardText(protocol, text));
        changed('forward/+', `${view.id} ${protocol} ${formatForward(view.rule)}`);
        return data(columns(FORWARD_HEAD, [forwardRow(view)]));
      },
    },
    {
      path: 'forward/remove',
      syntax: 'ID',
      help: 'close a forward (TCP connections that came by it go on)',
      run: ([id = '']) => {
        if (!forwards.remove(numberOf(id))) return failure('ENOENT');
        changed('forward/-', id);
        return SUCCESS;
      },
    },
  ];
}

// ---- policy

function policyCommands({ router, changed }: RouterCommandsOptions): ConsoleEntry[] {
  const { policy } = router;
  const add = (allow: boolean, words: readonly string[]): Reply => {
    const [text = '', before, ...rest] = words;
    if (text === '' || rest.length > 0) return failure('EINVAL', POLICY_FORM);
    const front = before === undefined ? 0 : numberOf(before);
    if (before !== undefined && front === 0) return failure('EINVAL', `'${before}' is not the number of a rule`);
    const rule = parsePolicyRule(allow, text);
    const id = policy.rules.add(rule, front);
    changed('policy', `${id} ${allow ? 'allow' : 'deny'} ${formatPolicyRule(rule)}`);
    return data([`Rule ${id}`]);
  };
  return [
    { path: 'policy', help: 'POLICY MENU' },
    {
      path: 'policy/list',
      help: 'list what guests may reach, in the order in which it is decided',
      run: () => {
        const rules = policy.rules.list();
        const rows = rules.map((r) => [String(r.id), r.allow ? 'allow' : 'deny', formatPolicyRule(r), String(r.hits)]);
        return data([
          `host loopback at the router address: ${policy.hostLoopback ? 'open' : 'refused'}`,
          `addresses of the host: ${policy.noHost ? 'refused' : 'open'}`,
          ...columns(['ID', 'VERDICT', 'RULE', 'HITS'], rows),
          `everything else: ${policy.restrict ? 'refused' : 'open'}`,
        ]);
      },
    },
    {
      path: 'policy/allow',
      syntax: 'RULE [ID]',
      help: 'add a rule that allows, as the last one or in front of rule ID',
      details:
        'RULE is CIDR[:PORT[-PORT]][/tcp|/udp|/icmp], as for --allow. Rules decide on new connections and echo flows, and ' +
        'on every datagram; connections that are open go on (`flow/close` ends them).',
      run: (words) => add(true, words),
    },
    {
      path: 'policy/deny',
      syntax: 'RULE [ID]',
      help: 'add a rule that denies',
      run: (words) => add(false, words),
    },
    {
      path: 'policy/remove',
      syntax: 'ID',
      help: 'remove a rule',
      run: ([id = '']) => {
        if (!policy.rules.remove(numberOf(id))) return failure('ENOENT');
        changed('policy', `${id} removed`);
        return SUCCESS;
      },
    },
  ];
}

// ---- drop

function dropCommands({ router, drops }: RouterCommandsOptions): ConsoleEntry[] {
  const meaning = new Map((Object.keys(DROP_REASONS) as DropName[]).map((n) => [dropLabel(Drop[n]), DROP_REASONS[n]]));
  return [
    { path: 'drop', help: 'DROP COUNTER MENU' },
    {
      path: 'drop/list',
      help: 'list the reasons for which something was dropped, and how often',
      details: 'Reasons that never happened are left out; docs/reference/drops.md has them all.',
      run: () => {
        const rows: string[][] = [];
        const all = [{ where: 'router', counters: () => [router.drops] as Iterable<DropCounters> }, ...drops];
        for (const { where, counters } of all) {
          const sum = new Map<string, number>();
          for (const each of counters())
            for (const [label, n] of Object.entries(dropSnapshot(each))) sum.set(label, (sum.get(label) ?? 0) + n);
          for (const [label, n] of sum) rows.push([where, label, String(n), meaning.get(label) ?? '']);
        }
        return data(columns(['WHERE', 'REASON', 'COUNT', 'MEANING'], rows));
      },
    },
  ];
}

// ---- neighbor

function neighborCommands(router: Router): ConsoleEntry[] {
  return [
    { path: 'neighbor', help: 'NEIGHBOR MENU' },
    {
      path: 'neighbor/list',
      help: 'list the stations heard of, with their flows',
      run: () => {
        const rows = router
          .neighbors()
          .map((n) => [n.address, n.mac === '' ? '-' : n.mac, n.state, durationText(n.silentMs), String(n.flows)]);
        return data(columns(['ADDRESS', 'MAC', 'STATE', 'SILENT', 'FLOWS'], rows));
      },
    },
  ];
}

// ---- capture

function captureCommands(captures: Captures): ConsoleEntry[] {
  const status = (): string => {
    const { view } = captures;
    if (view === null) return 'no capture';
    const counts = `${view.frames} frames, ${view.missed} left out`;
    return view.running ? `capturing to ${view.path}: ${counts}` : `${view.path}: ${counts}; ended: ${view.stopped}`;
  };
  return [
    { path: 'capture', help: 'CAPTURE MENU' },
    {
      path: 'capture/start',
      syntax: 'FILE',
      help: "write the frames of the router's link to a pcapng file",
      details: 'FILE is an absolute path; it is made with mode 0600 and grows to 64 MiB at most.',
      run: async (_words, path) => {
        if (!isAbsolute(path)) return failure('EINVAL', 'expected an absolute path');
        return (await captures.start(path)) ? SUCCESS : failure('EBUSY', status());
      },
    },
    {
      path: 'capture/stop',
      help: 'end the capture',
      run: async () => ((await captures.stop()) ? SUCCESS : failure('ENOENT', 'no capture is running')),
    },
    { path: 'capture/status', help: 'show the capture', run: () => data([status()]) },
  ];
}

// ---- dns

function dnsCommands(router: Router): ConsoleEntry[] {
  const { dns } = router;
  if (dns === null) return [];
  return [
    { path: 'dns', help: 'DNS FORWARDER MENU' },
    {
      path: 'dns/upstreams',
      help: 'list the name servers that are asked',
      run: () => {
        const { asked, refused } = dns.upstreamState();
        return data([...asked.map(String), ...refused.map((server) => `${server} (this router itself: not asked)`)]);
      },
    },
    {
      path: 'dns/counters',
      help: 'show counters since start, and what is under way',
      run: () => data(Object.entries(dns.snapshot()).map(([name, value]) => `${name} ${value}`)),
    },
  ];
}

// ---- log

function logCommands({ log, logLevels }: RouterCommandsOptions): ConsoleEntry[] {
  return [
    { path: 'log', help: 'LOG MENU' },
    {
      path: 'log/level',
      syntax: '[LEVEL]',
      help: `show or set the log level: ${logLevels.join(', ')}`,
      details: 'To read the log here: `debug/add log`.',
      run: ([level]) => {
        if (level === undefined) return data([log.level]);
        if (!logLevels.includes(level)) return failure('EINVAL', `expected ${logLevels.join(', ')}`);
        log.level = level;
        return SUCCESS;
      },
    },
  ];
}

/** A number from 1 on, or 0. */
const numberOf = (text: string): number => (/^[1-9]\d{0,8}$/.test(text) ? Number(text) : 0);
