// The DHCPv6 service of the router: UDP port 547, at ff02::1:2 and at the router's own addresses. Answers go from the
// link-local address to that of the client (RFC 8415 section 7.1).

import type { Packet } from '../core/packet.ts';
import { isLinkLocal } from '../ip/index.ts';
import { Dhcpv6Server, type Dhcpv6ServerOptions } from '../services/index.ts';
import * as d6 from '../wire/dhcpv6.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as udp from '../wire/udp.ts';
import type { RouterContext } from './context.ts';
import type { UdpNat } from './udp-nat.ts';

/** ff02::1:2, all servers and relays. */
const SERVERS_0 = 0xff020000 | 0;
const SERVERS_3 = 0x00010002;

/** What the server is told by the router itself is left out. */
export type Dhcp6Options = Omit<Dhcpv6ServerOptions, 'mac' | 'clock' | 'drops' | 'reply'>;

export class Dhcp6Port {
  readonly server: Dhcpv6Server;
  private readonly context: RouterContext;

  constructor(context: RouterContext, options: Dhcp6Options, udpNat: UdpNat) {
    this.context = context;
    const { ip, wheel, drops } = context;
    ip.mld?.join(SERVERS_0, 0, 0, SERVERS_3);
    this.server = new Dhcpv6Server({
      ...options,
      mac: { hi: ip.macHi, lo: ip.macLo >>> 0 },
      clock: wheel.clock,
      drops,
      reply: ([w0, w1, w2, w3], payload) => {
        const client = ip.neighbors.find(w0, w1, w2, w3);
        if (client === null) return;
        const own = ip.own.linkLocal;
        const { SERVER_PORT: from, CLIENT_PORT: to } = d6;
        udpNat.toGuest(client, own.w0, own.w1, own.w2, own.w3, from, to, payload, 0, payload.length);
        ip.flushSoon();
      },
    });
  }

  /** A datagram to the router or to the servers' group; false when it is not for this service. */
  datagram(p: Packet): boolean {
    if (p.isIpv4 || udp.dstPort(p.b, p.l4) !== d6.SERVER_PORT || !isLinkLocal(p.src0)) return false;
    const group = p.dst0 === SERVERS_0 && p.dst1 === 0 && p.dst2 === 0 && p.dst3 === SERVERS_3;
    if (!group && !this.context.ip.isLocal(p.dst0, p.dst1, p.dst2, p.dst3)) return false;
    const from = p.l4 + udp.HEADER_LEN;
    const end = p.l4 + udp.length(p.b, p.l4);
    const hi = ethernet.srcHi(p.b, p.l2);
    const lo = ethernet.srcLo(p.b, p.l2) >>> 0;
    this.server.handle(p.b, from, end, [p.src0, p.src1, p.src2, p.src3], hi, lo, group);
    return true;
  }
}
