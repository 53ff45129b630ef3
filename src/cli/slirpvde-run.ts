// Puts slirpvde together: the link (a switch's port, or a switch of our own), the router on it, and its services.
//
// The link and the switch are those of slirpvde-link.ts.
// Everything that can fail does so before the promise is fulfilled, and takes back what was done.

import { formatIpv4, formatMac } from '../core/address.ts';
import { SystemClock } from '../core/clock.ts';
import type { VdeError } from '../core/errors.ts';
import { FrameMemory } from '../core/frame.ts';
import { formatIpv6 } from '../core/ipv6-network.ts';
import { TimerWheel } from '../core/timer-wheel.ts';
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
import type { ConfigSource } from './config-source.ts';
import { descriptorShares } from './descriptors.ts';
import { LOG_LEVELS, type Log } from './log.ts';
import type { SlirpvdeConfig } from './slirpvde-config.ts';
import { guestServices, type ServiceParts } from './slirpvde-guest-services.ts';
import { attach, bySegments, type Closer } from './slirpvde-link.ts';
import { cidr, cidr6, type GuestNetworks, type NameService } from './slirpvde-networks.ts';
import { LiveConfig } from './slirpvde-reload.ts';
import type { SlirpvdeService, SlirpvdeState } from './slirpvde-service.ts';
import { tellReady, whenClosed } from './slirpvde-tap.ts';
import { packageVersion } from './version.ts';

export async function startSlirpvde(config: SlirpvdeConfig, log: Log, source: ConfigSource): Promise<SlirpvdeService> {
  const closers: Closer[] = [];
  const close = async (): Promise<void> => {
    for (let closer = closers.pop(); closer !== undefined; closer = closers.pop()) await closer();
  };
  try {
    const { state, ended, live } = await start(config, log, source, closers);
    return { state, ended, reload: () => live.reload(), close };
  } catch (error) {
    await close();
    throw error;
  }
}

interface Started {
  readonly state: SlirpvdeState;
  readonly ended: Promise<VdeError | null>;
  readonly live: LiveConfig;
}

async function start(config: SlirpvdeConfig, log: Log, source: ConfigSource, closers: Closer[]): Promise<Started> {
  const memory = new FrameMemory();
  const wheel = new TimerWheel(new SystemClock());
  const mac = routerMac(config.networks);
  let plugged = (): void => {};
  const attached = await attach({ config, log, memory, wheel, mac, closers, plugged: () => plugged() });
  const captured = new CapturedLink(attached.link, null);
  const link = bySegments(captured, memory);
  const captures = new Captures(captured, 'slirpvde');
  closers.push(async () => {
    if (captures.problem !== null) log.warn(`capture to ${captures.view!.path} was cut short: ${captures.problem}`);
    await captures.stop();
  });
  if (config.capture !== null) await captures.start(config.capture);
  const host = createNodeHostNet();
  closers.push(() => host.close());
  const { networks, names } = config;
  const { nat64 } = config.ipv6;
  const resolver = new ResolverConfig({ clock: wheel.clock });
  const maxFiles = openFilesLimit();
  const services: ServiceParts = {
    config,
    resolver,
    wheel,
    mtu: link.mtu,
    embedded: attached.embedded,
    log,
    closers,
  };
  const router = new Router({
    link,
    memory,
    wheel,
    host,
    random: createRandom(),
    defer: (run) => host.defer(run),
    mac,
    networks: networks.ipv4,
    aliases: names.at4 === null ? [] : [names.at4],
    ipv6: networks.ipv6.length === 0 ? null : ipv6Link(networks, names),
    nat64: nat64 === null ? [] : [nat64],
    mappedV4: nat64 !== null,
    hostLoopback: config.hostLoopback,
    rules: config.rules,
    restrict: config.restrict,
    hostAddresses: config.noHost ? new OwnAddresses(wheel.clock).list : null,
    ...guestServices(services),
    ...(config.tftp === null ? {} : { tftp: new TftpRoot(config.tftp) }),
    ...descriptorShares(maxFiles),
    udpFilter: config.udpFilter,
    udpTimeouts: config.udpTimeouts,
    log: (key, line) => log.limited('warn', key, line),
  });
  plugged = () => router.stationsCame();
  closers.push(() => {
    plugged = () => {};
    router.close();
  });
  const live = new LiveConfig(router, services, source);
  const { forwards, displays } = await live.open();
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
      networks: [...networks.ipv4.map(cidr), ...networks.ipv6.map(cidr6)],
      dnsAddresses: [
        ...(names.at4 === null ? [] : [formatIpv4(names.at4)]),
        ...(names.at6 === null ? [] : [formatIpv6(names.at6)]),
      ],
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
      reload: async () => {
        const lines = await live.reload();
        for (const line of lines) log.info(line);
        return lines;
      },
      report: (text) => log.limited('error', 'console', text),
    });
    closers.push(() => served.close());
    log.addSink((line) => served.logged(line));
  }
  router.announce();
  if (config.readyFd !== null) tellReady(config.readyFd);
  const left = config.exitFd === null ? [] : [whenClosed(config.exitFd)];
  const ended = Promise.race([attached.ended, ordered, ...left]);
  return { state: { socket, role, displays, pingProblem: host.pingProblem, forwards }, ended, live };
}

/** The original's MAC address: 52:55 and the router's IPv4 address; with IPv6 alone 52:56 and the end of that. */
function routerMac({ ipv4, ipv6 }: GuestNetworks): Uint8Array {
  const [top, word] = ipv4[0] === undefined ? [0x56, ipv6[0]!.address[3]] : [0x55, ipv4[0].address];
  return Uint8Array.of(0x52, top, word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255);
}

const ipv6Link = ({ ipv6 }: GuestNetworks, { at6 }: NameService): NonNullable<RouterOptions['ipv6']> => ({
  addresses: ipv6.map(({ address, prefixLen }) => ({ words: address, prefixLen })),
  aliases: at6 === null ? [] : [at6],
});
