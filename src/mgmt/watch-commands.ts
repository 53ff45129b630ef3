// Menus `mirror`, `capture`, `queue` and `drops` of vde_switch: what passes a switch, and what does not. The original has
// none of them.

import { isAbsolute } from 'node:path';
import { DROP_REASONS, Drop, type DropName, dropLabel, dropSnapshot } from '../core/drop.ts';
import { CaptureFile } from '../link/index.ts';
import { type Direction, type FrameHook, type MirrorSession, queueViews, type Switch } from '../switch/index.ts';
import { DIRECTION_INBOUND, DIRECTION_OUTBOUND } from '../wire/pcapng.ts';
import { atoi } from './c-numbers.ts';
import { columns, MAX_LINES } from './columns.ts';
import type { ConsoleEntry } from './console.ts';
import type { FrameWatchers } from './frame-watchers.ts';
import { emptyData, isPort, replyTo } from './port-commands.ts';
import { data, failure, type Reply, SUCCESS } from './replies.ts';

export const watchCommands = (sw: Switch, capture: PortCapture): ConsoleEntry[] => [
  ...mirrorCommands(sw),
  ...captureCommands(sw, capture),
  ...queueCommands(sw),
  ...dropCommands(sw),
];

// ---- mirror

const DIRECTIONS: readonly string[] = ['in', 'out', 'both'] satisfies Direction[];

function mirrorCommands(sw: Switch): ConsoleEntry[] {
  const line = ({ to, ports, direction, frames }: MirrorSession): string[] => [
    String(to),
    ports === null ? 'all' : ports.join(','),
    direction,
    String(frames),
  ];
  return [
    { path: 'mirror', help: 'MIRROR MENU' },
    {
      path: 'mirror/add',
      syntax: 'TO PORTS [DIR]',
      help: 'copy the frames of ports to port TO',
      details:
        'PORTS is `all` or numbers with commas; DIR is in, out or both, as the switch sees it. TO leaves all VLANs while ' +
        'it gets copies, and what is sent from there goes nowhere. 16 ports may get copies.',
      run: ([to = '', ports = '', direction = 'both']) => {
        const list = portList(ports);
        if (!isPort(to) || list === undefined || !DIRECTIONS.includes(direction)) return failure('EINVAL');
        return replyTo(sw.mirrorTo(Number(to), list, direction as Direction));
      },
    },
    {
      path: 'mirror/del',
      syntax: 'TO',
      help: 'end the copies to port TO, which is in VLAN 0 again',
      run: ([to = '']) => (isPort(to) ? replyTo(sw.mirrorEnd(Number(to))) : failure('EINVAL')),
    },
    {
      path: 'mirror/list',
      help: 'list the ports that get copies',
      run: () => data(columns(['TO', 'PORTS', 'DIR', 'FRAMES'], sw.mirror.list().map(line))),
    },
  ];
}

/** Port numbers with commas; null for `all`, undefined when it is neither. */
function portList(text: string): number[] | null | undefined {
  if (text === 'all') return null;
  const parts = text.split(',');
  return parts.every(isPort) && text !== '' ? parts.map(Number) : undefined;
}

// ---- capture

/** The capture of a port, or of all: one at a time. */
export class PortCapture {
  private readonly watchers: FrameWatchers;
  private file: CaptureFile | null = null;
  private hook: FrameHook | null = null;
  private what = '';

  constructor(watchers: FrameWatchers) {
    this.watchers = watchers;
  }

  get running(): boolean {
    return this.file !== null && this.file.stopped === null;
  }

  /** One line that says how it is. */
  get status(): string {
    const { file } = this;
    if (file === null) return 'no capture';
    const state = file.stopped === null ? 'running' : `ended: ${file.stopped}`;
    return `${file.path} ${this.what} frames ${file.frames} missed ${file.missed} ${state}`;
  }

  /**
   * Starts a capture. Rejects with ERR_VDE_SYSTEM when the file cannot be written.
   *
   * @param path  absolute
   * @param port  port number, -1 for all
   */
  async start(path: string, port: number): Promise<void> {
    await this.stop();
    const file = await CaptureFile.open({ path, application: 'vde_switch' });
    const interfaces = new Map<number, number>();
    const hook: FrameHook = (incoming, { number }, b, off, len) => {
      if (port >= 0 && number !== port) return;
      let id = interfaces.get(number);
      if (id === undefined) {
        id = file.addInterface(`port ${number}`);
        interfaces.set(number, id);
      }
      file.packet(id, b, off, len, incoming ? DIRECTION_INBOUND : DIRECTION_OUTBOUND);
    };
    this.file = file;
    this.hook = hook;
    this.what = port < 0 ? 'all ports' : `port ${port}`;
    this.watchers.add(hook);
  }

  /** Ends it, and writes what is queued; false when none was running. */
  async stop(): Promise<boolean> {
    const { running, file, hook } = this;
    if (hook !== null) this.watchers.remove(hook);
    this.hook = null;
    await file?.close();
    return running;
  }
}

function captureCommands(sw: Switch, capture: PortCapture): ConsoleEntry[] {
  return [
    { path: 'capture', help: 'CAPTURE MENU' },
    {
      path: 'capture/start',
      syntax: 'FILE [PORT]',
      help: 'write the frames of a port, or of all, to a pcapng file',
      details: 'FILE is an absolute path; it is made with mode 0600 and grows to 64 MiB at most.',
      run: async ([path = '', port = '']) => {
        if (!isAbsolute(path) || (port !== '' && !isPort(port))) return failure('EINVAL');
        if (port !== '' && Number(port) >= sw.numPorts) return failure('ENXIO');
        if (capture.running) return failure('EBUSY', capture.status);
        await capture.start(path, port === '' ? -1 : Number(port));
        return SUCCESS;
      },
    },
    {
      path: 'capture/stop',
      help: 'end the capture',
      run: async () => ((await capture.stop()) ? SUCCESS : failure('ENOENT')),
    },
    { path: 'capture/status', help: 'show the capture', run: () => data([capture.status]) },
  ];
}

// ---- queue

const MAX_QUEUED_FRAMES = 1024;

function queueCommands(sw: Switch): ConsoleEntry[] {
  return [
    { path: 'queue', help: 'TRANSMIT QUEUE MENU' },
    {
      path: 'queue/print',
      syntax: '[N]',
      help: 'show what waits to be sent to the endpoints of active ports, and what was lost',
      details:
        `Up to ${MAX_QUEUED_FRAMES} frames or 2 MiB wait for an endpoint, and 64 MiB in all; beyond that the newest is ` +
        'dropped, and nobody else waits. FULL are frames dropped so, ERROR those that the endpoint refused.',
      run: (_words, text) => {
        const number = atoi(text);
        if (text !== '' && (number < 0 || number >= sw.numPorts)) return emptyData('EINVAL');
        const ports = text === '' ? sw.ports() : [sw.port(number)].filter((port) => port !== null);
        const rows = queueViews(ports).map(({ port, endpointId, backlogged, txFrames, drops }) => [
          ...[port, Math.max(endpointId, 0), backlogged, txFrames].map(String),
          ...[Drop.TxQueueFull, Drop.TxError].map((reason) => String(drops[dropLabel(reason)] ?? 0)),
        ]);
        if (text !== '' && rows.length === 0) return emptyData('ENXIO');
        return data(columns(['PORT', 'ENDPOINT', 'WAITING', 'SENT', 'FULL', 'ERROR'], rows.slice(0, MAX_LINES)));
      },
    },
  ];
}

// ---- drops

const MEANING = new Map((Object.keys(DROP_REASONS) as DropName[]).map((name) => [dropLabel(Drop[name]), name]));

function dropCommands(sw: Switch): ConsoleEntry[] {
  return [
    { path: 'drops', help: 'DROP COUNTER MENU' },
    {
      path: 'drops/list',
      syntax: '[N]',
      help: 'list the reasons for which frames of a port, or of all, were dropped',
      details:
        '`in`: frames that came from the port; `warn`: those that the guard let pass; `out`: frames for it. Reasons that never happened are left out; ' +
        'docs/reference/drops.md has them all. `port/resetcounter` sets the first two to zero.',
      run: (_words, text) => listDrops(sw, text),
    },
  ];
}

function listDrops(sw: Switch, text: string): Reply {
  const number = atoi(text);
  if (text !== '' && (number < 0 || number >= sw.numPorts)) return emptyData('EINVAL');
  const ports = text === '' ? sw.ports() : [sw.port(number)].filter((port) => port !== null);
  if (text !== '' && ports.length === 0) return emptyData('ENXIO');
  const rows = ports.flatMap((port) => {
    const of = (where: string, counters: Float64Array): string[][] =>
      Object.entries(dropSnapshot(counters)).map(([label, count]) => [
        String(port.number),
        where,
        label,
        String(count),
        DROP_REASONS[MEANING.get(label)!],
      ]);
    return [
      ...of('in', port.drops),
      ...of('warn', port.warnings),
      ...port.endpoints.flatMap(({ link }) => of('out', link.drops)),
    ];
  });
  return data(columns(['PORT', 'WAY', 'REASON', 'COUNT', 'MEANING'], rows.slice(0, MAX_LINES)));
}
