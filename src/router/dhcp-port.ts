// The DHCP service at the router's address: UDP port 67, with the addresses and frames that DHCP needs and a socket
// would not give (RFC 2131 section 4.1: answers to hosts that have no address yet).

import { MAPPED } from '../core/address.ts';
import { Drop } from '../core/drop.ts';
import type { Packet } from '../core/packet.ts';
import { type DhcpReply, DhcpServer, type DhcpServerOptions } from '../services/index.ts';
import { i32, u16, u32 } from '../wire/bytes.ts';
import * as checksum from '../wire/checksum.ts';
import * as dhcpv4 from '../wire/dhcpv4.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as udp from '../wire/udp.ts';
import type { RouterContext } from './context.ts';

const SERVER_PORT = 67;
// Offsets of the fields that tell an ACK's address and client (RFC 2131 section 2).
const YIADDR = 16;
const CHADDR = 28;

/** What the DHCP server is told by the router itself is left out. */
export type DhcpOptions = Omit<DhcpServerOptions, 'clock' | 'drops' | 'reply' | 'probe' | 'heardSince' | 'router'>;

export class DhcpPort {
  readonly server: DhcpServer;
  private readonly context: RouterContext;
  /** Our address in the network that is served, signed. */
  private readonly address3: number;

  constructor(context: RouterContext, options: DhcpOptions) {
    this.context = context;
    this.address3 = options.network.address | 0;
    this.server = new DhcpServer({
      ...options,
      router: options.network.address,
      clock: context.wheel.clock,
      drops: context.drops,
      reply: (reply) => this.send(reply),
      probe: (address, waitMs, done) => context.ip.arp.probe(address, waitMs, done),
      heardSince: (address, since) => {
        const n = context.ip.neighbors.find(0, 0, MAPPED, address | 0);
        return n !== null && (n.claimed || (n.resolved && n.heardAt >= since));
      },
    });
  }

  /** A datagram to the router or broadcast; false when it is not for this service. */
  datagram(p: Packet): boolean {
    const { ip, drops } = this.context;
    if (udp.dstPort(p.b, p.l4) !== SERVER_PORT) return false;
    if (!p.isIpv4 || (!p.l2Group && p.dst3 !== this.address3)) return false;
    if (p.dst3 !== this.address3 && !ip.own.isBroadcast4(p.dst3)) {
      drops[Drop.DhcpIgnored]!++;
      return true;
    }
    const from = p.l4 + udp.HEADER_LEN;
    const end = p.l4 + udp.length(p.b, p.l4);
    this.server.handle(p.b, from, end, ethernet.srcHi(p.b, p.l2), ethernet.srcLo(p.b, p.l2) >>> 0);
    return true;
  }

  private send(reply: DhcpReply): void {
    const { ip } = this.context;
    const { payload } = reply;
    if (isAck(payload)) {
      ip.neighbors.assign(0, 0, MAPPED, i32(payload, YIADDR), u16(payload, CHADDR), i32(payload, CHADDR + 2));
    }
    const len = udp.HEADER_LEN + payload.length;
    const o = ip.reserve(len);
    ip.bytes.set(payload, o + udp.HEADER_LEN);
    udp.write(ip.bytes, o, SERVER_PORT, reply.destinationPort, len);
    const src = this.address3 >>> 0;
    udp.writeChecksum(ip.bytes, o, checksum.pseudoIpv4(src, reply.destination, ipv4.PROTO_UDP));
    ip.sendTo(reply.macHi, reply.macLo | 0, o, len, src, reply.destination, ipv4.PROTO_UDP);
  }
}

/** True for an ACK that gives an address: the client is known to have it from now on. */
function isAck(payload: Uint8Array): boolean {
  if (u32(payload, YIADDR) === 0) return false;
  const m = dhcpv4.parse(payload, 0, payload.length);
  return m !== null && dhcpv4.messageType(m) === dhcpv4.ACK;
}
