// Port forwards: host ports that lead to guests (slirpvde -L and -U, and the console while it runs).
//
// TCP  every accepted client becomes a flow of TcpNat.
// UDP  every client of a forward becomes a flow keyed by what the guest sees: its own address and port where the guest
//      can be shown them (an IPv4 client by an IPv6 guest: under the NAT64 prefix), else the gateway with a port of its
//      own. The families of both sides may differ. The guest's answers to that pair leave by the
//      listening socket. Clients are forgotten when idle, like mappings.
//
// A forward is one port or a range of them, opened together or not at all: a port that cannot be had is an error of the
// call that asked for it. What a guest does can neither add nor change a forward.
//
// The guest is an address, or a name (`resolve` knows which address has it now): names are looked up when a client comes,
// so a forward may be there before its guest. A client that comes too early is counted; a TCP one waits for the guest
// (held-clients.ts).
//
// Removal closes the listening sockets. TCP flows go on; clients of a UDP forward end with the socket they share.
// Bounds: MAX_FORWARDS, MAX_RANGE ports each, `maxListeners` sockets and MAX_CLIENTS UDP clients in all.

import { Endpoint } from '../core/address.ts';
import { Drop } from '../core/drop.ts';
import { VdeError } from '../core/errors.ts';
import type { Packet } from '../core/packet.ts';
import { TupleTable } from '../core/tuple-table.ts';
import type { ErrnoName, HostTcp, HostUdp, HostUdpUser, IcmpReport } from '../host/host-net.ts';
import type { Neighbor } from '../ip/index.ts';
import * as udp from '../wire/udp.ts';
import type { RouterContext } from './context.ts';
import { FlowTable, IdleFlow } from './flow-table.ts';
import { HeldClients } from './held-clients.ts';
import { tellGuest } from './icmp-relay.ts';
import { presentAs } from './presentable.ts';
import { Quote } from './quote.ts';
import type { TcpNat } from './tcp-nat.ts';
import type { UdpNat } from './udp-nat.ts';

export const MAX_CLIENTS = 4096;
/** Forwards at once. */
export const MAX_FORWARDS = 256;
/** Ports of one forward. */
export const MAX_RANGE = 1024;

export interface ForwardRule {
  readonly protocol: 'tcp' | 'udp';
  /** Where the host listens; the first port of a range, 0 for any free port (of a range of one). */
  readonly listen: Endpoint;
  /** The guest and its first port; the address does not count when the guest has a name here. */
  readonly guest: Endpoint;
  /** DHCP host name in lower case, or hardware address as `aa:bb:cc:dd:ee:ff`; null (default): `guest` has the address. */
  readonly guestName?: string | null;
  /** Ports in the range, default 1. */
  readonly count?: number;
}

/** A forward that is open, for management. */
export interface ForwardView {
  readonly id: number;
  /** The rule, with the real port where any was asked for. */
  readonly rule: ForwardRule;
  /** Clients that were let in, and those turned away. */
  readonly hits: number;
  readonly misses: number;
}

/** What forwards need to know of the guests' names: the address of a name now (the port does not count), or null. */
export type ResolveGuest = (name: string) => Endpoint | null;

class Forward {
  readonly id: number;
  /** As it was asked for, and with the real port where that was any. */
  readonly asked: ForwardRule;
  rule: ForwardRule;
  readonly sockets: { close(): void }[] = [];
  hits = 0;
  misses = 0;

  constructor(id: number, rule: ForwardRule) {
    this.id = id;
    this.asked = this.rule = rule;
  }

  close(): void {
    for (const socket of this.sockets) socket.close();
  }
}

/** A client of a UDP forward. Key: guest, what the guest sees, guest port and shown port. */
class ForwardClient extends IdleFlow {
  readonly port: UdpPort;
  readonly client = new Endpoint();
  readonly shown = new Endpoint();
  readonly guestPort: number;

  constructor(guest: Neighbor, key: Int32Array, port: UdpPort, guestPort: number, client: Endpoint, shown: Endpoint) {
    super(guest, key);
    this.port = port;
    this.guestPort = guestPort;
    this.client.copy(client);
    this.shown.copy(shown);
  }

  release(): void {
    this.port.forget(this);
  }

  describe(): { port: number; peer: string; state: string } {
    return { port: this.guestPort, peer: String(this.client), state: `forward-${this.port.forward.id}` };
  }
}

/** One listening port of a UDP forward. */
class UdpPort implements HostUdpUser {
  socket: HostUdp | null = null;
  readonly forward: Forward;
  /** Place of the port in the range. */
  readonly offset: number;
  /** Number of this object: it tells clients of different ports apart. */
  readonly serial: number;
  private readonly owner: Forwards;

  constructor(owner: Forwards, forward: Forward, offset: number, serial: number) {
    this.owner = owner;
    this.forward = forward;
    this.offset = offset;
    this.serial = serial;
  }

  datagram(from: Endpoint, b: Uint8Array, off: number, len: number): void {
    this.owner.fromClient(this, from, b, off, len);
  }

  failed(code: ErrnoName, to: Endpoint | null, report?: IcmpReport): void {
    if (to !== null) this.owner.failed(this, code, to, report);
  }

  forget(flow: ForwardClient): void {
    this.owner.forget(this, flow.client);
  }

  close(): void {
    this.owner.endClients(this);
    this.socket?.close();
    this.socket = null;
  }
}

export class Forwards {
  readonly clients: FlowTable<ForwardClient>;
  /** TCP clients whose guest is not known yet. */
  readonly held: HeldClients;
  private readonly context: RouterContext;
  private readonly tcp: TcpNat;
  private readonly udp: UdpNat;
  private readonly resolve: ResolveGuest;
  private readonly maxListeners: number;
  private readonly forwards = new Map<number, Forward>();
  /** Slots of clients, by their own address and the port they came to. */
  private readonly byClient: TupleTable;
  private nextId = 1;
  private nextSerial = 1;
  private listeners = 0;

  /** @param maxListeners  listening sockets at once, each of which holds one host descriptor */
  constructor(context: RouterContext, tcp: TcpNat, udpNat: UdpNat, resolve: ResolveGuest, maxListeners: number) {
    this.context = context;
    this.tcp = tcp;
    this.udp = udpNat;
    this.resolve = resolve;
    this.maxListeners = maxListeners;
    this.held = new HeldClients(context.wheel);
    this.clients = new FlowTable<ForwardClient>({
      kind: 'client',
      wheel: context.wheel,
      capacity: MAX_CLIENTS,
      budget: null,
      k0: context.random() | 0,
      k1: context.random() | 0,
    });
    this.byClient = new TupleTable(context.random() | 0, context.random() | 0);
  }

  /** Listening sockets in use, and how many there may be. */
  get listening(): { used: number; limit: number } {
    return { used: this.listeners, limit: this.maxListeners };
  }

  /**
   * Opens a forward, all its ports or none.
   *
   * Rejects with ERR_VDE_LISTEN when a host port cannot be had, with ERR_VDE_BAD_FORWARD when the guest cannot be one of
   * this network or there are too many forwards.
   */
  async add(rule: ForwardRule): Promise<ForwardView> {
    const why = this.refusal(rule);
    if (why !== '') throw new VdeError('ERR_VDE_BAD_FORWARD', why);
    const forward = new Forward(this.nextId++, rule);
    this.forwards.set(forward.id, forward);
    this.listeners += portsOf(rule);
    try {
      const first = await this.open(forward, 0);
      for (let offset = 1; offset < portsOf(rule); offset++) await this.open(forward, offset);
      forward.rule = { ...rule, listen: first };
    } catch (error) {
      this.remove(forward.id);
      throw error;
    }
    if (!this.forwards.has(forward.id)) {
      forward.close(); // removed, or all closed, while its ports were being opened
      throw new VdeError('ERR_VDE_LISTEN', 'the forward was removed before it was open');
    }
    return view(forward);
  }

  /** Closes a forward; false when there is none of that number. */
  remove(id: number): boolean {
    const forward = this.forwards.get(id);
    if (forward === undefined) return false;
    this.forwards.delete(id);
    this.held.drop(id);
    this.listeners -= portsOf(forward.rule);
    forward.close();
    return true;
  }

  /** Closes the forward that `add` was asked for by these words; false when there is none. */
  removeRule(rule: ForwardRule): boolean {
    for (const { id, asked } of this.forwards.values()) if (isSame(asked, rule)) return this.remove(id);
    return false;
  }

  /** All forwards, in the order in which they were added. */
  list(): ForwardView[] {
    return [...this.forwards.values()].map(view);
  }

  close(): void {
    for (const id of [...this.forwards.keys()]) this.remove(id);
    this.held.close();
    this.clients.clear();
  }

  /** Why a rule cannot be added, or an empty text. */
  private refusal(rule: ForwardRule): string {
    const { own } = this.context.ip;
    const { w0, w1, w2, w3, host } = rule.guest;
    if (isAddressed(rule) && !own.isGuest(w0, w1, w2, w3)) {
      return own.isLocal(w0, w1, w2, w3)
        ? `${host} is an address of the router, not of a guest`
        : `${host} is not the address of a host in the guest network`;
    }
    const count = portsOf(rule);
    if (count < 1 || count > MAX_RANGE) return `a range has 1 to ${MAX_RANGE} ports`;
    if (this.forwards.size >= MAX_FORWARDS) return `no more than ${MAX_FORWARDS} forwards`;
    if (this.listeners + count > this.maxListeners) return `no more than ${this.maxListeners} listening ports`;
    return '';
  }

  /** Opens one port of a range; where it listens. */
  private async open(forward: Forward, offset: number): Promise<Endpoint> {
    const { host } = this.context;
    const { protocol, listen } = forward.rule;
    const at = new Endpoint().copy(listen);
    at.port = listen.port === 0 ? 0 : listen.port + offset;
    if (protocol === 'tcp') {
      const listener = await host.listenTcp(at, (client) => this.accepted(client, forward, offset));
      forward.sockets.push(listener);
      at.port = listener.local.port;
    } else {
      const port = new UdpPort(this, forward, offset, this.nextSerial++);
      forward.sockets.push(port);
      port.socket = await host.listenUdp(at, port);
      at.port = port.socket.localPort;
    }
    return at;
  }

  /** A TCP client was accepted; when its guest is not known yet it waits for that. */
  private accepted(client: HostTcp, forward: Forward, offset: number): void {
    const passOn = (): boolean => {
      const guest = this.guestOf(forward, offset);
      if (guest === null) return false;
      forward.hits++;
      this.tcp.openInward(client, guest);
      return true;
    };
    if (passOn()) return;
    this.missed(forward);
    if (!this.held.hold(client, forward.id, passOn)) client.reset();
  }

  /** The guest's address now, with its port for a place in the range; null when it is not known. */
  private guestOf(forward: Forward, offset: number): Endpoint | null {
    const { guest, guestName = null } = forward.rule;
    const found = guestName === null ? guest : this.resolve(guestName);
    if (found === null) return null;
    const at = new Endpoint().copy(found);
    at.port = guest.port + offset;
    return at;
  }

  /** A client came before its guest. */
  private missed(forward: Forward): void {
    forward.misses++;
    this.context.drops[Drop.ForwardUnresolved]!++;
    this.context.log('forward-unresolved', `forward ${forward.id}: no guest is known as ${forward.rule.guestName}`);
  }

  // ---- UDP

  /** A client's datagram on the way to the guest. */
  fromClient(port: UdpPort, from: Endpoint, b: Uint8Array, off: number, len: number): void {
    const { ip, drops } = this.context;
    const flow = this.clients.at(this.findClient(port, from)) ?? this.admit(port, from);
    if (flow === null) {
      drops[Drop.FlowTableFull]!++;
      return;
    }
    this.clients.touch(flow, ip.now, this.udp.timeouts.clientMs);
    flow.bytesIn += len;
    const { shown } = flow;
    if (
      !this.udp.toGuest(flow.guest, shown.w0, shown.w1, shown.w2, shown.w3, shown.port, flow.guestPort, b, off, len)
    ) {
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
    flow.bytesOut += len;
    flow.port.socket?.send(flow.client, p.b, p.l4 + udp.HEADER_LEN, len, p.ttl - 1);
    return true;
  }

  /** A guest's answer did not reach the client: the guest hears of it like any sender. */
  failed(port: UdpPort, code: ErrnoName, to: Endpoint, report: IcmpReport | undefined): void {
    this.context.drops[Drop.HostUnreachable]!++;
    const flow = this.clients.at(this.findClient(port, to));
    if (flow === null) return;
    const { guest, guestPort, shown } = flow;
    const quote = new Quote();
    quote.makeUdp(guest, guestPort, shown);
    tellGuest(this.context, quote, to.isIpv4, this.context.translation.preferred, code, report);
  }

  private findClient(port: UdpPort, c: Endpoint): number {
    return this.byClient.find(c.w0, c.w1, c.w2, c.w3, 0, 0, 0, port.serial, c.port);
  }

  forget(port: UdpPort, c: Endpoint): void {
    this.byClient.delete(c.w0, c.w1, c.w2, c.w3, 0, 0, 0, port.serial, c.port);
  }

  /** Forgets all clients of a port. */
  endClients(port: UdpPort): void {
    for (const flow of [...this.clients]) if (flow.port === port) this.clients.remove(flow);
  }

  private admit(port: UdpPort, client: Endpoint): ForwardClient | null {
    const { ip } = this.context;
    const { forward, offset } = port;
    const guest = this.guestOf(forward, offset);
    if (guest === null) {
      this.missed(forward);
      return null;
    }
    forward.hits++;
    const neighbor = ip.neighbors.resolve(guest.w0, guest.w1, guest.w2, guest.w3);
    const shown = neighbor === null ? null : this.shownAs(guest, client);
    if (neighbor === null || shown === null || !this.clients.makeRoom(neighbor)) return null;
    const ports = portWord(guest.port, shown.port);
    const key = Int32Array.of(guest.w0, guest.w1, guest.w2, guest.w3, shown.w0, shown.w1, shown.w2, shown.w3, ports);
    const flow = new ForwardClient(neighbor, key, port, guest.port, client, shown);
    this.clients.add(flow, this.udp.timeouts.clientMs);
    this.byClient.set(client.w0, client.w1, client.w2, client.w3, 0, 0, 0, port.serial, client.port, flow.slot);
    return flow;
  }

  private shownAs(guest: Endpoint, client: Endpoint): Endpoint | null {
    const { ip, random, translation } = this.context;
    const own = presentAs(ip, translation, guest.isIpv4, translation.preferred, client);
    if (own !== null && this.isFree(guest, own)) return own;
    const gateway = ip.own.sourceFor(guest.w0, guest.w1, guest.w2, guest.w3);
    if (gateway === null) return null;
    const shown = new Endpoint().copy(gateway);
    for (let tries = 0; tries < 64; tries++) {
      shown.port = tries === 0 && client.port >= 1024 ? client.port : 49152 + (random() & 16383);
      if (this.isFree(guest, shown)) return shown;
    }
    return null;
  }

  private isFree(guest: Endpoint, shown: Endpoint): boolean {
    const ports = portWord(guest.port, shown.port);
    const { w0, w1, w2, w3 } = guest;
    return this.clients.find(w0, w1, w2, w3, shown.w0, shown.w1, shown.w2, shown.w3, ports) === null;
  }
}

const portsOf = (rule: ForwardRule): number => rule.count ?? 1;

/** True when the rule has the guest's address, not its name. */
const isAddressed = (rule: ForwardRule): boolean => (rule.guestName ?? null) === null;

const isSame = (a: ForwardRule, b: ForwardRule): boolean =>
  a.protocol === b.protocol &&
  a.listen.same(b.listen) &&
  a.guest.same(b.guest) &&
  (a.guestName ?? null) === (b.guestName ?? null) &&
  portsOf(a) === portsOf(b);

const view = ({ id, rule, hits, misses }: Forward): ForwardView => ({ id, rule, hits, misses });

const portWord = (guestPort: number, otherPort: number): number => (guestPort << 16) | otherPort;
