// Puts slirpvde together: the link (a switch's port, or a switch of our own), the router on it, and its services.
//
//   joined     Link = VdeClient of the switch at the socket
//   embedded   VdeServer at the socket --endpoints--> Switch <--memory pair--> Link
//
// Everything that can fail does so before the promise is fulfilled, and takes back what was done.

import { formatMac } from '../core/address.ts';
import { SystemClock } from '../core/clock.ts';
import { VdeError } from '../core/errors.ts';
import { FrameMemory, type Link } from '../core/frame.ts';
import { TimerWheel } from '../core/timer-wheel.ts';
import { openFiles, openFilesLimit } from '../host/limits.ts';
import { createNodeHostNet } from '../host/node-host-net.ts';
import { OwnAddresses } from '../host/own-addresses.ts';
import { createRandom } from '../host/random.ts';
import { ResolverConfig } from '../host/resolver-config.ts';
import { CapturedLink, defaultControlDirectory, groupId, memoryPair, VdeClient, VdeServer } from '../link/index.ts';
import { Captures } from '../mgmt/captures.ts';
import { SlirpvdeConsole } from '../mgmt/slirpvde-console.ts';
import { Router } from '../router/index.ts';
import { MemoryLeaseStore } from '../services/index.ts';
import { portAllocator, Switch } from '../switch/index.ts';
import { descriptorShares } from './descriptors.ts';
import type { Forward } from './forward.ts';
import { LOG_LEVELS, type Log } from './log.ts';
import type { SlirpvdeConfig } from './slirpvde-config.ts';
import type { SlirpvdeService, SlirpvdeState } from './slirpvde-service.ts';
import { packageVersion } from './version.ts';

const DESCRIPTION = 'slirpvde:';
/** Ports of the embedded switch; each guest takes one. */
const EMBEDDED_PORTS = 1025;

/** What was opened, closed in reverse order. */
type Closer = () => void | Promise<void>;

interface Attached {
  readonly link: Link;
  readonly socket: string;
  readonly role: SlirpvdeState['role'];
  /** The switch of this process, when it is one. */
  readonly embedded: Switch | null;
}

export async function startSlirpvde(config: SlirpvdeConfig, log: Log): Promise<SlirpvdeService> {
  const closers: Closer[] = [];
  const close = async (): Promise<void> => {
    for (let closer = closers.pop(); closer !== undefined; closer = closers.pop()) await closer();
  };
  try {
    let end = (): void => {};
    const ended = new Promise<void>((done) => {
      end = done;
    });
    const state = await start(config, log, closers, end);
    return { state, ended, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function start(
  config: SlirpvdeConfig,
  log: Log,
  closers: Closer[],
  shutdown: () => void,
): Promise<SlirpvdeState> {
  const memory = new FrameMemory();
  const wheel = new TimerWheel(new SystemClock());
  const mac = routerMac(config.network.address);
  const attached = await attach(config, log, memory, wheel, mac, closers);
  const link = new CapturedLink(attached.link, null);
  const captures = new Captures(link, 'slirpvde');
  closers.push(async () => {
    if (captures.problem !== null) log.warn(`capture to ${captures.view!.path} was cut short: ${captures.problem}`);
    await captures.stop();
  });
  if (config.capture !== null) await captures.start(config.capture);
  const host = createNodeHostNet();
  closers.push(() => host.close());
  const { network } = config;
  const maxFiles = openFilesLimit();
  const router = new Router({
    link,
    memory,
    wheel,
    host,
    random: createRandom(),
    defer: setImmediate,
    mac,
    gateway: network.address,
    aliases: [config.dnsAddress],
    network: network.network,
    mask: network.mask,
    hostLoopback: config.hostLoopback,
    rules: config.rules,
    restrict: config.restrict,
    hostAddresses: config.noHost ? new OwnAddresses(wheel.clock).list : null,
    dns: { address: config.dnsAddress, upstreams: new ResolverConfig({ clock: wheel.clock }) },
    dhcp:
      config.dhcp === null
        ? null
        : {
            network,
            dns: [config.nameserver],
            poolStart: config.dhcp.start,
            reserved: [config.dnsAddress],
            mtu: link.mtu,
            store: new MemoryLeaseStore(),
          },
    ...descriptorShares(maxFiles),
    log: (key, line) => log.limited('warn', key, line),
  });
  closers.push(() => router.close());
  const forwards: Forward[] = [];
  for (const forward of config.forwards) forwards.push((await router.addForward(forward)).rule);
  if (config.mgmt !== null) {
    const { path, mode, group } = config.mgmt;
    const served = await SlirpvdeConsole.open({
      version: packageVersion(),
      router,
      link,
      embedded: attached.embedded,
      socket: attached.socket,
      network,
      dnsAddress: config.dnsAddress,
      dhcpStart: config.dhcp?.start ?? null,
      mac: formatMac(mac),
      captures,
      log,
      logLevels: LOG_LEVELS,
      openFiles,
      maxFiles,
      path,
      mode,
      gid: group === null ? -1 : groupId(group),
      shutdown,
      report: (text) => log.limited('error', 'console', text),
    });
    closers.push(() => served.close());
    log.addSink((line) => served.logged(line));
  }
  router.announce();
  return { socket: attached.socket, role: attached.role, pingProblem: host.pingProblem, forwards };
}

/** The original's MAC address: 52:55 and the router's IPv4 address. */
const routerMac = (address: number): Uint8Array =>
  Uint8Array.of(0x52, 0x55, address >>> 24, (address >>> 16) & 255, (address >>> 8) & 255, address & 255);

async function attach(
  config: SlirpvdeConfig,
  log: Log,
  memory: FrameMemory,
  wheel: TimerWheel,
  mac: Uint8Array,
  closers: Closer[],
): Promise<Attached> {
  try {
    return await join(config, log, memory, closers);
  } catch (error) {
    const absent = error instanceof VdeError && error.code === 'ERR_VDE_NO_SWITCH';
    if (!absent || !config.embeddedSwitch) throw error;
  }
  try {
    return await embed(config, log, memory, wheel, mac, closers);
  } catch (error) {
    // Somebody else became the switch between our two looks: join it.
    if (!(error instanceof VdeError) || error.code !== 'ERR_VDE_SWITCH_RUNNING') throw error;
    return await join(config, log, memory, closers);
  }
}

async function join(config: SlirpvdeConfig, log: Log, memory: FrameMemory, closers: Closer[]): Promise<Attached> {
  const client = await VdeClient.connect({
    memory,
    description: DESCRIPTION,
    mtu: config.mtu,
    ...(config.socket === null ? {} : { path: config.socket }),
    ...(config.port === null ? {} : { port: config.port }),
    ...(config.group === null ? {} : { group: config.group }),
    ...(config.mode === null ? {} : { mode: config.mode }),
  });
  closers.push(() => client.close());
  return { link: reporting(client, log), socket: client.name, role: 'joined', embedded: null };
}

/** Logs when the switch goes and comes back; the router hears of it as well. */
function reporting(client: VdeClient, log: Log): Link {
  client.onState = (up) =>
    log.warn(up ? `joined the switch at ${client.name} again` : `lost the switch at ${client.name}`);
  return client;
}

async function embed(
  config: SlirpvdeConfig,
  log: Log,
  memory: FrameMemory,
  wheel: TimerWheel,
  mac: Uint8Array,
  closers: Closer[],
): Promise<Attached> {
  const sw = new Switch({ wheel, numPorts: EMBEDDED_PORTS });
  const [routerEnd, switchEnd] = memoryPair('router', { mtu: config.mtu, delivery: 'direct' });
  const uplink = sw.plug(switchEnd, { port: 0, name: 'router', description: DESCRIPTION });
  if (typeof uplink === 'string') throw new VdeError('ERR_VDE_SYSTEM', `embedded switch: ${uplink}`);
  sw.protect(uplink, (mac[0]! << 8) | mac[1]!, (mac[2]! << 24) | (mac[3]! << 16) | (mac[4]! << 8) | mac[5]!);
  const server = await VdeServer.listen({
    path: config.socket ?? defaultControlDirectory(),
    memory,
    mtu: config.mtu,
    allocate: portAllocator(sw),
    report: (text) => log.limited('warn', 'control', text),
    ...(config.group === null ? {} : { gid: groupId(config.group) }),
    ...(config.mode === null ? {} : { mode: config.mode }),
  });
  closers.push(() => server.close());
  return { link: routerEnd, socket: server.path, role: 'embedded', embedded: sw };
}
