// ICMP between guests and the world: echo through ping sockets, and errors that guests send about our segments.
//
// An echo flow is (guest address, identifier, destination). Each has a ping socket of its own, whose identifier the
// kernel chooses; replies are given back with the guest's. Idle flows end after 60 s (RFC 5508 REQ-2). Replies carry the
// data that the destination sent: nothing is made up here. Where the host allows no ping sockets, requests are answered
// "administratively prohibited" (and the start-up line said so).

import { Endpoint, formatIpv4, MAPPED } from '../core/address.ts';
import { Drop } from '../core/drop.ts';
import { Packet, type PacketHandler } from '../core/packet.ts';
import type { ErrnoName, HostPing, HostPingUser, IcmpReport } from '../host/host-net.ts';
import { DEFAULT_TTL, type Neighbor } from '../ip/index.ts';
import { putU16 } from '../wire/bytes.ts';
import * as checksum from '../wire/checksum.ts';
import * as icmp from '../wire/icmpv4.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as tcp from '../wire/tcp.ts';
import type { RouterContext } from './context.ts';
import { FlowTable, IdleFlow } from './flow-table.ts';
import { tellGuest } from './icmp-relay.ts';
import { PolicyProtocol } from './policy-rules.ts';

const IDLE_MS = 60_000; // RFC 5508 REQ-2
const MAX_FLOWS = 1024;
/** Share of the descriptors of all flows. */
const SHARE = 1 / 8;

class EchoFlow extends IdleFlow implements HostPingUser {
  private readonly nat: IcmpNat;
  /** Destination as the guest wrote it. */
  readonly dst3: number;
  readonly id: number;
  socket: HostPing | null = null;
  /** IP header and ICMP header of the latest request: errors quote it. */
  readonly request = new Uint8Array(ipv4.HEADER_LEN + icmp.HEADER_LEN);

  constructor(nat: IcmpNat, guest: Neighbor, key: Int32Array, dst3: number, id: number) {
    super(guest, key);
    this.nat = nat;
    this.dst3 = dst3;
    this.id = id;
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
    return { port: this.id, peer: formatIpv4(this.dst3 >>> 0), state: this.bytesIn > 0 ? 'answered' : 'asked' };
  }
}

export class IcmpNat implements PacketHandler {
  private readonly context: RouterContext;
  readonly flows: FlowTable<EchoFlow>;
  private readonly to = new Endpoint();
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
    const why = icmp.check(p.b, p.l4, p.end);
    if (why !== Drop.None) {
      drops[why]!++;
      return;
    }
    const type = icmp.type(p.b, p.l4);
    if (type === icmp.TYPE_ECHO && !ip.isLocal(p.dst3 >>> 0)) this.echo(p);
    else if (icmp.isError(type)) this.error(p);
    else drops[Drop.IcmpIgnored]!++;
  }

  private echo(p: Packet): void {
    const { drops, host, policy, ip } = this.context;
    const id = icmp.echoId(p.b, p.l4);
    let flow = this.flows.find(p.src0, p.src1, p.src2, p.src3, p.dst0, p.dst1, p.dst2, p.dst3, id);
    if (flow === null) {
      const why = policy.resolve(PolicyProtocol.Icmp, p.dst0, p.dst1, p.dst2, p.dst3, 0, this.to);
      if (why !== Drop.None) {
        drops[why]!++;
        if (why === Drop.PolicyDenied) ip.errors.send(p, icmp.TYPE_UNREACHABLE, icmp.CODE_ADMIN_PROHIBITED, 0);
        return;
      }
      flow = this.open(p, id);
      if (flow === null) return;
    }
    this.flows.touch(flow, ip.now, IDLE_MS);
    flow.request.set(p.b.subarray(p.l3, p.l3 + ipv4.HEADER_LEN));
    flow.request[0] = 0x45; // options, if there were any, are not kept
    flow.request.set(p.b.subarray(p.l4, p.l4 + icmp.HEADER_LEN), ipv4.HEADER_LEN);
    const data = p.l4 + icmp.HEADER_LEN;
    flow.bytesOut += p.end - data;
    if (flow.socket !== null)
      flow.socket.send(icmp.echoSeq(p.b, p.l4), p.b, data, p.end - data, Math.max(0, p.ttl - 1));
    else if (host.pingProblem !== null) drops[Drop.IcmpNoPingSocket]!++;
  }

  private open(p: Packet, id: number): EchoFlow | null {
    const { drops, host, ip } = this.context;
    const guest = ip.neighbors.find(p.src0, p.src1, p.src2, p.src3);
    if (guest === null) return null;
    if (host.pingProblem !== null) {
      drops[Drop.IcmpNoPingSocket]!++;
      ip.errors.send(p, icmp.TYPE_UNREACHABLE, icmp.CODE_ADMIN_PROHIBITED, 0);
      return null;
    }
    if (!this.flows.makeRoom(guest)) {
      drops[Drop.FlowTableFull]!++;
      return null;
    }
    const key = Int32Array.of(p.src0, p.src1, p.src2, p.src3, p.dst0, p.dst1, p.dst2, p.dst3, id);
    const flow = new EchoFlow(this, guest, key, p.dst3, id);
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
    const size = icmp.HEADER_LEN + len;
    if (size > ipv4.MAX_LEN - ipv4.HEADER_LEN) {
      this.context.drops[Drop.FrameTooLong]!++;
      return;
    }
    this.flows.touch(flow, ip.now, IDLE_MS);
    flow.bytesIn += len;
    const o = ip.stage(size);
    ip.staged.set(b.subarray(off, off + len), o + icmp.HEADER_LEN);
    icmp.writeEcho(ip.staged, o, icmp.TYPE_ECHO_REPLY, flow.id, seq, size);
    const hops = ttl > 1 ? ttl - 1 : DEFAULT_TTL;
    ip.sendStaged(flow.guest, o, size, flow.dst3, flow.guest.w3, ipv4.PROTO_ICMP, hops);
  }

  failed(flow: EchoFlow, code: ErrnoName, report: IcmpReport | undefined, seq: number): void {
    const { ip, drops } = this.context;
    drops[Drop.HostUnreachable]!++;
    const { request } = flow;
    const o = ipv4.HEADER_LEN;
    if (seq >= 0) {
      // The kernel's identifier is not the guest's, but the sequence number is: traceroute tells its probes by it.
      const check = checksum.updateU16(icmp.checksum(request, o), icmp.echoSeq(request, o), seq);
      putU16(request, o + 2, check);
      putU16(request, o + 6, seq);
    }
    tellGuest(ip, request, code, report);
  }

  /** An ICMP error of a guest: about a TCP segment of ours it is the engine's business, else nobody's. */
  private error(p: Packet): void {
    const o = p.l4 + icmp.HEADER_LEN;
    const { drops, tcp: engine } = this.context;
    // The quote is often cut short, so ipv4.check would refuse it: only what is read here must be there.
    if (p.end - o < ipv4.HEADER_LEN || p.b[o]! >>> 4 !== 4 || ipv4.protocol(p.b, o) !== ipv4.PROTO_TCP) {
      drops[Drop.IcmpIgnored]!++;
      return;
    }
    const l4 = o + ipv4.headerLen(p.b, o);
    if (ipv4.headerLen(p.b, o) < ipv4.HEADER_LEN || l4 + 8 > p.end || ipv4.dst(p.b, o) !== p.src3 >>> 0) {
      drops[Drop.IcmpIgnored]!++;
      return;
    }
    const q = this.quoted;
    q.b = p.b;
    q.l3 = o;
    q.l4 = l4;
    q.end = p.end;
    q.protocol = ipv4.PROTO_TCP;
    q.src2 = q.dst2 = MAPPED;
    q.src3 = ipv4.src(p.b, o) | 0;
    q.dst3 = ipv4.dst(p.b, o) | 0;
    if (tcp.srcPort(p.b, l4) === 0) return;
    const type = icmp.type(p.b, p.l4);
    const code = icmp.code(p.b, p.l4);
    if (type === icmp.TYPE_UNREACHABLE && code === icmp.CODE_FRAGMENTATION_NEEDED) {
      engine.icmpError(q, 'too-big', Math.max(0, icmp.nextHopMtu(p.b, p.l4) - ipv4.HEADER_LEN));
    } else if (type === icmp.TYPE_UNREACHABLE) {
      engine.icmpError(q, code === icmp.CODE_NET || code === icmp.CODE_HOST ? 'soft' : 'hard', 0);
    } else {
      engine.icmpError(q, 'soft', 0);
    }
  }

  close(): void {
    this.flows.clear();
  }
}
