// docs/reference/console-NAME.md from the command tables of the consoles.

import { SystemClock } from '../src/core/clock.ts';
import { FrameMemory } from '../src/core/frame.ts';
import { TimerWheel } from '../src/core/timer-wheel.ts';
import { createNodeHostNet } from '../src/host/node-host-net.ts';
import { CapturedLink, memoryPair } from '../src/link/index.ts';
import { Captures } from '../src/mgmt/captures.ts';
import {
  type ConsoleEntry,
  consoleTable,
  type EventCategory,
  MAX_CLIENTS,
  MAX_LINE,
  MAX_QUEUED,
} from '../src/mgmt/console.ts';
import { EVENTS, slirpvdeCommands } from '../src/mgmt/slirpvde-console.ts';
import { Router } from '../src/router/index.ts';
import { MemoryLeaseStore } from '../src/services/index.ts';
import { Switch } from '../src/switch/index.ts';
import { GENERATED, page, sentence, table } from './render-reference.ts';

/** What the documentation says of the console of one command. */
interface ConsoleDoc {
  /** The command, and the word of the prompt. */
  readonly name: string;
  readonly prompt: string;
  readonly entries: readonly ConsoleEntry[];
  readonly events: readonly EventCategory[];
  /** Paragraphs behind the tables of commands. */
  readonly notes: readonly string[];
}

/** The whole table, as a slirpvde with DHCP that is the switch too has it. Nothing of it is run. */
function slirpvdeTable(): readonly ConsoleEntry[] {
  const wheel = new TimerWheel(new SystemClock());
  const link = new CapturedLink(memoryPair('docs', { delivery: 'direct' })[0], null);
  const network = { address: 0x0a000202, network: 0x0a000200, prefixLen: 24, mask: 0xffffff00 };
  const router = new Router({
    link,
    memory: new FrameMemory(),
    wheel,
    host: createNodeHostNet({ ping: false }),
    random: () => 0,
    defer: () => {},
    mac: new Uint8Array(6),
    networks: [network],
    aliases: [],
    hostLoopback: false,
    dns: { address: network.address, upstreams: { servers: () => [], suspect: () => {} } },
    ipv6: { addresses: [] },
    dhcp6: { networks: [], dns: [], search: () => [], pool: null },
    dhcp: { network, dns: [], poolStart: 0x0a00020f, store: new MemoryLeaseStore() },
    maxFlows: 1,
    log: () => {},
  });
  const options = {
    version: '',
    router,
    link,
    role: '',
    embedded: new Switch({ wheel }),
    socket: '',
    networks: [],
    dnsAddresses: [],
    dhcpStart: null,
    mac: '',
    captures: new Captures(link, ''),
    log: { level: '' },
    logLevels: ['error', 'warn', 'info', 'debug'],
    openFiles: () => 0,
    maxFiles: 0,
    path: '',
    mode: 0,
    gid: -1,
    shutdown: () => {},
    report: () => {},
  };
  return consoleTable(slirpvdeCommands(options, () => {}));
}

/** Consoles by command. */
export const CONSOLES: readonly ConsoleDoc[] = [
  {
    name: 'slirpvde',
    prompt: 'slirpvde',
    entries: slirpvdeTable(),
    events: Object.values(EVENTS),
    notes: [
      '`lease` is there with DHCP only, `lease6` with IPv6 only, `port` and `hash` only while slirpvde is the switch too.',
    ],
  },
];

/** The table of a command's console; empty when it has none. */
export const consoleOf = (name: string): readonly ConsoleEntry[] =>
  CONSOLES.find((each) => each.name === name)?.entries ?? [];

/** docs/reference/console-NAME.md */
export function renderConsole({ name, prompt, entries, events, notes }: ConsoleDoc): string {
  const menus = entries.filter(({ path }) => entries.some((other) => other.path.startsWith(`${path}/`)));
  const row = ({ path, syntax = '', help, details = '' }: ConsoleEntry): string[] => [
    `\`${path}\``,
    syntax === '' ? '' : `\`${syntax}\``,
    [sentence(help), details].filter((text) => text !== '').join(' '),
  ];
  const commands = (found: readonly ConsoleEntry[]): string[] =>
    table(['Command', 'Arguments', 'Meaning'], found.map(row));
  return page(
    [GENERATED],
    [`# ${name}: console`],
    [
      `\`${name} -M SOCK\` serves a console on a Unix stream socket (mode 0600 unless \`--mgmtmode\` says otherwise). It`,
      "speaks the dialect of `vde_switch`, so Debian's terminals work:",
    ],
    ['```sh', 'vdeterm SOCK', 'unixterm SOCK', 'unixcmd -s SOCK -f /etc/vde2/vdecmd help', 'socat - SOCK', '```'],
    ['## Protocol'],
    [
      `On connect the server writes a banner and the prompt: an empty line, then \`${prompt}$ \`. A command is a line.`,
      "Commands with data answer `0000 DATA END WITH '.'`, the lines, and a line `.`; every command ends with a status,",
      '`1000 Success` or `1EEE TEXT` with the errno in decimal, and the prompt. `logout` and `shutdown` answer `9999 END OF',
      'SESSION`. Asynchronous lines, `3TTT CATEGORY TEXT` with the tag in octal, may come at any moment to those who asked',
      'for them (`debug/add`). Empty lines and lines that begin with `#` get the prompt only.',
    ],
    [
      `Lines have at most ${MAX_LINE} bytes. There are at most ${MAX_CLIENTS} clients; one that lets more than`,
      `${MAX_QUEUED / 2 ** 20} MiB of answers wait is cut off.`,
    ],
    ['## Commands'],
    commands(entries.filter(({ path }) => !path.includes('/') && !menus.some((menu) => menu.path === path))),
    ...menus.flatMap((menu) => [
      [`### ${menu.path}`],
      commands(entries.filter(({ path }) => path.startsWith(`${menu.path}/`))),
    ]),
    ...notes.map((note) => [note]),
    ['## Events'],
    table(
      ['Category', 'Tag', 'Meaning'],
      events.map(({ path, tag, help }) => [`\`${path}\``, tag.toString(8).padStart(3, '0'), sentence(help)]),
    ),
  );
}
