// Puts slirpvde together: the link (a switch's port, or a switch of our own), the router on it, and its services.
//
// The link and the switch are those of slirpvde-link.ts.
// Everything that can fail does so before the promise is fulfilled, and takes back what was done.

import { endpointIpv4, formatMac } from '../core/address.ts';
import { SystemClock } from '../core/clock.ts';
import { VdeError } from '../core/errors.ts';
import { FrameMemory, type Link } from '../core/frame.ts';
import { TimerWheel } from '../core/timer-wheel.ts';
import { LeaseFile } from '../host/lease-file.ts';
import { openFiles, openFilesLimit } from '../host/limits.ts';
import { createNodeHostNet } from '../host/node-host-net.ts';
import { OwnAddresses } from '../host/own-addresses.ts';
import { createRandom } from '../host/random.ts';
import { ResolverConfig } from '../host/resolver-config.ts';
import { TftpRoot } from '../host/tftp-root.ts';
import { CapturedLink, groupId } from '../link/index.ts';
import { Captures } from '../mgmt/captures.ts';
import { SlirpvdeConsole } from '../mgmt/slirpvde-console.ts';
import { Router, type RouterOptions } from '../router/index.ts';
import { MemoryLeaseStore } from '../services/index.ts';
import { descriptorShares } from './descriptors.ts';
import type { Forward } from './forward.ts';
import { LOG_LEVELS, type Log } from './log.ts';
import type { SlirpvdeConfig } from './slirpvde-config.ts';
import { attach, type Closer } from './slirpvde-link.ts';
import { applyConfig } from './slirpvde-reload.ts';
import type { SlirpvdeService, SlirpvdeState } from './slirpvde-service.ts';
import { packageVersion } from './version.ts';
import { DISPLAY_PORTS, type Display } from './ways.ts';

export async function startSlirpvde(config: SlirpvdeConfig, log: Log): Promise<SlirpvdeService> {
  const closers: Closer[] = [];
  const close = async (): Promise<void> => {
    for (let closer = closers.pop(); closer !== undefined; closer = closers.pop()) await closer();
  };
  try {
    const { state, ended, router, resolver } = await start(config, log, closers);
    let current = config;
    const reload = async (next: SlirpvdeConfig | null): Promise<string[]> => {
      resolver.reread();
      if (next === null) return [];
      const lines = await applyConfig(router, current, next);
      current = next;
      return lines;
    };
    return { state, ended, reload, close };
  } catch (error) {
    await close();
    throw error;
  }
}

interface Started {
  readonly state: SlirpvdeState;
  readonly ended: Promise<VdeError | null>;
  readonly router: Router;
  readonly resolver: ResolverConfig;
}

async function start(config: SlirpvdeConfig, log: Log, closers: Closer[]): Promise<Started> {
  const memory = new FrameMemory();
  const wheel = new TimerWheel(new SystemClock());
  const mac = routerMac(config.network.address);
  const attached = await attach({ config, log, memory, wheel, mac, closers });
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
  const resolver = new ResolverConfig({ clock: wheel.clock });
  const maxFiles = openFilesLimit();
  const router = new Router({
    link,
    memory,
    wheel,
    host,
    random: createRandom(),
    defer: setImmediate,
    mac,
    networks: [network],
    aliases: [config.dnsAddress],
    hostLoopback: config.hostLoopback,
    rules: config.rules,
    restrict: config.restrict,
    hostAddresses: config.noHost ? new OwnAddresses(wheel.clock).list : null,
    dns: {
      address: config.dnsAddress,
      upstreams: resolver,
      domain: config.domain,
      records: config.dnsRecords.map((entry) => ({ ...entry, reverse: true })),
      ...(config.rebindExempt === null ? {} : { rebindExempt: config.rebindExempt }),
    },
    dhcp: dhcpOptions(config, link, wheel, resolver, log, closers),
    ...(config.tftp === null ? {} : { tftp: new TftpRoot(config.tftp) }),
    ...descriptorShares(maxFiles),
    udpFilter: config.udpFilter,
    udpTimeouts: config.udpTimeouts,
    log: (key, line) => log.limited('warn', key, line),
  });
  closers.push(() => router.close());
  const forwards: Forward[] = [];
  for (const forward of config.forwards) forwards.push((await router.addForward(forward)).rule);
  for (const forward of config.unixForwards) await router.unixForwards.add(forward);
  for (const service of config.unixServices) router.unixForwards.addService(service);
  const displays: Forward[] = [];
  for (const display of config.displays) displays.push(await openDisplay(router, display));
  const { socket, role, embedded } = attached;
  let shutdown = (): void => {};
  const ordered = new Promise<null>((done) => {
    shutdown = () => done(null);
  });
  if (config.mgmt !== null) {
    const { path, mode, group } = config.mgmt;
    const served = await SlirpvdeConsole.open({
      version: packageVersion(),
      router,
      link,
      role,
      embedded,
      socket,
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
  const ended = Promise.race([attached.ended, ordered]);
  return { state: { socket, role, displays, pingProblem: host.pingProblem, forwards }, ended, router, resolver };
}

function dhcpOptions(
  config: SlirpvdeConfig,
  link: Link,
  wheel: TimerWheel,
  resolver: ResolverConfig,
  log: Log,
  closers: Closer[],
): RouterOptions['dhcp'] {
  const { dhcp, network, domain } = config;
  if (dhcp === null) return null;
  const { leases, search, searchOfHost } = dhcp;
  const file = leases === null ? null : new LeaseFile({ path: leases, wheel, warn: (line) => log.warn(line) });
  if (file !== null) closers.push(() => file.close());
  return {
    network,
    dns: [config.nameserver],
    poolStart: dhcp.start,
    reserved: [config.dnsAddress],
    mtu: link.mtu,
    store: file ?? new MemoryLeaseStore(),
    leaseSec: dhcp.leaseSec,
    hosts: dhcp.hosts,
    nextServer: dhcp.nextServer,
    bootFile: dhcp.bootFile,
    domain,
    search: () => (searchOfHost ? [...search, ...resolver.config().search] : search),
    routes: dhcp.routes,
    extra: dhcp.options,
    reservedNames: reservedNames(config),
  };
}

/** First labels of the configured names, where they are names in the guests' domain: no guest can take them. */
function reservedNames({ dnsRecords, domain }: SlirpvdeConfig): string[] {
  const labels = dnsRecords.map(({ name }) => {
    const under = domain !== '' && name.toLowerCase().endsWith(`.${domain}`);
    return under ? name.slice(0, -domain.length - 1) : name;
  });
  return labels.filter((label) => !label.includes('.'));
}

/** The original's MAC address: 52:55 and the router's IPv4 address. */
const routerMac = (address: number): Uint8Array =>
  Uint8Array.of(0x52, 0x55, address >>> 24, (address >>> 16) & 255, (address >>> 8) & 255, address & 255);

/** Forwards the first free port of the host to a display of a guest; the rule. */
async function openDisplay(router: Router, { guest }: Display): Promise<Forward> {
  for (let port = DISPLAY_PORTS.first; port <= DISPLAY_PORTS.last; port++) {
    const forward: Forward = { protocol: 'tcp', listen: endpointIpv4(0, port), guest };
    try {
      return (await router.addForward(forward)).rule;
    } catch (error) {
      if ((error as Error & { cause?: NodeJS.ErrnoException }).cause?.code !== 'EADDRINUSE') throw error;
    }
  }
  const { first, last } = DISPLAY_PORTS;
  throw new VdeError('ERR_VDE_LISTEN', `no port from ${first} to ${last} is free for the display at ${guest}`);
}
