// docs/reference/console-NAME.md from the command tables of the consoles.

import { SystemClock } from '../src/core/clock.ts';
import { FrameArena, FrameMemory } from '../src/core/frame.ts';
import { TimerWheel } from '../src/core/timer-wheel.ts';
import { createNodeHostNet } from '../src/host/node-host-net.ts';
import { Forwarder } from '../src/l3/index.ts';
import { Autolinks } from '../src/lab/autolink.ts';
import { AUTOLINK_EVENTS, autolinkCommands } from '../src/lab/autolink-commands.ts';
import { ConsoleSwitchControl } from '../src/lab/switch-control.ts';
import { CapturedLink, memoryPair, SYSTEM_TIMERS } from '../src/link/index.ts';
import { Captures } from '../src/mgmt/captures.ts';
import {
  Console,
  type ConsoleEntry,
  consoleTable,
  type EventCategory,
  MAX_CLIENTS,
  MAX_LINE,
  MAX_QUEUED,
} from '../src/mgmt/console.ts';
import { FrameWatchers } from '../src/mgmt/frame-watchers.ts';
import { L3_EVENTS, l3Commands } from '../src/mgmt/l3-commands.ts';
import { dumpPlugin, pdumpPlugin } from '../src/mgmt/plugin-dump.ts';
import { iplogPlugin } from '../src/mgmt/plugin-iplog.ts';
import { Plugins } from '../src/mgmt/plugins.ts';
import { EVENTS, slirpvdeCommands } from '../src/mgmt/slirpvde-console.ts';
import { SWITCH_EVENTS, switchConsoleEntries } from '../src/mgmt/switch-console.ts';
import { PortCapture } from '../src/mgmt/watch-commands.ts';
import { MARKOV, PROMPT, WIREFILTER_COMMANDS } from '../src/mgmt/wirefilter-console.ts';
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
    reload: async () => [],
    report: () => {},
  };
  return consoleTable(slirpvdeCommands(options, () => {}));
}

function autolinkTable(): readonly ConsoleEntry[] {
  const links = new Autolinks({
    sock: '',
    control: new ConsoleSwitchControl(''),
    run: () => ({ stop: () => {} }),
    timers: SYSTEM_TIMERS,
    checkMs: 0,
    retryMs: 0,
    slowMs: 0,
    log: () => {},
    changed: () => {},
  });
  return consoleTable(autolinkCommands(links, () => ''));
}

function l3Table(): readonly ConsoleEntry[] {
  const arena = new FrameArena(new FrameMemory(), 0);
  return consoleTable(l3Commands(new Forwarder(arena, new TimerWheel(new SystemClock())), []));
}

/** The whole table of vde_switch. Nothing of it is run. */
function switchTable(): readonly ConsoleEntry[] {
  const wheel = new TimerWheel(new SystemClock());
  const sw = new Switch({ wheel });
  const options = {
    sw,
    clock: wheel.clock,
    controlDir: '',
    controlMode: 0,
    mgmt: null,
    cwd: '',
    shutdown: () => {},
    report: () => {},
    moved: () => {},
  };
  const entries = switchConsoleEntries(options, new Plugins([], nobody), new PortCapture(new FrameWatchers(sw)));
  const watchers = new FrameWatchers(sw);
  const plugins = [dumpPlugin(watchers), pdumpPlugin(watchers, ''), iplogPlugin(sw, watchers, wheel.clock)];
  return [...entries, ...plugins.flatMap((plugin) => plugin.open(nobody()).entries)];
}

const nobody = (): Console =>
  new Console({ banner: [], prompt: '', entries: [], events: [], shutdown: () => {}, report: () => {} });

/** Consoles by command. */
export const CONSOLES: readonly ConsoleDoc[] = [
  {
    name: 'slirpvde',
    prompt: 'slirpvde',
    entries: slirpvdeTable(),
    events: Object.values(EVENTS),
    notes: [
      '`lease` is there with DHCP only, `lease6` with IPv6 only; `port`, `hash`, `vlan` and `fstp` only while slirpvde is ' +
        'the switch too.',
    ],
  },
  {
    name: 'vde_switch',
    prompt: 'vde',
    entries: switchTable(),
    events: Object.values(SWITCH_EVENTS),
    notes: [
      '`dump`, `pdump` and `iplog` are there after `plugin/add`. What the original does not have (`rstp`, `guard`, ' +
        '`mirror`, `capture`, `queue`, `drops`) stands behind a line of its own in `help`.',
      'A command may be shortened nowhere, but what follows it may be glued to it, as in the original: `port/print1`.',
    ],
  },
  {
    name: 'wirefilter',
    prompt: PROMPT,
    entries: WIREFILTER_COMMANDS,
    events: [MARKOV],
    notes: [
      'Unlike the others this console has mode 0700 and takes for a command what a line begins with (`delay100` is `delay ' +
        '100`). `logout` answers `1-01 Unknown error -1`, `shutdown` nothing. A text that is no value is answered by Success ' +
        'and ignored, as the original does; the log tells. `help added` shows the commands that the original has not.',
      'Values: `LR` and `RL` are the directions, both without; U (uniform) and N (normal) the law of the spread behind `+`; ' +
        '`[node]` a state of the Markov chain, 0 without. `showinfo` and `showedges` without a number show the present state.',
      'Steps of the chain come to who sent `markov-debug 1`, as `38NN Node A "name" -> B "name"` with 3800 and the number of ' +
        'the new state in decimal.',
    ],
  },
  {
    name: 'vde_autolink',
    prompt: 'VDEal',
    entries: autolinkTable(),
    events: Object.values(AUTOLINK_EVENTS),
    notes: [],
  },
  {
    name: 'vde_l3',
    prompt: 'VDE-L3',
    entries: l3Table(),
    events: Object.values(L3_EVENTS),
    notes: [],
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
