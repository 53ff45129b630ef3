// The DNS service at the router's address: port 53, UDP and TCP, handed to the forwarder.

import { Endpoint, MAPPED } from '../core/address.ts';
import type { Packet } from '../core/packet.ts';
import type { DnsForwarder, DnsSink, DnsTcpSession } from '../services/index.ts';
import type { TcpConnection, TcpEnd, TcpUser } from '../tcp/index.ts';
import * as udp from '../wire/udp.ts';
import type { RouterContext } from './context.ts';
import type { UdpNat } from './udp-nat.ts';

const DNS_PORT = 53;

export class DnsPort implements DnsSink {
  private readonly context: RouterContext;
  private readonly forwarder: DnsForwarder;
  private readonly udp: UdpNat;
  private readonly address3: number;
  private readonly client = new Endpoint();

  /** @param address  where guests ask, one of the router's own, unsigned */
  constructor(context: RouterContext, forwarder: DnsForwarder, udpNat: UdpNat, address: number) {
    this.context = context;
    this.forwarder = forwarder;
    this.udp = udpNat;
    this.address3 = address | 0;
  }

  /** A datagram to one of our addresses; false when it is not for this service. */
  datagram(p: Packet): boolean {
    if (!p.isIpv4 || p.dst3 !== this.address3 || p.l2Group || udp.dstPort(p.b, p.l4) !== DNS_PORT) return false;
    this.client.set(p.src0, p.src1, p.src2, p.src3, udp.srcPort(p.b, p.l4));
    this.forwarder.query(this.client, p.b, p.l4 + udp.HEADER_LEN, udp.length(p.b, p.l4) - udp.HEADER_LEN, this);
    return true;
  }

  answer(client: Endpoint, b: Uint8Array, off: number, len: number): void {
    const { ip } = this.context;
    const guest = ip.neighbors.find(client.w0, client.w1, client.w2, client.w3);
    if (guest !== null) this.udp.toGuest(guest, 0, 0, MAPPED, this.address3, DNS_PORT, client.port, b, off, len);
  }

  /** A connection to one of our addresses; false when it is not for this service. */
  connection(conn: TcpConnection): boolean {
    if (!conn.remote.isIpv4 || conn.local.w3 !== this.address3 || conn.local.port !== DNS_PORT) return false;
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
