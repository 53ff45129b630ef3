// UDP through the router: one host socket for each (guest address, port), whatever the destination.
//
// Mapping    endpoint-independent (RFC 4787 REQ-1): all datagrams of one guest port leave by the same host socket, which
//            has the guest's own port number when that is free (port preservation).
// Filtering  endpoint-independent (REQ-8): a datagram from anybody to that socket goes to the guest; udp-peers.ts has the
//            stricter modes.
// Loopback   what the guest sends to the gateway goes to the host's loopback interface, and answers from there come from
//            the gateway again.
// Timeouts   udp-timeouts.ts. Only what the guest sends, or the first answer, prolongs (REQ-6).
// TTL        that of the guest less one, for each datagram.
// Hairpin    a guest that sends to an address of this host, to a port that a mapping or forward of ours has, is heard
//            there with the source that all the world sees (REQ-9): the host's kernel does it.
// Errors     ICMP errors go back to the guest, with type, code and offender where the host tells them, quoting the
//            datagram (RFC 1122 4.1.3.3); the mapping stays (REQ-12).
//
// Datagrams to the router's own services never come here: `service` is asked first.

import { Endpoint, MAPPED } from '../core/address.ts';
import { Drop } from '../core/drop.ts';
import type { Packet, PacketHandler } from '../core/packet.ts';
import type { ErrnoName, HostUdp, HostUdpUser, IcmpReport } from '../host/host-net.ts';
import { DEFAULT_TTL, type Neighbor } from '../ip/index.ts';
import * as checksum from '../wire/checksum.ts';
import * as icmp from '../wire/icmpv4.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as udp from '../wire/udp.ts';
import type { RouterContext } from './context.ts';
import { FlowTable, IdleFlow } from './flow-table.ts';
import { isResourceError } from './host-errors.ts';
import { readdress, tellGuest, UDP_QUOTE_LEN } from './icmp-relay.ts';
import { PolicyProtocol } from './policy-rules.ts';
import { type UdpFilter, UdpPeers } from './udp-peers.ts';
import { UDP_TIMEOUTS, type UdpTimeouts } from './udp-timeouts.ts';

const LOOPBACK_NET = 127;

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
  readonly to = new Endpoint();
  written3 = 0;
  answered = false;
  /** All destinations so far were DNS servers. */
  dnsOnly = true;
  /** IP and UDP header of the latest datagram: errors quote it. */
  readonly latest = new Uint8Array(UDP_QUOTE_LEN);
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
  }

  describe(): { port: number; peer: string; state: string } {
    const state = this.dnsOnly ? 'dns' : this.answered ? 'answered' : 'one-way';
    return { port: this.port, peer: String(this.to), state };
  }
}

export class UdpNat implements PacketHandler {
  /** Tried first for every datagram (DHCP, DNS, clients of forwards). */
  service: LocalUdpService | null = null;
  readonly filter: UdpFilter;
  readonly timeouts: UdpTimeouts;
  private readonly context: RouterContext;
  readonly flows: FlowTable<UdpMapping>;
  private readonly target = new Endpoint();

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
    if (!udp.checksumOk(p.b, p.l4, checksum.pseudoIpv4(p.src3 >>> 0, p.dst3 >>> 0, ipv4.PROTO_UDP))) {
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
    if (p.src3 === 0 || p.l2Group) {
      drops[Drop.Ipv4BadDestination]!++;
      return;
    }
    const denied = policy.resolve(PolicyProtocol.Udp, p.dst0, p.dst1, p.dst2, p.dst3, dstPort, this.target);
    if (denied !== Drop.None) {
      drops[denied]!++;
      if (denied === Drop.PolicyDenied) {
        const code = ip.isLocal(p.dst3 >>> 0) ? icmp.CODE_PORT : icmp.CODE_ADMIN_PROHIBITED;
        ip.errors.send(p, icmp.TYPE_UNREACHABLE, code, 0);
      }
      return;
    }
    const flow = this.flows.find(p.src0, p.src1, p.src2, p.src3, 0, 0, MAPPED, 0, srcPort) ?? this.open(p, srcPort);
    if (flow === null) return;
    if (dstPort !== 53) flow.dnsOnly = false;
    if (!flow.to.same(this.target)) flow.to.copy(this.target);
    flow.written3 = p.dst3;
    flow.latest.set(p.b.subarray(p.l3, p.l3 + ipv4.HEADER_LEN));
    flow.latest[0] = 0x45;
    flow.latest.set(p.b.subarray(p.l4, p.l4 + udp.HEADER_LEN), ipv4.HEADER_LEN);
    if (flow.peers !== null) flow.peers.sent(flow.to);
    this.flows.touch(flow, ip.now, flow.idleMs);
    const len = udp.length(p.b, p.l4) - udp.HEADER_LEN;
    flow.bytesOut += len;
    flow.socket!.send(flow.to, p.b, p.l4 + udp.HEADER_LEN, len, Math.max(0, p.ttl - 1));
  }

  private open(p: Packet, port: number): UdpMapping | null {
    const { ip, host, drops } = this.context;
    const guest = ip.neighbors.find(p.src0, p.src1, p.src2, p.src3);
    if (guest === null) return null;
    if (!this.flows.makeRoom(guest)) {
      drops[Drop.FlowTableFull]!++;
      return null;
    }
    const key = Int32Array.of(p.src0, p.src1, p.src2, p.src3, 0, 0, MAPPED, 0, port);
    const flow = new UdpMapping(this, guest, key, port);
    flow.socket = host.openUdp(4, port >= 1024 ? port : 0, flow);
    this.flows.add(flow, flow.idleMs);
    return flow;
  }

  fromHost(flow: UdpMapping, from: Endpoint, b: Uint8Array, off: number, len: number): void {
    const { ip, drops } = this.context;
    if (flow.peers !== null && !flow.peers.admits(from)) {
      drops[Drop.UdpFiltered]!++;
      return;
    }
    let src3 = from.w3;
    if (src3 >>> 24 === LOOPBACK_NET) src3 = ip.addresses[0]! | 0;
    if (!flow.answered) {
      flow.answered = true;
      this.flows.touch(flow, ip.now, flow.idleMs);
    }
    flow.bytesIn += len;
    if (!this.toGuest(flow.guest, src3, from.port, flow.port, b, off, len)) drops[Drop.FrameTooLong]!++;
  }

  /** Sends one datagram to a guest, in fragments when it must be; false when no IP packet can hold it. */
  toGuest(
    guest: Neighbor,
    src3: number,
    srcPort: number,
    dstPort: number,
    b: Uint8Array,
    off: number,
    len: number,
  ): boolean {
    const { ip } = this.context;
    const size = udp.HEADER_LEN + len;
    if (size > ipv4.MAX_LEN - ipv4.HEADER_LEN) return false;
    const o = ip.stage(size);
    const out = ip.staged;
    out.set(b.subarray(off, off + len), o + udp.HEADER_LEN);
    udp.write(out, o, srcPort, dstPort, size);
    udp.writeChecksum(out, o, checksum.pseudoIpv4(src3 >>> 0, guest.w3 >>> 0, ipv4.PROTO_UDP));
    ip.sendStaged(guest, o, size, src3, guest.w3, ipv4.PROTO_UDP, DEFAULT_TTL);
    return true;
  }

  failed(flow: UdpMapping, code: ErrnoName, to: Endpoint | null, report: IcmpReport | undefined): void {
    const { ip, drops, log } = this.context;
    drops[Drop.HostUnreachable]!++;
    if (isResourceError(code)) log(`udp-${code}`, `cannot send to ${flow.to}: ${code}`);
    if (to === null)
      this.flows.remove(flow); // the socket itself is of no use
    else readdress(flow.latest, this.writtenAs(flow, to), to.port);
    tellGuest(ip, flow.latest, code, report);
  }

  /** The address by which the guest knows a destination of its mapping. */
  private writtenAs(flow: UdpMapping, to: Endpoint): number {
    if (to.w3 === flow.to.w3) return flow.written3;
    return to.w3 >>> 24 === LOOPBACK_NET ? this.context.ip.addresses[0]! : to.w3;
  }

  close(): void {
    this.flows.clear();
  }
}
