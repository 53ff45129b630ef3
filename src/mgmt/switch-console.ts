// The console of vde_switch: the tables of the original, in its order and with its texts, what was added behind them,
// and the events. It is served on a socket, on standard input (terminal.ts) or read from a file (script.ts).

import type { Clock } from '../core/clock.ts';
import { LocalSocket } from '../link/index.ts';
import type { Switch, SwitchEvent } from '../switch/index.ts';
import { macText } from './columns.ts';
import { Console, type ConsoleEntry, DEBUG, type EventCategory, LOAD } from './console.ts';
import { FrameWatchers } from './frame-watchers.ts';
import { bridgeMac, bridgeText, fstpCommands } from './fstp-commands.ts';
import { guardCommands } from './guard-commands.ts';
import { hashCommands } from './hash-commands.ts';
import { dumpPlugin, pdumpPlugin } from './plugin-dump.ts';
import { iplogPlugin } from './plugin-iplog.ts';
import { Plugins } from './plugins.ts';
import { portCommands } from './port-commands.ts';
import { data } from './replies.ts';
import { rstpCommands } from './rstp-commands.ts';
import { vlanCommands } from './vlan-commands.ts';
import { PortCapture, watchCommands } from './watch-commands.ts';

export interface SwitchConsoleOptions {
  readonly sw: Switch;
  readonly clock: Clock;
  /** Control directory and the mode of its sockets. */
  readonly controlDir: string;
  readonly controlMode: number;
  /** Management socket, its mode and group (-1: none); null: none is served. */
  readonly mgmt: { readonly path: string; readonly mode: number; readonly gid: number } | null;
  /** Directory that file names in commands start from. */
  readonly cwd: string;
  /** Ends the program in order. */
  readonly shutdown: () => void;
  readonly report: (text: string) => void;
  /** A station has moved, in words. */
  readonly moved: (text: string) => void;
}

/** What scripts and terminals know a VDE switch by: the lines of the original, to the letter. */
const BANNER: readonly string[] = [
  'VDE switch V.2.3.2',
  '(C) Virtual Square Team (coord. R. Davoli) 2005,2006,2007 - GPLv2',
];
const PROMPT = 'vde';

/** Events (`debug/list`), in the order and with the tags of the original. */
export const SWITCH_EVENTS = {
  'hash/+': { path: 'hash/+', tag: 0o011, help: 'hash: new element' },
  'hash/-': { path: 'hash/-', tag: 0o012, help: 'hash: discarded element' },
  'fstp/status': { path: 'fstp/status', tag: 0o044, help: 'fstp: status change' },
  'fstp/root': { path: 'fstp/root', tag: 0o045, help: 'fstp: rootswitch/port change' },
  'fstp/+': { path: 'fstp/+', tag: 0o041, help: 'fstp: port becomes active' },
  'fstp/-': { path: 'fstp/-', tag: 0o042, help: 'fstp: port becomes inactive' },
  'port/+': { path: 'port/+', tag: 0o021, help: 'new port' },
  'port/-': { path: 'port/-', tag: 0o022, help: 'closed port' },
  'port/descr': { path: 'port/descr', tag: 0o023, help: 'set port description' },
  'port/ep/+': { path: 'port/ep/+', tag: 0o031, help: 'new endpoint' },
  'port/ep/-': { path: 'port/ep/-', tag: 0o032, help: 'closed endpoint' },
} as const satisfies Record<string, EventCategory>;

export class SwitchConsole {
  readonly console: Console;
  private readonly options: SwitchConsoleOptions;
  private readonly plugins: Plugins;
  private readonly capture: PortCapture;
  private socket: LocalSocket | null = null;

  constructor(options: SwitchConsoleOptions) {
    const { sw, clock, cwd } = options;
    this.options = options;
    const watchers = new FrameWatchers(sw);
    const builtIn = [dumpPlugin(watchers), pdumpPlugin(watchers, cwd), iplogPlugin(sw, watchers, clock)];
    this.plugins = new Plugins(builtIn, () => this.console);
    this.capture = new PortCapture(watchers);
    this.console = new Console({
      banner: BANNER,
      prompt: PROMPT,
      prefixCommands: true,
      entries: switchConsoleEntries(options, this.plugins, this.capture),
      events: Object.values(SWITCH_EVENTS),
      shutdown: options.shutdown,
      report: options.report,
    });
    sw.observe((event) => this.tell(event));
  }

  /** Opens the management socket, if there is to be one. Rejects like LocalSocket.open, and leaves nothing behind then. */
  async listen(): Promise<void> {
    const { mgmt } = this.options;
    if (mgmt === null) return;
    this.socket = await LocalSocket.open(mgmt);
    await this.console.listen(this.socket.fd);
  }

  async close(): Promise<void> {
    this.options.sw.observe(null);
    this.socket?.release();
    await this.console.close();
    await this.plugins.close();
    await this.capture.stop();
  }

  /** Turns an event of the switch into that of the original. */
  private tell(event: SwitchEvent): void {
    const say = (category: EventCategory, text: () => string): void => {
      if (this.console.followed(category)) this.console.event(category, text());
    };
    switch (event.type) {
      case 'port+':
      case 'port-':
        say(SWITCH_EVENTS[event.type === 'port+' ? 'port/+' : 'port/-'], () => two(event.port.number));
        break;
      case 'endpoint+':
      case 'endpoint-': {
        const where = (): string => `Port ${two(event.port.number)} FD ${two(event.endpoint.link.endpointId ?? 0)}`;
        say(SWITCH_EVENTS[event.type === 'endpoint+' ? 'port/ep/+' : 'port/ep/-'], where);
        if (event.type === 'endpoint+')
          say(SWITCH_EVENTS['port/descr'], () => `${where()} -> "${event.endpoint.description}"`);
        break;
      }
      case 'station+':
      case 'station-': {
        const { vlan, macHi, macLo, port } = event;
        // The VLAN's low byte comes first here, its high byte in the events of the spanning tree.
        const text = (): string => `${macText(macHi, macLo)} VLAN ${hex(vlan & 255)}:${hex(vlan >> 8)} Port ${port}`;
        say(SWITCH_EVENTS[event.type === 'station+' ? 'hash/+' : 'hash/-'], text);
        break;
      }
      case 'tree+':
      case 'tree-':
        say(SWITCH_EVENTS[event.type === 'tree+' ? 'fstp/+' : 'fstp/-'], () => treePort(event));
        break;
      case 'tree-root':
        say(SWITCH_EVENTS['fstp/root'], () => `${treePort(event)} -> ${bridgeText(event.root)}`);
        break;
      case 'tree-state':
        say(SWITCH_EVENTS['fstp/status'], () => `${treePort(event)} ${event.state}`);
        break;
      case 'station-moved': {
        const mac = macText(event.macHi, event.macLo);
        this.options.moved(`MAC ${mac} moved from port ${event.from} to port ${event.port}`);
        break;
      }
      case 'port-disabled':
        this.options.report(`port ${event.port.number} was closed by the BPDU guard`);
    }
  }
}

const two = (n: number): string => String(n).padStart(2, '0');
const hex = (n: number): string => n.toString(16).padStart(2, '0');
const treePort = ({ port, vlan }: { port: number; vlan: number }): string =>
  `Port ${String(port).padStart(4, '0')} VLAN ${hex(vlan >> 8)}:${hex(vlan & 255)}`;

/** The whole table: the original's in its order, then what was added. */
export function switchConsoleEntries(
  options: SwitchConsoleOptions,
  plugins: Plugins,
  capture: PortCapture,
): readonly ConsoleEntry[] {
  const { sw, controlDir, controlMode, mgmt } = options;
  const octal = (mode: number): string => mode.toString(8).padStart(4, '0');
  return [
    { path: 'ds', help: 'DATA SOCKET MENU' },
    {
      path: 'ds/showinfo',
      help: 'show ds info',
      run: () => data([`ctl dir ${controlDir}`, `std mode ${octal(controlMode)}`]),
    },
    { path: 'help', syntax: '[arg]', help: 'Help (limited to arg when specified)' },
    { path: 'logout', help: 'logout from this mgmt terminal' },
    { path: 'shutdown', help: 'shutdown of the switch' },
    {
      path: 'showinfo',
      help: 'show switch version and info',
      run: () =>
        data([
          ...BANNER,
          '',
          `pid ${process.pid} MAC ${bridgeMac(sw)} uptime ${Math.floor(process.uptime())}`,
          ...(mgmt === null ? [] : [`mgmt ${mgmt.path} perm ${octal(mgmt.mode)}`]),
        ]),
    },
    LOAD,
    ...DEBUG,
    ...plugins.commands(),
    ...hashCommands(sw),
    ...fstpCommands(sw),
    ...portCommands(sw),
    ...vlanCommands(sw),
    ...added([...rstpCommands(sw), ...guardCommands(sw), ...watchCommands(sw, capture)]),
  ];
}

const added = (entries: readonly ConsoleEntry[]): ConsoleEntry[] =>
  entries.map((entry) => ({ ...entry, added: true }) as const);
