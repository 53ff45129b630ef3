// The DNS service at addresses of the router: port 53, UDP and TCP of both families, handed to the forwarder. Answers come
// from the address that was asked.

import { Endpoint } from '../core/address.ts';
import type { AddressWords } from '../core/ipv6-network.ts';
import type { Packet } from '../core/packet.ts';
import type { DnsForwarder, DnsSink, DnsTcpSession } from '../services/index.ts';
import type { TcpConnection, TcpEnd, TcpUser } from '../tcp/index.ts';
import * as udp from '../wire/udp.ts';
import type { RouterContext } from './context.ts';
import type { UdpNat } from './udp-nat.ts';

const DNS_PORT = 53;

export class DnsPort {
  private readonly context: RouterContext;
  private readonly forwarder: DnsForwarder;
  /** Where guests ask, each with the sink that answers from there. */
  private readonly places: readonly DnsPlace[];
  private readonly client = new Endpoint();

  /** @param addresses  where guests ask, of the router's own */
  constructor(context: RouterContext, forwarder: DnsForwarder, udpNat: UdpNat, addresses: readonly AddressWords[]) {
    this.context = context;
    this.forwarder = forwarder;
    this.places = addresses.map((words) => new DnsPlace(context, udpNat, words));
  }

  /** A datagram to one of our addresses; false when it is not for this service. */
  datagram(p: Packet): boolean {
    if (p.l2Group || udp.dstPort(p.b, p.l4) !== DNS_PORT) return false;
    const place = this.placeOf(p.dst0, p.dst1, p.dst2, p.dst3);
    if (place === null) return false;
    this.client.set(p.src0, p.src1, p.src2, p.src3, udp.srcPort(p.b, p.l4));
    this.forwarder.query(this.client, p.b, p.l4 + udp.HEADER_LEN, udp.length(p.b, p.l4) - udp.HEADER_LEN, place);
    return true;
  }

  /** A connection to one of our addresses; false when it is not for this service. */
  connection(conn: TcpConnection): boolean {
    const { w0, w1, w2, w3, port } = conn.local;
    if (port !== DNS_PORT || this.placeOf(w0, w1, w2, w3) === null) return false;
    const user = new DnsConnection(this.context, conn);
    const session = this.forwarder.openTcp(conn.remote, user);
    if (session === null) {
      conn.refuse();
      return true;
    }
    user.session = session;
    conn.accept(user);
    return true;
  }

  private placeOf(w0: number, w1: number, w2: number, w3: number): DnsPlace | null {
    const { places } = this;
    for (let i = 0; i < places.length; i++) if (places[i]!.is(w0, w1, w2, w3)) return places[i]!;
    return null;
  }
}

/** One address at which names are answered. */
class DnsPlace implements DnsSink {
  private readonly context: RouterContext;
  private readonly udp: UdpNat;
  private readonly w0: number;
  private readonly w1: number;
  private readonly w2: number;
  private readonly w3: number;

  constructor(context: RouterContext, udpNat: UdpNat, [w0, w1, w2, w3]: AddressWords) {
    this.context = context;
    this.udp = udpNat;
    this.w0 = w0 | 0;
    this.w1 = w1 | 0;
    this.w2 = w2 | 0;
    this.w3 = w3 | 0;
  }

  is(w0: number, w1: number, w2: number, w3: number): boolean {
    return w3 === this.w3 && w2 === this.w2 && w1 === this.w1 && w0 === this.w0;
  }

  answer(client: Endpoint, b: Uint8Array, off: number, len: number): void {
    const guest = this.context.ip.neighbors.find(client.w0, client.w1, client.w2, client.w3);
    if (guest === null) return;
    this.udp.toGuest(guest, this.w0, this.w1, this.w2, this.w3, DNS_PORT, client.port, b, off, len);
  }
}

/** A guest's DNS connection: the engine's events to the session, the session's bytes to the engine. */
class DnsConnection implements TcpUser {
  session: DnsTcpSession | null = null;
  private readonly context: RouterContext;
  private readonly conn: TcpConnection;

  constructor(context: RouterContext, conn: TcpConnection) {
    this.context = context;
    this.conn = conn;
  }

  // ---- for the session

  write(b: Uint8Array, off: number, len: number): number {
    const taken = this.conn.write(b, off, len);
    this.context.ip.flushSoon();
    return taken;
  }

  end(): void {
    this.conn.end();
    this.context.ip.flushSoon();
  }

  reset(): void {
    this.conn.reset();
    this.context.ip.flushSoon();
  }

  // ---- for the engine

  established(): void {}

  data(b: Uint8Array, off: number, len: number): void {
    this.session?.data(b, off, len);
  }

  flush(): void {}

  peerClosed(): void {
    this.session?.end();
  }

  writable(): void {
    this.session?.writable();
  }

  ended(_why: TcpEnd): void {
    this.session?.closed();
    this.session = null;
  }
}
