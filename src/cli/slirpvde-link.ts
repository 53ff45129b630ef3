// The link that the router is given, and what stands behind it.
//
//   joined     Link = VdeClient of the switch at the socket
//   stdio      Link = standard input and output
//   tap        Link = TAP interface, here or in a namespace
//   embedded   VdeServer at the socket --endpoints--> Switch <--memory pair--> Link
//
// Guests of QEMU without VDE need a switch of our own. With them `joined` and `stdio` become a cable to it, one port among
// others, and `embedded` is what it is:
//
//   VdeClient, stdio or VdeServer --+
//   QemuStreamServer, -Dialer ------+--> Switch <--memory pair--> Link
//   QemuDgramLink ------------------+

import { VdeError } from '../core/errors.ts';
import type { FrameMemory, Link } from '../core/frame.ts';
import type { TimerWheel } from '../core/timer-wheel.ts';
import {
  defaultControlDirectory,
  groupId,
  type MemoryLink,
  MIN_SEGMENT_MTU,
  memoryPair,
  plugStream,
  QemuDgramLink,
  QemuStreamDialer,
  QemuStreamServer,
  SegmentLink,
  VdeClient,
  VdeServer,
} from '../link/index.ts';
import { nativeProblem } from '../native/native.ts';
import { portAllocator, Switch } from '../switch/index.ts';
import { guardEmbedded } from './embedded-guard.ts';
import type { Log } from './log.ts';
import { MAX_MTU, type SlirpvdeConfig } from './slirpvde-config.ts';
import type { SlirpvdeState } from './slirpvde-service.ts';
import { openTapLink, type TapConfig } from './slirpvde-tap.ts';

const DESCRIPTION = 'slirpvde:';
/** Ports of the embedded switch; each guest takes one. */
const EMBEDDED_PORTS = 1025;
/** Stations learned from a cable to another switch. */
const UPLINK_SHARE = 4096;

/** What was opened, closed in reverse order. */
export type Closer = () => void | Promise<void>;

export interface Attached {
  readonly link: Link;
  readonly socket: string;
  readonly role: SlirpvdeState['role'];
  /** The switch of this process, when there is one. */
  readonly embedded: Switch | null;
  /** Fulfilled when the link has ended for good: null in order, else why. */
  readonly ended: Promise<VdeError | null>;
}

export interface AttachContext {
  readonly config: SlirpvdeConfig;
  readonly log: Log;
  readonly memory: FrameMemory;
  readonly wheel: TimerWheel;
  /** The router's MAC address. */
  readonly mac: Uint8Array;
  readonly closers: Closer[];
  /** Called after something was plugged into the switch of this process. */
  readonly plugged: () => void;
}

const NEVER = new Promise<never>(() => {});

/** Makes the link. Rejects with a VdeError; what was opened until then is in `closers`. */
export async function attach(context: AttachContext): Promise<Attached> {
  const { config } = context;
  if (config.tap !== null) return tap(context, config.tap);
  const cable = config.stdio ? stdio(context) : await joinIfThere(context);
  if (cable !== null && !hasQemu(config)) return cable;
  const hub = new Hub(context);
  const attached = cable === null ? await serve(context, hub) : hub.uplink(cable);
  await hub.openQemu();
  return attached;
}

const hasQemu = (config: SlirpvdeConfig): boolean =>
  config.qemuStreams.length + config.qemuConnects.length + config.qemuDgrams.length > 0;

/** Links of VDE never carry more than this. */
const vdeMtu = (config: SlirpvdeConfig): number => Math.min(config.mtu, MAX_MTU);

const hasCode = (error: unknown, code: VdeError['code']): error is VdeError =>
  error instanceof VdeError && error.code === code;

/** Standard input and output as link. Their end is the end of the service. */
function stdio({ config, log, memory, closers }: AttachContext): Attached {
  const link = plugStream({ mtu: vdeMtu(config), memory });
  closers.push(() => link.close());
  const ended = new Promise<VdeError | null>((done) => {
    link.onEnd = (why) => {
      if (why instanceof Error) log.debug(`standard input and output: ${why.message}`);
      done(why === 'out of step' ? new VdeError('ERR_VDE_SYSTEM', 'what came on standard input is not frames') : null);
    };
  });
  return { link, socket: '-', role: 'stdio', embedded: null, ended };
}

/** A TAP interface. Its end is the end of the service. */
function tap({ config, memory, closers }: AttachContext, settings: TapConfig): Attached {
  const link = openTapLink(settings, config.mtu, memory);
  closers.push(() => link.close());
  const ended = new Promise<null>((done) => {
    link.onState = (up) => {
      if (!up) done(null);
    };
  });
  return { link, socket: link.name, role: 'tap', embedded: null, ended };
}

/** Joins the switch; null when there is none, or no way to join one, and we may become one. */
async function joinIfThere(context: AttachContext): Promise<Attached | null> {
  const { config } = context;
  try {
    return await join(context);
  } catch (error) {
    if (hasCode(error, 'ERR_VDE_NO_SWITCH') && config.embeddedSwitch) return null;
    if (hasCode(error, 'ERR_VDE_NO_NATIVE') && canLeaveVdeOut(config)) return null;
    throw error;
  }
}

/** Guests come in by streams, and no VDE socket was asked for. */
const canLeaveVdeOut = (config: SlirpvdeConfig): boolean =>
  config.socket === null && config.qemuStreams.length + config.qemuConnects.length > 0;

async function join({ config, log, memory, closers }: AttachContext): Promise<Attached> {
  const client = await VdeClient.connect({
    memory,
    description: DESCRIPTION,
    mtu: vdeMtu(config),
    ...(config.socket === null ? {} : { path: config.socket }),
    ...(config.port === null ? {} : { port: config.port }),
    ...(config.group === null ? {} : { group: config.group }),
    ...(config.mode === null ? {} : { mode: config.mode }),
  });
  closers.push(() => client.close());
  // The router hears of it as well.
  client.onState = (up) =>
    log.warn(up ? `joined the switch at ${client.name} again` : `lost the switch at ${client.name}`);
  return { link: client, socket: client.name, role: 'joined', embedded: null, ended: NEVER };
}

/** Becomes the switch, or joins the one that somebody else became between our two looks. */
async function serve(context: AttachContext, hub: Hub): Promise<Attached> {
  try {
    return await hub.serve();
  } catch (error) {
    if (hasCode(error, 'ERR_VDE_NO_NATIVE') && canLeaveVdeOut(context.config)) {
      context.log.warn(`no VDE socket, guests come in by --qemu-stream only: ${error.message}`);
      return { link: hub.routerEnd, socket: 'none', role: 'qemu', embedded: hub.sw, ended: NEVER };
    }
    if (!hasCode(error, 'ERR_VDE_SWITCH_RUNNING')) throw error;
    const cable = await join(context);
    return hasQemu(context.config) ? hub.uplink(cable) : cable;
  }
}

/** The link for a router whose TCP takes many segments at a time, where that can be had. */
export function bySegments(link: Link, memory: FrameMemory): Link {
  const plain = link.offload !== true && link.mtu >= MIN_SEGMENT_MTU && nativeProblem() === null;
  return plain ? new SegmentLink(link, memory) : link;
}

/** The embedded switch, with the router at port 0. */
class Hub {
  readonly routerEnd: MemoryLink;
  readonly sw: Switch;
  private readonly context: AttachContext;

  constructor(context: AttachContext) {
    this.context = context;
    const { wheel, config, mac } = context;
    this.sw = new Switch({ wheel, numPorts: EMBEDDED_PORTS });
    const [routerEnd, switchEnd] = memoryPair('router', { mtu: config.mtu, delivery: 'direct' });
    this.routerEnd = routerEnd;
    const router = this.plug(switchEnd, { port: 0, name: 'router', description: DESCRIPTION });
    guardEmbedded(this.sw, config, 0, mac, context.log);
    this.sw.protect(router, (mac[0]! << 8) | mac[1]!, (mac[2]! << 24) | (mac[3]! << 16) | (mac[4]! << 8) | mac[5]!);
  }

  /** Makes the control directory: guests of VDE. */
  async serve(): Promise<Attached> {
    const { config, log, memory, closers } = this.context;
    const server = await VdeServer.listen({
      path: config.socket ?? defaultControlDirectory(),
      memory,
      mtu: vdeMtu(config),
      allocate: this.allocator(),
      report: (text) => log.limited('warn', 'control', text),
      ...(config.group === null ? {} : { gid: groupId(config.group) }),
      ...(config.mode === null ? {} : { mode: config.mode }),
    });
    closers.push(() => server.close());
    return { link: this.routerEnd, socket: server.path, role: 'embedded', embedded: this.sw, ended: NEVER };
  }

  /** Plugs a cable to others in; the router then announces itself when that comes back. */
  uplink(cable: Attached): Attached {
    const before = cable.link.onState;
    cable.link.onState = (up) => {
      before?.(up);
      this.routerEnd.onState?.(up);
    };
    const { port } = this.plug(cable.link, { name: 'uplink', fdbShare: UPLINK_SHARE });
    this.sw.admin.setTrusted(port.number, true); // servers and routers of the other network are its own business
    return { ...cable, link: this.routerEnd, embedded: this.sw };
  }

  /** Opens the sockets of --qemu-stream, --qemu-connect and --qemu-dgram. */
  async openQemu(): Promise<void> {
    const { config, log, memory, closers } = this.context;
    const { mtu } = config;
    const report = (text: string): void => log.limited('warn', 'qemu', text);
    const allocate = this.allocator();
    for (const path of config.qemuStreams) {
      const mode = config.mode === null ? {} : { mode: config.mode };
      const server = await QemuStreamServer.listen({ path, allocate, mtu, report, ...mode });
      closers.push(() => server.close());
    }
    for (const path of config.qemuConnects) {
      const dialer = new QemuStreamDialer({ path, allocate, mtu, report });
      closers.push(() => dialer.close());
    }
    for (const { local, remote } of config.qemuDgrams) {
      const mode = config.mode === null ? {} : { mode: config.mode };
      const link = new QemuDgramLink({ local, remote, memory, mtu: vdeMtu(config), ...mode });
      closers.push(() => link.close());
      this.plug(link, { description: link.name });
    }
  }

  /** Gives ports to those who ask for one. */
  private allocator(): ReturnType<typeof portAllocator> {
    const allocate = portAllocator(this.sw);
    return (link) => {
      setImmediate(this.context.plugged); // when the link is attached, and its peer told
      return allocate(link);
    };
  }

  private plug(link: Link, options: Parameters<Switch['plug']>[1]): Exclude<ReturnType<Switch['plug']>, string> {
    const endpoint = this.sw.plug(link, options);
    if (typeof endpoint === 'string') throw new VdeError('ERR_VDE_SYSTEM', `embedded switch: ${endpoint}`);
    return endpoint;
  }
}
