// UDP through the router: one host socket for each (guest address, port), whatever the destination.
//
// Families   an IPv6 guest's port has a mapping for IPv6 destinations and one for each prefix by which it reaches IPv4
//            ones: a socket has one family, and answers come from the prefix that was written.
// Mapping    endpoint-independent (RFC 4787 REQ-1): all datagrams of one guest port leave by the same host socket, which
//            has the guest's own port number when that is free (port preservation), else one of the same parity (REQ-4).
// Filtering  endpoint-independent (REQ-8): a datagram from anybody to that socket goes to the guest; udp-peers.ts has the
//            stricter modes.
// Loopback   what the guest sends to the gateway goes to the host's loopback interface, and answers from there come from
//            the gateway again. An IPv6 gateway is ::1, and 127.0.0.1 for ports that ::1 lacks (loopback-try.ts).
// Timeouts   udp-timeouts.ts. Only what the guest sends, or the first answer, prolongs (REQ-6).
// TTL        that of the guest less one, for each datagram.
// Hairpin    a guest that sends to an address of this host, to a port that a mapping or forward of ours has, is heard
//            there with the source that all the world sees (REQ-9): the host's kernel does it.
// Errors     ICMP errors go back to the guest, with type, code and offender where the host tells them, quoting the
//            datagram (RFC 1122 4.1.3.3); the mapping stays (REQ-12).
//
// Datagrams to the router's own services never come here: `service` is asked first.

import { Endpoint, MAPPED } from '../core/address.ts';
import { copyInto } from '../core/copy.ts';
import { Drop } from '../core/drop.ts';
import type { Packet, PacketHandler } from '../core/packet.ts';
import type { ErrnoName, HostUdp, HostUdpUser, IcmpReport } from '../host/host-net.ts';
import { DEFAULT_TTL, isLinkLocal, type Neighbor, Reason } from '../ip/index.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as udp from '../wire/udp.ts';
import type { RouterContext } from './context.ts';
import { FlowTable, IdleFlow } from './flow-table.ts';
import { isResourceError } from './host-errors.ts';
import { tellGuest } from './icmp-relay.ts';
import { LoopbackTry } from './loopback-try.ts';
import { Destination } from './policy.ts';
import { PolicyProtocol } from './policy-rules.ts';
import { Quote } from './quote.ts';
import { VIA_LOOPBACK, VIA_NONE } from './translation.ts';
import { type UdpFilter, UdpPeers } from './udp-peers.ts';
import { UDP_TIMEOUTS, type UdpTimeouts } from './udp-timeouts.ts';

const LOOPBACK_NET = 127;
const LOOPBACK = 0x7f000001;

export interface UdpNatOptions {
  /** Mappings at once; each of them holds one host descriptor (flow-budget.ts). */
  capacity: number;
  /** Default `any`. */
  filter?: UdpFilter;
  /** Default UDP_TIMEOUTS.short. */
  timeouts?: UdpTimeouts;
}

/** Takes datagrams for the router's own services and forwards; gives true when it did. */
export type LocalUdpService = (p: Packet) => boolean;

class UdpMapping extends IdleFlow implements HostUdpUser {
  private readonly nat: UdpNat;
  readonly port: number;
  socket: HostUdp | null = null;
  /** Where the latest datagram went (final), and as which address the guest knows that. */
  readonly to = new Destination();
  readonly written = new Endpoint();
  /** As which address the guest knows the host's loopback interface: the gateway that it wrote last. */
  readonly gateway = new Endpoint();
  /** How the guest fares at ::1; null: it has sent nothing there. */
  loopback: LoopbackTry | null = null;
  answered = false;
  /** All destinations so far were DNS servers. */
  dnsOnly = true;
  /** Headers of the latest datagram: errors quote it. */
  readonly latest = new Quote();
  /** Who may answer; null: anybody. */
  readonly peers: UdpPeers | null;

  constructor(nat: UdpNat, guest: Neighbor, key: Int32Array, port: number) {
    super(guest, key);
    this.nat = nat;
    this.port = port;
    this.peers = nat.filter === 'any' ? null : new UdpPeers(nat.filter);
  }

  get idleMs(): number {
    const { timeouts } = this.nat;
    if (this.dnsOnly) return timeouts.dnsMs;
    return this.answered ? timeouts.bothWaysMs : timeouts.oneWayMs;
  }

  datagram(from: Endpoint, b: Uint8Array, off: number, len: number): void {
    this.nat.fromHost(this, from, b, off, len);
  }

  failed(code: ErrnoName, to: Endpoint | null, report?: IcmpReport): void {
    this.nat.failed(this, code, to, report);
  }

  release(): void {
    this.socket?.close();
    this.socket = null;
    this.loopback = null;
  }

  describe(): { port: number; peer: string; state: string } {
    const state = this.dnsOnly ? 'dns' : this.answered ? 'answered' : 'one-way';
    return { port: this.port, peer: String(this.to), state };
  }
}

export class UdpNat implements PacketHandler {
  /** Tried first for every datagram (DHCP, DNS, clients of forwards). */
  service: LocalUdpService | null = null;
  /** May change at run time: for ports that guests open from then on, and for all from their next datagram on. */
  filter: UdpFilter;
  timeouts: UdpTimeouts;
  private readonly context: RouterContext;
  readonly flows: FlowTable<UdpMapping>;
  private readonly target = new Destination();
  private readonly shown = new Endpoint();

  constructor(context: RouterContext, options: UdpNatOptions) {
    this.context = context;
    this.filter = options.filter ?? 'any';
    this.timeouts = options.timeouts ?? UDP_TIMEOUTS.short;
    this.flows = new FlowTable<UdpMapping>({
      kind: 'udp',
      wheel: context.wheel,
      capacity: options.capacity,
      budget: context.budget,
      k0: context.random() | 0,
      k1: context.random() | 0,
    });
  }

  get size(): number {
    return this.flows.size;
  }

  packet(p: Packet): void {
    const { drops, ip, policy } = this.context;
    const why = udp.check(p.b, p.l4, p.end);
    if (why !== Drop.None) {
      drops[why]!++;
      return;
    }
    const { isIpv4 } = p;
    if (!isIpv4 && udp.checksum(p.b, p.l4) === 0) {
      drops[Drop.UdpNoChecksum]!++;
      return;
    }
    if (!udp.checksumOk(p.b, p.l4, ip.pseudoSumOf(p))) {
      drops[Drop.UdpBadChecksum]!++;
      return;
    }
    const dstPort = udp.dstPort(p.b, p.l4);
    const srcPort = udp.srcPort(p.b, p.l4);
    if (srcPort === 0) {
      drops[Drop.UdpBadPort]!++; // wants no answer (RFC 768), and all that we do with a datagram may have one
      return;
    }
    if (this.service?.(p) === true) return;
    if ((isIpv4 && p.src3 === 0) || p.l2Group) {
      drops[isIpv4 ? Drop.Ipv4BadDestination : Drop.Ipv6BadDestination]!++;
      return;
    }
    const { target } = this;
    const denied = policy.resolve(PolicyProtocol.Udp, isIpv4, p.dst0, p.dst1, p.dst2, p.dst3, dstPort, target);
    if (denied !== Drop.None) {
      drops[denied]!++;
      if (denied === Drop.PolicyDenied) {
        ip.errors.send(p, ip.isToUs(p) ? Reason.Port : Reason.Prohibited);
      }
      return;
    }
    const family = isIpv4 ? MAPPED : 0;
    let flow = this.flows.find(p.src0, p.src1, p.src2, p.src3, 0, 0, family, target.via, srcPort);
    if (flow === null) {
      const guest = ip.neighbors.find(p.src0, p.src1, p.src2, p.src3);
      flow = guest === null ? null : this.open(guest, srcPort);
    }
    if (flow !== null && target.isLoopback && !target.isIpv4) flow = this.atLoopback(flow, p, dstPort);
    if (flow === null) return;
    if (dstPort !== 53) flow.dnsOnly = false;
    if (!flow.to.same(target)) flow.to.copy(target);
    flow.written.set(p.dst0, p.dst1, p.dst2, p.dst3, dstPort);
    if (target.isLoopback) flow.gateway.copy(flow.written);
    flow.latest.take(p);
    if (flow.peers !== null) flow.peers.sent(flow.to);
    this.flows.touch(flow, ip.now, flow.idleMs);
    const len = udp.length(p.b, p.l4) - udp.HEADER_LEN;
    flow.bytesOut += len;
    flow.socket!.post(flow.to, p.b, p.l4 + udp.HEADER_LEN, len, Math.max(0, p.ttl - 1));
  }

  /** Opens a mapping to `target`. */
  private open(guest: Neighbor, port: number): UdpMapping | null {
    const { host, drops } = this.context;
    if (!this.flows.makeRoom(guest)) {
      drops[Drop.FlowTableFull]!++;
      return null;
    }
    const { target } = this;
    const { w0, w1, w2, w3, isIpv4 } = guest;
    const key = Int32Array.of(w0, w1, w2, w3, 0, 0, isIpv4 ? MAPPED : 0, target.via, port);
    const flow = new UdpMapping(this, guest, key, port);
    flow.to.copy(target);
    flow.socket = host.openUdp(target.isIpv4 ? 4 : 6, port, flow);
    this.flows.add(flow, flow.idleMs);
    return flow;
  }

  /** The mapping by which a datagram to an IPv6 gateway leaves: `flow`, or the one to 127.0.0.1. */
  private atLoopback(flow: UdpMapping, p: Packet, dstPort: number): UdpMapping | null {
    const { ip } = this.context;
    flow.loopback ??= new LoopbackTry();
    if (flow.loopback.missing !== dstPort) {
      const len = udp.length(p.b, p.l4) - udp.HEADER_LEN;
      flow.loopback.sent(dstPort, p.b, p.l4 + udp.HEADER_LEN, len, ip.now);
      return flow;
    }
    this.flows.touch(flow, ip.now, flow.idleMs);
    return this.toLoopback4(flow, dstPort);
  }

  /** The mapping to a port of 127.0.0.1 that stands in for ::1, and `target` set to that. */
  private toLoopback4({ guest, port }: UdpMapping, dstPort: number): UdpMapping | null {
    const { target } = this;
    target.setIpv4(LOOPBACK, dstPort);
    target.via = VIA_LOOPBACK;
    target.isLoopback = true;
    const { w0, w1, w2, w3 } = guest;
    return this.flows.find(w0, w1, w2, w3, 0, 0, 0, VIA_LOOPBACK, port) ?? this.open(guest, port);
  }

  /** Sends what ::1 refused to 127.0.0.1; false: that is nothing for it. */
  private fallBack(flow: UdpMapping, code: ErrnoName, to: Endpoint | null): boolean {
    const { loopback } = flow;
    const isLoopback = to === null ? flow.to.isLoopback : to.w3 === 1 && (to.w0 | to.w1 | to.w2) === 0;
    const { port } = to ?? flow.to;
    if (loopback === null || !isLoopback || !loopback.failed(port, code)) return false;
    const { now } = this.context.ip;
    const first = loopback.take(port, now);
    if (first === null) return true;
    const other = this.toLoopback4(flow, port);
    if (other === null) return true;
    other.to.copy(this.target);
    other.gateway.copy(flow.gateway);
    other.written.copy(flow.gateway).port = port;
    other.dnsOnly = flow.dnsOnly;
    other.latest.copy(flow.latest);
    other.latest.readdress(other.written);
    other.peers?.sent(other.to);
    this.flows.touch(other, now, other.idleMs);
    other.bytesOut += first.length;
    other.socket!.send(other.to, first, 0, first.length, 0);
    return true;
  }

  /** 127.0.0.1 has refused what ::1 had refused before: the next datagram is for ::1 again. */
  private forgetLoopback({ guest, port }: UdpMapping): void {
    const { w0, w1, w2, w3 } = guest;
    this.flows.find(w0, w1, w2, w3, 0, 0, 0, VIA_NONE, port)?.loopback?.forget();
  }

  fromHost(flow: UdpMapping, from: Endpoint, b: Uint8Array, off: number, len: number): void {
    const { ip, drops } = this.context;
    if (flow.peers !== null && !flow.peers.admits(from)) {
      drops[Drop.UdpFiltered]!++;
      return;
    }
    const { shown } = this;
    if (!this.show(flow, from, shown)) {
      drops[Drop.UdpFiltered]!++;
      return;
    }
    if (!flow.answered) {
      flow.answered = true;
      flow.loopback?.answered();
      this.flows.touch(flow, ip.now, flow.idleMs);
    }
    flow.bytesIn += len;
    const { w0, w1, w2, w3 } = shown;
    if (!this.toGuest(flow.guest, w0, w1, w2, w3, from.port, flow.port, b, off, len)) drops[Drop.FrameTooLong]!++;
  }

  /** Sets `out` to the address by which the guest of a mapping knows a peer of the host; false: it cannot know it. */
  private show(flow: UdpMapping, peer: Endpoint, out: Endpoint): boolean {
    const { w0, w1, w2, w3 } = peer;
    const { isIpv4 } = peer;
    const { via } = flow.to;
    if (isIpv4 ? w3 >>> 24 === LOOPBACK_NET : (w0 | w1 | w2) === 0) {
      const { guest, gateway } = flow;
      if (gateway.port !== 0) out.copy(gateway);
      else if (via !== VIA_NONE) return false;
      else out.copy(this.context.ip.own.sourceFor(guest.w0, guest.w1, guest.w2, guest.w3)!);
    } else if (via === VIA_LOOPBACK) {
      return false;
    } else if (via !== VIA_NONE) {
      this.context.translation.toIpv6(via, w3, 0, out);
    } else {
      if (!isIpv4 && isLinkLocal(w0)) return false; // of another link than the guest's
      out.set(w0, w1, w2, w3, 0);
    }
    out.port = peer.port;
    return true;
  }

  /**
   * Sends one datagram from s0..s3 (of the guest's family) to a guest, in fragments when it must be; false when no IP
   * packet can hold it.
   */
  toGuest(
    guest: Neighbor,
    s0: number,
    s1: number,
    s2: number,
    s3: number,
    srcPort: number,
    dstPort: number,
    b: Uint8Array,
    off: number,
    len: number,
  ): boolean {
    const { ip } = this.context;
    const size = udp.HEADER_LEN + len;
    if (size > ip.maxDatagram(guest)) return false;
    const o = ip.stage(guest, size);
    const out = ip.staged;
    copyInto(b, off, len, out, o + udp.HEADER_LEN);
    udp.write(out, o, srcPort, dstPort, size);
    udp.writeChecksum(out, o, ip.pseudoSum(guest, s0, s1, s2, s3, ipv4.PROTO_UDP));
    ip.sendStaged(guest, o, size, s0, s1, s2, s3, ipv4.PROTO_UDP, DEFAULT_TTL);
    return true;
  }

  failed(flow: UdpMapping, code: ErrnoName, to: Endpoint | null, report: IcmpReport | undefined): void {
    const { drops, log } = this.context;
    if (this.fallBack(flow, code, to)) {
      if (to === null) this.flows.remove(flow);
      return;
    }
    if (flow.to.via === VIA_LOOPBACK) this.forgetLoopback(flow);
    drops[Drop.HostUnreachable]!++;
    if (isResourceError(code, flow.to.isIpv4)) log(`udp-${code}`, `cannot send to ${flow.to}: ${code}`);
    if (to === null)
      this.flows.remove(flow); // the socket itself is of no use
    else if (this.writtenAs(flow, to, this.shown)) flow.latest.readdress(this.shown);
    tellGuest(this.context, flow.latest, flow.to.isIpv4, Math.max(VIA_NONE, flow.to.via), code, report);
  }

  /** Sets `out` to the address by which the guest knows a destination of its mapping. */
  private writtenAs(flow: UdpMapping, to: Endpoint, out: Endpoint): boolean {
    const { w0, w1, w2, w3 } = flow.to;
    if (to.w3 !== w3 || to.w2 !== w2 || to.w1 !== w1 || to.w0 !== w0) return this.show(flow, to, out);
    out.copy(flow.written);
    out.port = to.port;
    return true;
  }

  close(): void {
    this.flows.clear();
  }
}
