// TCP through the router: every SYN of a guest becomes a host connect, every accepted forward a SYN to a guest.
//
// The engine holds a guest's SYN without an answer (deferred) until the host has decided; SYN floods are bounded by the
// engine's half-open limits, flows in all by the router's budget of host sockets (flow-budget.ts).

import { Endpoint } from '../core/address.ts';
import { Drop } from '../core/drop.ts';
import { copyBytes } from '../core/frame.ts';
import type { Packet, PacketHandler } from '../core/packet.ts';
import type { HostTcp } from '../host/host-net.ts';
import type { Neighbor, Station } from '../ip/index.ts';
import type { TcpConnection } from '../tcp/index.ts';
import * as ipv4 from '../wire/ipv4.ts';
import { ClosingFlows } from './closing-flows.ts';
import type { RouterContext } from './context.ts';
import type { FlowDonor } from './flow-budget.ts';
import { admitsGuest, type FlowFilter, type FlowPage, type FlowView } from './flow-view.ts';
import { Destination } from './policy.ts';
import { PolicyProtocol } from './policy-rules.ts';
import { presentAs } from './presentable.ts';
import { Shortage } from './shortage.ts';
import { TcpFlow, type TcpFlowOwner } from './tcp-flow.ts';

/** A TCP service of the router itself at one of its addresses: takes the deferred connection, or gives false. */
export type LocalTcpService = (conn: TcpConnection, p: Packet) => boolean;

export class TcpNat implements PacketHandler, FlowDonor, TcpFlowOwner {
  /** Tried first for connections to own addresses. */
  localService: LocalTcpService | null = null;
  private readonly context: RouterContext;
  private readonly flows = new Set<TcpFlow>();
  private readonly to = new Destination();
  private nextSerial = 1;
  private readonly closingFlows = new ClosingFlows();
  private readonly shortage = new Shortage();

  constructor(context: RouterContext) {
    this.context = context;
    context.tcp.onIncoming = (conn, p) => this.incoming(conn, p);
  }

  get size(): number {
    return this.flows.size;
  }

  /** Flows as management sees them, oldest first, and how many there are in all. */
  page(filter: FlowFilter): FlowPage {
    const now = this.context.wheel.clock.now();
    const flows: FlowView[] = [];
    let total = 0;
    for (const flow of this.flows) {
      if (!admitsGuest(filter, flow.guest)) continue;
      if (total++ < filter.limit) flows.push(flow.view(now));
    }
    return { flows, total };
  }

  /** Ends a flow by RST on both sides; false when there is none of that number. */
  end(serial: number): boolean {
    for (const flow of this.flows) {
      if (flow.serial !== serial) continue;
      flow.abort();
      return true;
    }
    return false;
  }

  give(guest: Station | null): boolean {
    const flow = this.closingFlows.idle(guest, this.context.wheel.clock.now());
    if (flow === null) return false;
    this.context.drops[Drop.TcpClosingEvicted]!++;
    flow.abort();
    return true;
  }

  closing(flow: TcpFlow): void {
    if (this.flows.has(flow)) this.closingFlows.add(flow);
  }

  gone(flow: TcpFlow): void {
    this.flows.delete(flow);
    this.closingFlows.delete(flow);
  }

  packet(p: Packet): void {
    this.context.tcp.input(p);
  }

  private incoming(conn: TcpConnection, p: Packet): void {
    const { ip, policy, drops } = this.context;
    const path = ip.pathBack(p);
    if (path === null || p.l2Group) {
      conn.discard();
      return;
    }
    conn.path = path;
    if (this.localService !== null && ip.isToUs(p) && this.localService(conn, p)) return;
    const { port } = conn.local;
    const why = policy.resolve(PolicyProtocol.Tcp, p.isIpv4, p.dst0, p.dst1, p.dst2, p.dst3, port, this.to);
    if (why !== Drop.None) {
      drops[why]!++;
      if (why === Drop.PolicyDenied) conn.refuse();
      else conn.discard();
      return;
    }
    const flow = this.admit(conn, path.neighbor);
    if (flow !== null) flow.connectOut(conn, quoted(p), this.to);
  }

  /** A guest's connection to the gateway that leads to a Unix socket of the host; the policy is not asked. */
  openUnix(conn: TcpConnection, p: Packet, socketPath: string): void {
    const path = this.context.ip.pathBack(p);
    const flow = path === null ? null : this.admit(conn, path.neighbor);
    if (flow !== null) flow.connectUnix(conn, quoted(p), socketPath);
  }

  /** A flow for a deferred connection; null, and the guest will try again, when there are too many. */
  private admit(conn: TcpConnection, guest: Neighbor): TcpFlow | null {
    const { budget, drops, log } = this.context;
    if (!budget.makeRoom(guest)) {
      drops[Drop.TcpTableFull]!++;
      conn.discard();
      const who = budget.used >= budget.total ? 'flows' : 'flows of one guest';
      log('tcp-full', `${who} at their limit; new TCP connections wait until others end`);
      return null;
    }
    const flow = this.newFlow(guest);
    this.flows.add(flow);
    return flow;
  }

  /**
   * A forward accepted a client: opens the guest's side. The client keeps its own address where the guest can answer
   * to it through us, else it appears as the gateway.
   */
  openInward(client: HostTcp, guest: Endpoint): void {
    const { ip, tcp, budget } = this.context;
    const remote = new Endpoint().copy(guest);
    const local = this.presentedAddress(client.remote, remote);
    const path = local === null ? null : ip.pathTo(remote, local, ipv4.PROTO_TCP);
    if (path === null || local === null || !budget.makeRoom(path.neighbor)) {
      this.context.drops[Drop.TcpTableFull]!++;
      client.reset();
      return;
    }
    const flow = this.newFlow(path.neighbor);
    const conn = tcp.connect(local, remote, path, flow);
    if (conn === null) {
      flow.abort();
      client.reset();
      return;
    }
    this.flows.add(flow);
    flow.joinIn(conn, client);
    ip.flushSoon();
  }

  private newFlow(guest: Neighbor): TcpFlow {
    return new TcpFlow(this.context, guest, this.nextSerial++, this.shortage, this);
  }

  /** The source that the guest sees for a client: its own, or the gateway with a port that is free. */
  private presentedAddress(client: Endpoint, guest: Endpoint): Endpoint | null {
    const { ip, tcp, random, translation } = this.context;
    const own = presentAs(ip, translation, guest.isIpv4, translation.preferred, client);
    if (own !== null && tcp.isFree(own, guest)) return own;
    const gateway = ip.own.sourceFor(guest.w0, guest.w1, guest.w2, guest.w3);
    for (let tries = 0; tries < 64 && gateway !== null; tries++) {
      const local = new Endpoint().copy(gateway);
      local.port = tries === 0 && client.port >= 1024 ? client.port : 49152 + (random() & 16383);
      if (tcp.isFree(local, guest)) return local;
    }
    return null;
  }

  /** Ends all flows, by RST on both sides. */
  close(): void {
    this.context.tcp.closeAll();
  }
}

/** A copy of what an ICMP error quotes of a SYN: IP header and eight bytes. */
const quoted = (p: Packet): Uint8Array => copyBytes(p.b, p.l3, Math.min(p.end, p.l4 + 8));
