// The TFTP service at the router's address: UDP port 69 for requests, and a port for each transfer.

import { Endpoint } from '../core/address.ts';
import type { Packet } from '../core/packet.ts';
import type { LinkAddresses } from '../ip/index.ts';
import { type TftpFiles, TftpServer } from '../services/index.ts';
import * as udp from '../wire/udp.ts';
import type { RouterContext } from './context.ts';
import type { UdpNat } from './udp-nat.ts';

export class TftpPort {
  readonly server: TftpServer;
  private readonly own: LinkAddresses;
  private readonly client = new Endpoint();

  constructor(context: RouterContext, files: TftpFiles, udpNat: UdpNat) {
    const { ip, wheel, drops, random } = context;
    this.own = ip.own;
    const send = (client: Endpoint, port: number, b: Uint8Array, len: number): void => {
      const guest = ip.neighbors.find(client.w0, client.w1, client.w2, client.w3);
      const from = this.own.sourceFor(client.w0, client.w1, client.w2, client.w3);
      if (guest === null || from === null) return;
      udpNat.toGuest(guest, from.w0, from.w1, from.w2, from.w3, port, client.port, b, 0, len);
    };
    this.server = new TftpServer({ files, wheel, drops, mtu: ip.mtu, random, send });
  }

  /** A datagram to the router; false when it is not for this service. */
  datagram(p: Packet): boolean {
    if (p.l2Group || (p.isIpv4 && p.src3 === 0)) return false;
    // Only where answers come from: the gateway's address in the client's network.
    const own = this.own.sourceFor(p.src0, p.src1, p.src2, p.src3);
    if (own === null || p.dst3 !== own.w3 || p.dst2 !== own.w2 || p.dst1 !== own.w1 || p.dst0 !== own.w0) return false;
    this.client.set(p.src0, p.src1, p.src2, p.src3, udp.srcPort(p.b, p.l4));
    const from = p.l4 + udp.HEADER_LEN;
    return this.server.handle(this.client, udp.dstPort(p.b, p.l4), p.b, from, p.l4 + udp.length(p.b, p.l4));
  }
}
