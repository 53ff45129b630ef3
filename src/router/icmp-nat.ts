// ICMP between guests and the world: echo through ping sockets, and errors that guests send about our segments.
//
// Both families meet here: ICMP of IPv4 guests, ICMPv6 of IPv6 guests, and echo of IPv6 guests to IPv4 destinations
// (translation.ts) by the ping sockets of IPv4.
//
// An echo flow is (guest address, identifier, destination). Each has a ping socket of its own, whose identifier the
// kernel chooses; replies are given back with the guest's. Idle flows end after 60 s (RFC 5508 REQ-2). Replies carry the
// data that the destination sent: nothing is made up here. Where the host allows no ping sockets, requests are answered
// "administratively prohibited" (and the start-up line said so).

import { Endpoint } from '../core/address.ts';
import { copyInto } from '../core/copy.ts';
import { Drop } from '../core/drop.ts';
import { Packet, type PacketHandler } from '../core/packet.ts';
import type { ErrnoName, HostPing, HostPingUser, IcmpReport } from '../host/host-net.ts';
import { DEFAULT_TTL, type Neighbor, Reason } from '../ip/index.ts';
import { putU16 } from '../wire/bytes.ts';
import * as checksum from '../wire/checksum.ts';
import * as icmpv4 from '../wire/icmpv4.ts';
import * as icmpv6 from '../wire/icmpv6.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import * as tcp from '../wire/tcp.ts';
import type { RouterContext } from './context.ts';
import { FlowTable, IdleFlow } from './flow-table.ts';
import { tellGuest } from './icmp-relay.ts';
import { Destination } from './policy.ts';
import { PolicyProtocol } from './policy-rules.ts';
import { Quote } from './quote.ts';

const IDLE_MS = 60_000; // RFC 5508 REQ-2
const MAX_FLOWS = 1024;
/** Share of the descriptors of all flows. */
const SHARE = 1 / 8;
/** Header of a message of both families; identifier and sequence number of an echo have the same place in both. */
const HEADER_LEN = icmpv4.HEADER_LEN;

class EchoFlow extends IdleFlow implements HostPingUser {
  private readonly nat: IcmpNat;
  /** Destination as the guest wrote it, with the identifier for a port; and as it is for the host. */
  readonly written = new Endpoint();
  readonly to = new Destination();
  socket: HostPing | null = null;
  /** Headers of the latest request: errors quote it. */
  readonly request = new Quote();

  constructor(nat: IcmpNat, guest: Neighbor, key: Int32Array, id: number, to: Destination) {
    super(guest, key);
    this.nat = nat;
    this.written.set(key[4]!, key[5]!, key[6]!, key[7]!, id);
    this.to.copy(to);
  }

  reply(seq: number, b: Uint8Array, off: number, len: number, ttl: number): void {
    this.nat.reply(this, seq, b, off, len, ttl);
  }

  failed(code: ErrnoName, report?: IcmpReport, seq = -1): void {
    this.nat.failed(this, code, report, seq);
  }

  release(): void {
    this.socket?.close();
    this.socket = null;
  }

  describe(): { port: number; peer: string; state: string } {
    const { written, to } = this;
    const peer = written.isIpv4 === to.isIpv4 ? written.host : to.host;
    return { port: written.port, peer, state: this.bytesIn > 0 ? 'answered' : 'asked' };
  }
}

export class IcmpNat implements PacketHandler {
  private readonly context: RouterContext;
  readonly flows: FlowTable<EchoFlow>;
  private readonly to = new Destination();
  private readonly quoted = new Packet();

  constructor(context: RouterContext) {
    this.context = context;
    this.flows = new FlowTable<EchoFlow>({
      kind: 'icmp',
      wheel: context.wheel,
      capacity: Math.max(1, Math.min(MAX_FLOWS, Math.floor(context.budget.total * SHARE))),
      budget: context.budget,
      k0: context.random() | 0,
      k1: context.random() | 0,
    });
  }

  get size(): number {
    return this.flows.size;
  }

  /** An ICMP packet to the world, or one to our own addresses that is no echo request (already checked then). */
  packet(p: Packet): void {
    const { drops, ip } = this.context;
    const { isIpv4 } = p;
    const why = isIpv4 ? icmpv4.check(p.b, p.l4, p.end) : icmpv6.check(p.b, p.l4, p.end, ip.pseudoSumOf(p));
    if (why !== Drop.None) {
      drops[why]!++;
      return;
    }
    const type = icmpv4.type(p.b, p.l4);
    const isEcho = type === (isIpv4 ? icmpv4.TYPE_ECHO : icmpv6.TYPE_ECHO);
    if (isEcho && !ip.isToUs(p)) this.echo(p);
    else if (isIpv4 && icmpv4.isError(type)) this.error(p);
    else if (!isIpv4 && icmpv6.isError(type)) this.errorV6(p);
    else drops[Drop.IcmpIgnored]!++;
  }

  private echo(p: Packet): void {
    const { drops, host, policy, ip } = this.context;
    const id = icmpv4.echoId(p.b, p.l4);
    let flow = this.flows.find(p.src0, p.src1, p.src2, p.src3, p.dst0, p.dst1, p.dst2, p.dst3, id);
    if (flow === null) {
      const why = policy.resolve(PolicyProtocol.Icmp, p.isIpv4, p.dst0, p.dst1, p.dst2, p.dst3, 0, this.to);
      if (why !== Drop.None) {
        drops[why]!++;
        if (why === Drop.PolicyDenied) ip.errors.send(p, Reason.Prohibited);
        return;
      }
      flow = this.open(p, id);
      if (flow === null) return;
    }
    this.flows.touch(flow, ip.now, IDLE_MS);
    flow.request.take(p);
    const data = p.l4 + HEADER_LEN;
    const len = p.end - data;
    flow.bytesOut += len;
    if (flow.socket !== null) flow.socket.send(icmpv4.echoSeq(p.b, p.l4), p.b, data, len, Math.max(0, p.ttl - 1));
    else if (host.pingProblem !== null) drops[Drop.IcmpNoPingSocket]!++;
  }

  private open(p: Packet, id: number): EchoFlow | null {
    const { drops, host, ip } = this.context;
    const guest = ip.neighbors.find(p.src0, p.src1, p.src2, p.src3);
    if (guest === null) return null;
    if (host.pingProblem !== null) {
      drops[Drop.IcmpNoPingSocket]!++;
      ip.errors.send(p, Reason.Prohibited);
      return null;
    }
    if (!this.flows.makeRoom(guest)) {
      drops[Drop.FlowTableFull]!++;
      return null;
    }
    const key = Int32Array.of(p.src0, p.src1, p.src2, p.src3, p.dst0, p.dst1, p.dst2, p.dst3, id);
    const flow = new EchoFlow(this, guest, key, id, this.to);
    flow.socket = host.openPing(this.to, flow);
    if (flow.socket === null) {
      drops[Drop.IcmpNoPingSocket]!++;
      return null;
    }
    this.flows.add(flow, IDLE_MS);
    return flow;
  }

  reply(flow: EchoFlow, seq: number, b: Uint8Array, off: number, len: number, ttl: number): void {
    const { ip } = this.context;
    const { guest, written } = flow;
    const size = HEADER_LEN + len;
    if (size > ip.maxDatagram(guest)) {
      this.context.drops[Drop.FrameTooLong]!++;
      return;
    }
    this.flows.touch(flow, ip.now, IDLE_MS);
    flow.bytesIn += len;
    const o = ip.stage(guest, size);
    const out = ip.staged;
    const { w0, w1, w2, w3, port: id } = written;
    copyInto(b, off, len, out, o + HEADER_LEN);
    const hops = ttl > 1 ? ttl - 1 : DEFAULT_TTL;
    if (guest.isIpv4) {
      icmpv4.writeEcho(out, o, icmpv4.TYPE_ECHO_REPLY, id, seq, size);
      ip.sendStaged(guest, o, size, w0, w1, w2, w3, ipv4.PROTO_ICMP, hops);
    } else {
      icmpv6.writeEcho(out, o, icmpv6.TYPE_ECHO_REPLY, id, seq);
      icmpv6.writeChecksum(out, o, size, ip.pseudoSum(guest, w0, w1, w2, w3, ipv6.NEXT_ICMPV6));
      ip.sendStaged(guest, o, size, w0, w1, w2, w3, ipv6.NEXT_ICMPV6, hops);
    }
  }

  failed(flow: EchoFlow, code: ErrnoName, report: IcmpReport | undefined, seq: number): void {
    this.context.drops[Drop.HostUnreachable]!++;
    const { request } = flow;
    const { bytes, payload: o } = request;
    if (seq >= 0) {
      // The kernel's identifier is not the guest's, but the sequence number is: traceroute tells its probes by it.
      const check = checksum.updateU16(icmpv4.checksum(bytes, o), icmpv4.echoSeq(bytes, o), seq);
      putU16(bytes, o + 2, check);
      putU16(bytes, o + 6, seq);
    }
    tellGuest(this.context, request, flow.to.isIpv4, flow.to.via, code, report);
  }

  /** An ICMP error of a guest: about a TCP segment of ours it is the engine's business, else nobody's. */
  private error(p: Packet): void {
    const { b, end } = p;
    const o = p.l4 + HEADER_LEN;
    const { drops, tcp: engine } = this.context;
    // The quote is often cut short, so ipv4.check would refuse it: only what is read here must be there.
    const isTcp = end - o >= ipv4.HEADER_LEN && b[o]! >>> 4 === 4 && ipv4.protocol(b, o) === ipv4.PROTO_TCP;
    const l4 = isTcp ? o + ipv4.headerLen(b, o) : 0;
    if (l4 < o + ipv4.HEADER_LEN || l4 + 8 > end || (ipv4.dst(b, o) | 0) !== p.src3) {
      drops[Drop.IcmpIgnored]!++;
      return;
    }
    const q = this.quoted;
    q.setIpv4(ipv4.src(b, o), ipv4.dst(b, o));
    this.quote(b, o, l4, end);
    if (tcp.srcPort(b, l4) === 0) return;
    const type = icmpv4.type(b, p.l4);
    const code = icmpv4.code(b, p.l4);
    if (type === icmpv4.TYPE_UNREACHABLE && code === icmpv4.CODE_FRAGMENTATION_NEEDED) {
      engine.icmpError(q, 'too-big', Math.max(0, icmpv4.nextHopMtu(b, p.l4) - ipv4.HEADER_LEN));
    } else if (type === icmpv4.TYPE_UNREACHABLE) {
      engine.icmpError(q, code === icmpv4.CODE_NET || code === icmpv4.CODE_HOST ? 'soft' : 'hard', 0);
    } else {
      engine.icmpError(q, 'soft', 0);
    }
  }

  /** The same of ICMPv6. */
  private errorV6(p: Packet): void {
    const { b, end } = p;
    const o = p.l4 + HEADER_LEN;
    const { drops, tcp: engine } = this.context;
    const isWhole = end - o >= ipv6.HEADER_LEN && b[o]! >>> 4 === 6;
    // We send no extension headers, so there are none in what comes back.
    const isTcp = isWhole && ipv6.nextHeader(b, o) === ipv4.PROTO_TCP;
    const l4 = o + ipv6.HEADER_LEN;
    if (!isTcp || l4 + 8 > end || !isSentTo(b, o, p)) {
      drops[Drop.IcmpIgnored]!++;
      return;
    }
    const q = this.quoted;
    q.src0 = ipv6.src(b, o, 0);
    q.src1 = ipv6.src(b, o, 1);
    q.src2 = ipv6.src(b, o, 2);
    q.src3 = ipv6.src(b, o, 3);
    q.dst0 = p.src0;
    q.dst1 = p.src1;
    q.dst2 = p.src2;
    q.dst3 = p.src3;
    this.quote(b, o, l4, end);
    if (tcp.srcPort(b, l4) === 0) return;
    const type = icmpv6.type(b, p.l4);
    const code = icmpv6.code(b, p.l4);
    if (type === icmpv6.TYPE_TOO_BIG) {
      engine.icmpError(q, 'too-big', Math.max(0, icmpv6.rest(b, p.l4) - ipv6.HEADER_LEN));
    } else if (type === icmpv6.TYPE_UNREACHABLE || type === icmpv6.TYPE_PARAMETER_PROBLEM) {
      const isSoft =
        type === icmpv6.TYPE_UNREACHABLE && (code === icmpv6.CODE_NO_ROUTE || code === icmpv6.CODE_ADDRESS);
      engine.icmpError(q, isSoft ? 'soft' : 'hard', 0);
    } else {
      engine.icmpError(q, 'soft', 0);
    }
  }

  private quote(b: Uint8Array, l3: number, l4: number, end: number): void {
    const q = this.quoted;
    q.b = b;
    q.l3 = l3;
    q.l4 = l4;
    q.end = end;
    q.protocol = ipv4.PROTO_TCP;
  }

  close(): void {
    this.flows.clear();
  }
}

/** Whether the IPv6 packet at `o` was sent to the sender of `p`. */
const isSentTo = (b: Uint8Array, o: number, p: Packet): boolean =>
  ipv6.dst(b, o, 0) === p.src0 &&
  ipv6.dst(b, o, 1) === p.src1 &&
  ipv6.dst(b, o, 2) === p.src2 &&
  ipv6.dst(b, o, 3) === p.src3;
