// The router: an IP layer, a TCP engine, the translation of flows to host sockets, and the services at its addresses.
//
//            frames                 packets                          flows                     host sockets
//   Link <-----------> IpLayer <-------------> TcpEngine --- TcpNat/TcpFlow -----------------> HostNet.connectTcp
//                         |                                   Forwards ----------------------> listenTcp, listenUdp
//                         |                                   UnixForwards ------------------> listenUnix, connectUnix
//                         +------------------> UdpNat -- DhcpPort, DnsPort, Forwards, mapping -> openUdp
//                         +------------------> IcmpNat ----------------------------------------> openPing
//
// It is told everything it needs (link, host sockets, clock, random numbers), so a whole flow runs in a test without one
// real socket. A wake-up of the link ends in IpLayer.flush: flows flush what they wrote to host sockets, datagrams and TCP,
// the engine sends data and ACKs, the frames leave in one batch. Events of host sockets ask for the same flush once per turn of the
// event loop (`flushSoon`).

import { formatAddress, formatMac, type Ipv4Network } from '../core/address.ts';
import type { Drop } from '../core/drop.ts';
import { newDropCounters } from '../core/drop.ts';
import type { FrameMemory, Link } from '../core/frame.ts';
import type { TimerWheel } from '../core/timer-wheel.ts';
import type { HostNet } from '../host/host-net.ts';
import { IpLayer, type Ipv6Link } from '../ip/index.ts';
import {
  type DhcpServer,
  type Dhcpv6Server,
  type DnsForwarder,
  macNumber,
  type RouterAdvertiser,
  type TftpFiles,
} from '../services/index.ts';
import { TcpEngine, type TcpLimits } from '../tcp/index.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import type { Nat64Prefix } from '../wire/nat64.ts';
import type { RouterContext } from './context.ts';
import { type DhcpOptions, DhcpPort } from './dhcp-port.ts';
import { type Dhcp6Options, Dhcp6Port } from './dhcp6-port.ts';
import { DnsPort } from './dns-port.ts';
import { type DnsServiceOptions, dnsAddresses, makeForwarder } from './dns-service.ts';
import { FlowBudget } from './flow-budget.ts';
import type { FlowFilter, FlowKind, FlowPage, FlowView } from './flow-view.ts';
import { type ForwardRule, Forwards, type ForwardView, type ResolveGuest } from './forwards.ts';
import { GuestNames } from './guest-name.ts';
import { IcmpNat } from './icmp-nat.ts';
import { EgressPolicy } from './policy.ts';
import type { PolicyRule } from './policy-rules.ts';
import { makeAdvertiser, type RaOptions } from './ra-port.ts';
import { prepareChange, type RouterChange } from './reconfigure.ts';
import { type NeighborView, neighborViews, type RouterStatus, routerStatus } from './status.ts';
import { TcpNat } from './tcp-nat.ts';
import { TftpPort } from './tftp-port.ts';
import { Translation } from './translation.ts';
import { UdpNat } from './udp-nat.ts';
import type { UdpFilter } from './udp-peers.ts';
import { UDP_TIMEOUTS, type UdpTimeoutProfile } from './udp-timeouts.ts';
import { UnixForwards } from './unix-forwards.ts';

const MAX_LISTENERS = 1024;
const FLOW_KINDS: readonly FlowKind[] = ['tcp', 'udp', 'icmp', 'client'];

export interface RouterOptions {
  link: Link;
  memory: FrameMemory;
  wheel: TimerWheel;
  host: HostNet;
  /** A uniform unpredictable number, 0 to 2^32 - 1. */
  random: () => number;
  /** Runs a function once, soon, outside of the present call (setImmediate). */
  defer: (run: () => void) => void;
  /** Own MAC address, 6 bytes. */
  mac: Uint8Array;
  /**
   * IPv4 networks of the link, empty for none. `address` of each is the gateway's: ICMP errors come from it, and it leads
   * to host loopback when that is open.
   */
  networks: readonly Ipv4Network[];
  /** Further own IPv4 addresses, unsigned: where DNS is answered, for one. */
  aliases: readonly number[];
  /** Own IPv6 addresses, gateway's all of them, and further ones; null (the default) for no IPv6. */
  ipv6?: Ipv6Link | null;
  /** Prefixes by which IPv6 guests reach IPv4 destinations; clients of forwards are shown by the first. Default none. */
  nat64?: readonly Nat64Prefix[];
  /** Whether IPv6 guests reach IPv4 destinations as ::ffff:a.b.c.d too. Default false. */
  mappedV4?: boolean;
  /** Whether guests reach the host's loopback services at the gateway's address. */
  hostLoopback: boolean;
  /** What else guests may reach; see policy.ts. */
  rules?: readonly PolicyRule[];
  restrict?: boolean;
  hostAddresses?: (() => Int32Array) | null;
  /** DNS service: the own addresses it is reached at, whom it asks, and what it knows itself. */
  dns: DnsServiceOptions | null;
  dhcp: DhcpOptions | null;
  /** DHCPv6 and router advertisements, with `ipv6` only; absent: there are none. */
  dhcp6?: Dhcp6Options;
  ra?: RaOptions;
  /** What TFTP serves at the gateway's address; absent: there is no TFTP. */
  tftp?: TftpFiles;
  /** Descriptors that flows may use, out of what the process may open. */
  maxFlows: number;
  /** Listening sockets that forwards may use; default 1024. */
  maxListeners?: number;
  /** Who may answer a guest's UDP port, default `any`; and how long it is kept, default `short`. */
  udpFilter?: UdpFilter;
  udpTimeouts?: UdpTimeoutProfile;
  tcp?: Partial<TcpLimits>;
  log: (key: string, line: string) => void;
}

export class Router {
  readonly drops = newDropCounters();
  readonly ip: IpLayer;
  readonly tcp: TcpEngine;
  readonly policy: EgressPolicy;
  readonly tcpNat: TcpNat;
  readonly udpNat: UdpNat;
  readonly icmpNat: IcmpNat;
  readonly budget: FlowBudget;
  /** Null when DHCP is not served. */
  readonly dhcp: DhcpServer | null;
  /** Null when DHCPv6 is not served. */
  readonly dhcp6: Dhcpv6Server | null;
  /** Null when the router does not advertise itself; begins with the first `announce`. */
  readonly advertiser: RouterAdvertiser | null;
  /** Null when DNS is not served. */
  readonly dns: DnsForwarder | null;
  readonly forwards: Forwards;
  /** Unix sockets of the host, both ways. */
  readonly unixForwards: UnixForwards;
  private tftp: TftpPort | null;
  private readonly wheel: TimerWheel;
  private readonly prepare: (change: RouterChange) => () => TftpPort | null;

  constructor(options: RouterOptions) {
    const { link, wheel, random, host, maxFlows } = options;
    this.wheel = wheel;
    this.ip = new IpLayer({
      link,
      memory: options.memory,
      wheel,
      drops: this.drops,
      mac: options.mac,
      networks: options.networks,
      aliases: options.aliases,
      ipv6: options.ipv6 ?? null,
      forwarding: true,
      seed: random() | 0,
      random,
      onDefect: (error) => {
        const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
        options.log('defect', `a frame was dropped because of a defect, please report it: ${text}`);
      },
      onClaim: (w0, w1, w2, w3, macHi, macLo) => {
        const mac = formatMac(Uint8Array.of(macHi >>> 8, macHi, macLo >>> 24, macLo >>> 16, macLo >>> 8, macLo));
        options.log(
          'claim',
          `${mac} claims ${formatAddress(w0, w1, w2, w3)}, which is ours: its claims are not believed`,
        );
      },
      defer: options.defer,
    });
    const secret = new Uint8Array(Uint32Array.from({ length: 8 }, () => random()).buffer);
    this.tcp = new TcpEngine({
      wheel,
      drops: this.drops,
      secret,
      replyPath: (p) => this.ip.pathBack(p),
      // The budget of flows decides; beyond it there is room for the SYN that asks.
      limits: { maxConnections: maxFlows + 1, ...options.tcp },
    });
    const { hostLoopback, rules = [], restrict = false, hostAddresses = null } = options;
    const { own } = this.ip;
    const translation = new Translation(options.nat64 ?? [], options.mappedV4 ?? false);
    this.policy = new EgressPolicy({ own, translation, hostLoopback, rules, restrict, hostAddresses });
    this.budget = new FlowBudget(maxFlows);
    const { networks, ipv6: ipv6Link = null, nat64 = [] } = options;
    this.prepare = (change) => {
      const network = { networks, ipv6: ipv6Link, nat64 };
      return prepareChange({ router: this, context, network, tftp: this.tftp, hosts: guests }, change);
    };
    const context: RouterContext = {
      ip: this.ip,
      tcp: this.tcp,
      host,
      policy: this.policy,
      translation,
      budget: this.budget,
      wheel,
      drops: this.drops,
      random,
      log: options.log,
    };
    this.tcpNat = new TcpNat(context);
    this.icmpNat = new IcmpNat(context);
    this.udpNat = new UdpNat(context, {
      capacity: Math.max(1, Math.floor(maxFlows / 2)),
      filter: options.udpFilter ?? 'any',
      timeouts: UDP_TIMEOUTS[options.udpTimeouts ?? 'short'],
    });
    this.budget.addDonor(this.tcpNat); // behind those whose flows have no end of their own
    // A name is one guest's, whichever server it came by; what is restored at start finds no other server yet.
    const isOther = (owner: number | undefined, hi: number, lo: number): boolean =>
      owner !== undefined && owner >= 0 && owner !== macNumber(hi, lo);
    const dhcp =
      options.dhcp === null
        ? null
        : new DhcpPort(context, {
            ...options.dhcp,
            nameTaken: (name, hi, lo) => isOther(this.dhcp6?.ownerOf(name), hi, lo),
          });
    this.dhcp = dhcp?.server ?? null;
    const dhcp6 =
      options.dhcp6 === undefined
        ? null
        : new Dhcp6Port(
            context,
            { ...options.dhcp6, nameTaken: (name, hi, lo) => isOther(this.dhcp?.ownerOf(name), hi, lo) },
            this.udpNat,
          );
    this.dhcp6 = dhcp6?.server ?? null;
    this.advertiser = options.ra === undefined ? null : makeAdvertiser(context, options.ra);
    const guests = new GuestNames(this.dhcp, this.dhcp6, this.ip.neighbors);
    const resolve: ResolveGuest = (name) => guests.resolve(name);
    this.forwards = new Forwards(context, this.tcpNat, this.udpNat, resolve, options.maxListeners ?? MAX_LISTENERS);
    this.unixForwards = new UnixForwards(context, this.tcpNat);
    this.tftp = options.tftp === undefined ? null : new TftpPort(context, options.tftp, this.udpNat);
    this.dns = options.dns === null ? null : makeForwarder(options.dns, options, context, guests);
    const dns = this.dns === null ? null : new DnsPort(context, this.dns, this.udpNat, dnsAddresses(options.dns!));
    this.udpNat.service = (p) =>
      dhcp?.datagram(p) === true ||
      dhcp6?.datagram(p) === true ||
      dns?.datagram(p) === true ||
      this.tftp?.datagram(p) === true ||
      this.forwards.fromGuest(p);
    this.tcpNat.localService = (conn, p) => dns?.connection(conn) === true || this.unixForwards.connection(conn, p);
    this.ip.handle(ipv4.PROTO_TCP, this.tcpNat);
    this.ip.handle(ipv4.PROTO_UDP, this.udpNat);
    this.ip.handle(ipv4.PROTO_ICMP, this.icmpNat);
    this.ip.handle(ipv6.NEXT_ICMPV6, this.icmpNat);
    this.ip.onFlush = () => {
      this.dns?.flush();
      host.flush();
      this.tcp.flush();
    };
    const before = link.onState;
    link.onState = (up) => {
      before?.(up);
      if (!up) return;
      this.announce();
      this.advertiser?.again();
    };
  }

  /** Tells the stations of the link where our addresses are: at start and when the link is up again. */
  announce(): void {
    this.ip.announce();
    this.stationsCame();
    this.advertiser?.start();
  }

  /** Stations may have come to the link: something was plugged into the switch at its end. */
  stationsCame(): void {
    this.dhcp?.stationsCame();
  }

  /**
   * Makes ready for another configuration; what is returned puts it in force and does not fail.
   *
   * @throws VdeError  as prepareChange of reconfigure.ts; nothing has changed then
   */
  prepareChange(change: RouterChange): () => void {
    const apply = this.prepare(change);
    return () => {
      this.tftp = apply();
    };
  }

  /** Opens a port forward. Rejects with ERR_VDE_LISTEN or ERR_VDE_BAD_FORWARD. */
  addForward(rule: ForwardRule): Promise<ForwardView> {
    return this.forwards.add(rule);
  }

  /** Closes the port forward that was asked for by these words, if it is open; connections that are open go on. */
  removeForward(rule: ForwardRule): boolean {
    return this.forwards.removeRule(rule);
  }

  /** Flows of all kinds, by kind and then oldest first; at most `filter.limit` of them. */
  flows(filter: FlowFilter): FlowPage {
    const flows: FlowView[] = [];
    let total = 0;
    for (const kind of filter.kinds ?? FLOW_KINDS) {
      const page = this.flowTable(kind).page({ ...filter, limit: filter.limit - flows.length });
      flows.push(...page.flows);
      total += page.total;
    }
    return { flows, total };
  }

  /** Ends the flow of an id that `flows` gave; false when there is none. A TCP flow ends by RST on both sides. */
  endFlow(id: string): boolean {
    const kind = FLOW_KINDS.find((each) => each[0] === id[0]);
    const serial = /^[1-9]\d{0,14}$/.test(id.slice(1)) ? Number(id.slice(1)) : 0;
    return kind !== undefined && this.flowTable(kind).end(serial);
  }

  /** Stations heard of, by address. */
  neighbors(): NeighborView[] {
    return neighborViews(this.ip.neighbors, this.wheel.clock.now());
  }

  /** How much of each bounded thing is in use. */
  status(): RouterStatus {
    return routerStatus(this);
  }

  private flowTable(kind: FlowKind): { page(filter: FlowFilter): FlowPage; end(serial: number): boolean } {
    switch (kind) {
      case 'tcp':
        return this.tcpNat;
      case 'udp':
        return this.udpNat.flows;
      case 'icmp':
        return this.icmpNat.flows;
      case 'client':
        return this.forwards.clients;
    }
  }

  /** Packets and frames dropped so far for `reason`. */
  dropped(reason: Drop): number {
    return this.drops[reason]!;
  }

  /** Ends all flows (RST on both sides) and closes their sockets; the frames leave before it returns. */
  close(): void {
    this.forwards.close();
    this.unixForwards.close();
    this.tftp?.server.close();
    this.tcpNat.close();
    this.udpNat.close();
    this.icmpNat.close();
    this.dns?.close();
    this.advertiser?.close();
    this.ip.close();
    this.ip.flush();
  }
}
