// Port forwards: host ports that lead to guests (slirpvde -L and -U).
//
// TCP  every accepted client becomes a flow of TcpNat.
// UDP  every client of a forward becomes a flow keyed by what the guest sees: its own address and port where the guest
//      can be shown them, else the gateway with a port of its own. The guest's answers to that pair leave by the
//      listening socket. Clients are forgotten when idle, like mappings.
//
// A port that cannot be opened is an error at start; what a guest does can neither add nor change a forward.

import { Endpoint } from '../core/address.ts';
import { Drop } from '../core/drop.ts';
import type { Packet } from '../core/packet.ts';
import { TupleTable } from '../core/tuple-table.ts';
import type { ErrnoName, HostListener, HostUdp, HostUdpUser, IcmpReport } from '../host/host-net.ts';
import { DEFAULT_TTL, type Neighbor } from '../ip/index.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as udp from '../wire/udp.ts';
import type { RouterContext } from './context.ts';
import { FlowTable, IdleFlow } from './flow-table.ts';
import { tellGuest, UDP_QUOTE_LEN } from './icmp-relay.ts';
import { isPresentable } from './presentable.ts';
import type { TcpNat } from './tcp-nat.ts';
import type { UdpNat } from './udp-nat.ts';

const MAX_CLIENTS = 4096;

export interface ForwardRule {
  readonly protocol: 'tcp' | 'udp';
  /** Where the host listens. */
  readonly listen: Endpoint;
  readonly guest: Endpoint;
}

/** A client of a UDP forward. Key: guest, what the guest sees, guest port and shown port. */
class ForwardClient extends IdleFlow {
  readonly forward: UdpForward;
  readonly client = new Endpoint();
  readonly shown = new Endpoint();

  constructor(guest: Neighbor, key: Int32Array, forward: UdpForward, client: Endpoint, shown: Endpoint) {
    super(guest, key);
    this.forward = forward;
    this.client.copy(client);
    this.shown.copy(shown);
  }

  release(): void {
    this.forward.forget(this);
  }
}

/** One UDP forward: the listening socket, and the clients by their own address. */
class UdpForward implements HostUdpUser {
  socket: HostUdp | null = null;
  readonly rule: ForwardRule;
  private readonly owner: Forwards;
  private readonly clients: TupleTable;

  constructor(owner: Forwards, rule: ForwardRule, k0: number, k1: number) {
    this.owner = owner;
    this.rule = rule;
    this.clients = new TupleTable(k0, k1);
  }

  datagram(from: Endpoint, b: Uint8Array, off: number, len: number): void {
    this.owner.fromClient(this, from, b, off, len);
  }

  failed(code: ErrnoName, to: Endpoint | null, report?: IcmpReport): void {
    if (to !== null) this.owner.failed(this, code, to, report);
  }

  /** Slot of the client's flow, or -1. */
  find(c: Endpoint): number {
    return this.clients.find(c.w0, c.w1, c.w2, c.w3, 0, 0, 0, 0, c.port);
  }

  remember(c: Endpoint, slot: number): void {
    this.clients.set(c.w0, c.w1, c.w2, c.w3, 0, 0, 0, 0, c.port, slot);
  }

  forget(flow: ForwardClient): void {
    const c = flow.client;
    this.clients.delete(c.w0, c.w1, c.w2, c.w3, 0, 0, 0, 0, c.port);
  }
}

export class Forwards {
  private readonly context: RouterContext;
  private readonly tcp: TcpNat;
  private readonly udp: UdpNat;
  private readonly listeners = new Map<string, HostListener>();
  private readonly udpForwards = new Map<string, UdpForward>();
  private readonly clients: FlowTable<ForwardClient>;

  constructor(context: RouterContext, tcp: TcpNat, udpNat: UdpNat) {
    this.context = context;
    this.tcp = tcp;
    this.udp = udpNat;
    this.clients = new FlowTable<ForwardClient>({
      wheel: context.wheel,
      capacity: MAX_CLIENTS,
      perGuest: MAX_CLIENTS,
      k0: context.random() | 0,
      k1: context.random() | 0,
    });
  }

  /** Opens a forward. Rejects with ERR_VDE_LISTEN when the host port cannot be had. */
  async add(rule: ForwardRule): Promise<void> {
    const { host, random } = this.context;
    if (rule.protocol === 'tcp') {
      const { w3, port } = rule.guest;
      const listener = await host.listenTcp(rule.listen, (socket) => this.tcp.openInward(socket, w3, port));
      this.listeners.set(String(rule.listen), listener);
      return;
    }
    const forward = new UdpForward(this, rule, random() | 0, random() | 0);
    forward.socket = await host.listenUdp(rule.listen, forward);
    this.udpForwards.set(String(rule.listen), forward);
  }

  /** Closes the host port of a rule. Connections that are open go on; clients of a UDP forward are forgotten. */
  remove(rule: ForwardRule): void {
    const key = String(rule.listen);
    if (rule.protocol === 'tcp') {
      this.listeners.get(key)?.close();
      this.listeners.delete(key);
      return;
    }
    const forward = this.udpForwards.get(key);
    if (forward === undefined) return;
    this.udpForwards.delete(key);
    for (const flow of [...this.clients]) if (flow.forward === forward) this.clients.remove(flow);
    forward.socket?.close();
  }

  /** A client's datagram on the way to the guest. */
  fromClient(forward: UdpForward, from: Endpoint, b: Uint8Array, off: number, len: number): void {
    const { ip, drops } = this.context;
    const flow = this.clients.at(forward.find(from)) ?? this.admit(forward, from);
    if (flow === null) {
      drops[Drop.FlowTableFull]!++;
      return;
    }
    this.clients.touch(flow, ip.now, this.udp.timeouts.clientMs);
    const { shown } = flow;
    if (!this.udp.toGuest(flow.guest, shown.w3, shown.port, forward.rule.guest.port, b, off, len)) {
      drops[Drop.FrameTooLong]!++;
    }
  }

  /** A guest's datagram, when it is the answer to a client of a forward; false when it is not. */
  fromGuest(p: Packet): boolean {
    if (this.clients.size === 0) return false;
    const ports = portWord(udp.srcPort(p.b, p.l4), udp.dstPort(p.b, p.l4));
    const flow = this.clients.find(p.src0, p.src1, p.src2, p.src3, p.dst0, p.dst1, p.dst2, p.dst3, ports);
    if (flow === null) return false;
    this.clients.touch(flow, this.context.ip.now, this.udp.timeouts.clientMs);
    const len = udp.length(p.b, p.l4) - udp.HEADER_LEN;
    flow.forward.socket?.send(flow.client, p.b, p.l4 + udp.HEADER_LEN, len, p.ttl - 1);
    return true;
  }

  /** A guest's answer did not reach the client: the guest hears of it like any sender. */
  failed(forward: UdpForward, code: ErrnoName, to: Endpoint, report: IcmpReport | undefined): void {
    const { ip, drops } = this.context;
    drops[Drop.HostUnreachable]!++;
    const flow = this.clients.at(forward.find(to));
    if (flow === null) return;
    const { guest } = forward.rule;
    const quote = new Uint8Array(UDP_QUOTE_LEN);
    ipv4.writeHeader(quote, 0, quote.length, 0, DEFAULT_TTL, ipv4.PROTO_UDP, guest.w3, flow.shown.w3, 0, true);
    udp.write(quote, ipv4.HEADER_LEN, guest.port, flow.shown.port, udp.HEADER_LEN);
    tellGuest(ip, quote, code, report);
  }

  private admit(forward: UdpForward, client: Endpoint): ForwardClient | null {
    const { ip } = this.context;
    const { guest } = forward.rule;
    const neighbor = ip.neighbors.resolve(guest.w0, guest.w1, guest.w2, guest.w3);
    const shown = neighbor === null ? null : this.shownAs(guest, client);
    if (neighbor === null || shown === null) return null;
    this.clients.makeRoom(neighbor);
    const ports = portWord(guest.port, shown.port);
    const key = Int32Array.of(guest.w0, guest.w1, guest.w2, guest.w3, shown.w0, shown.w1, shown.w2, shown.w3, ports);
    const flow = new ForwardClient(neighbor, key, forward, client, shown);
    this.clients.add(flow, this.udp.timeouts.clientMs);
    forward.remember(client, flow.slot);
    return flow;
  }

  private shownAs(guest: Endpoint, client: Endpoint): Endpoint | null {
    const { ip, random } = this.context;
    const shown = new Endpoint().copy(client);
    if (isPresentable(client, ip) && this.isFree(guest, shown)) return shown;
    for (let tries = 0; tries < 64; tries++) {
      const port = tries === 0 && client.port >= 1024 ? client.port : 49152 + (random() & 16383);
      if (this.isFree(guest, shown.setIpv4(ip.addresses[0]!, port))) return shown;
    }
    return null;
  }

  private isFree(guest: Endpoint, shown: Endpoint): boolean {
    const ports = portWord(guest.port, shown.port);
    const { w0, w1, w2, w3 } = guest;
    return this.clients.find(w0, w1, w2, w3, shown.w0, shown.w1, shown.w2, shown.w3, ports) === null;
  }

  close(): void {
    for (const listener of this.listeners.values()) listener.close();
    for (const forward of this.udpForwards.values()) forward.socket?.close();
    this.clients.clear();
  }
}

const portWord = (guestPort: number, otherPort: number): number => (guestPort << 16) | otherPort;
