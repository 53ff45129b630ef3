// UDP through the router: one host socket for each (guest address, port), whatever the destination.
//
// Mapping    endpoint-independent (RFC 4787 REQ-1): all datagrams of one guest port leave by the same host socket, which
//            has the guest's own port number when that is free (port preservation).
// Filtering  endpoint-independent (REQ-8): a datagram from anybody to that socket goes to the guest.
// Loopback   what the guest sends to the gateway goes to the host's loopback interface, and answers from there come from
//            the gateway again.
// Timeouts   30 s after traffic one way, 180 s once both ways were seen; to port 53 alone 10 s (REQ-5 asks for 2 min; the
//            first is conntrack's value, see docs/reference/compat.md). Only what the guest sends, or the first answer,
//            prolongs (REQ-6).
// Errors     become ICMP errors that quote the guest's latest datagram (RFC 1122 4.1.3.3); the mapping stays (REQ-12).
//
// Datagrams to the router's own services never come here: `service` is asked first.

import { Endpoint, MAPPED } from '../core/address.ts';
import { Drop } from '../core/drop.ts';
import type { Packet, PacketHandler } from '../core/packet.ts';
import type { HostUdp, HostUdpUser } from '../host/host-net.ts';
import { DEFAULT_TTL, type Neighbor } from '../ip/index.ts';
import * as checksum from '../wire/checksum.ts';
import * as icmp from '../wire/icmpv4.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as udp from '../wire/udp.ts';
import type { RouterContext } from './context.ts';
import { FlowTable, IdleFlow } from './flow-table.ts';
import { datagramVerdict, isResourceError } from './host-errors.ts';
import { PolicyProtocol } from './policy-rules.ts';

const ONE_WAY_MS = 30_000;
const BOTH_WAYS_MS = 180_000;
const DNS_MS = 10_000;
const LOOPBACK_NET = 127;

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
  readonly latest = new Uint8Array(ipv4.HEADER_LEN + udp.HEADER_LEN);

  constructor(nat: UdpNat, guest: Neighbor, key: Int32Array, port: number) {
    super(guest, key);
    this.nat = nat;
    this.port = port;
  }

  get idleMs(): number {
    if (this.dnsOnly) return DNS_MS;
    return this.answered ? BOTH_WAYS_MS : ONE_WAY_MS;
  }

  datagram(from: Endpoint, b: Uint8Array, off: number, len: number): void {
    this.nat.fromHost(this, from, b, off, len);
  }

  failed(code: string, to: Endpoint | null): void {
    this.nat.failed(this, code, to);
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
  private readonly context: RouterContext;
  readonly flows: FlowTable<UdpMapping>;
  private readonly target = new Endpoint();

  /** @param capacity  mappings at once, each of which holds one host descriptor */
  constructor(context: RouterContext, capacity: number) {
    this.context = context;
    this.flows = new FlowTable<UdpMapping>({
      kind: 'udp',
      wheel: context.wheel,
      capacity,
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
    if (this.service?.(p) === true) return;
    const dstPort = udp.dstPort(p.b, p.l4);
    const srcPort = udp.srcPort(p.b, p.l4);
    if (p.src3 === 0 || p.l2Group) {
      drops[Drop.Ipv4BadDestination]!++;
      return;
    }
    if (srcPort === 0 || dstPort === 0) {
      drops[Drop.UdpBadPort]!++;
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
    this.flows.touch(flow, ip.now, flow.idleMs);
    const len = udp.length(p.b, p.l4) - udp.HEADER_LEN;
    flow.bytesOut += len;
    flow.socket!.send(flow.to, p.b, p.l4 + udp.HEADER_LEN, len);
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
    let src3 = from.w3;
    if (src3 >>> 24 === LOOPBACK_NET) src3 = ip.addresses[0]! | 0;
    if (!flow.answered) {
      flow.answered = true;
      this.flows.touch(flow, ip.now, flow.idleMs);
    }
    flow.bytesIn += len;
    if (!this.toGuest(flow.guest, src3, from.port, flow.port, b, off, len)) drops[Drop.FrameTooLong]!++;
  }

  /** Sends one datagram to a guest; false when it does not fit the guest's MTU. */
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
    if (size > ip.mtu - ipv4.HEADER_LEN) return false;
    const o = ip.reserve(size);
    ip.bytes.set(b.subarray(off, off + len), o + udp.HEADER_LEN);
    udp.write(ip.bytes, o, srcPort, dstPort, size);
    udp.writeChecksum(ip.bytes, o, checksum.pseudoIpv4(src3 >>> 0, guest.w3 >>> 0, ipv4.PROTO_UDP));
    ip.send(guest, o, size, src3, guest.w3, ipv4.PROTO_UDP, DEFAULT_TTL, true);
    return true;
  }

  failed(flow: UdpMapping, code: string, to: Endpoint | null): void {
    const { ip, drops, log } = this.context;
    drops[Drop.HostUnreachable]!++;
    if (isResourceError(code)) log(`udp-${code}`, `cannot send to ${flow.to}: ${code}`);
    if (to === null) this.flows.remove(flow); // the socket itself is of no use
    const verdict = datagramVerdict(code);
    if (verdict < 0 || (to !== null && !to.same(flow.to))) return;
    ip.errors.about(flow.latest, 0, flow.latest.length, icmp.TYPE_UNREACHABLE, verdict, 0);
  }

  close(): void {
    this.flows.clear();
  }
}
