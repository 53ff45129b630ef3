// What ICMP errors quote of a datagram that a guest sent earlier: its IP header, without options and extension headers,
// and the first eight bytes of its payload (RFC 792: the first 64 bits of the datagram's data).

import type { Endpoint } from '../core/address.ts';
import type { Packet } from '../core/packet.ts';
import { DEFAULT_TTL, type Neighbor } from '../ip/index.ts';
import { putU16, putU32 } from '../wire/bytes.ts';
import * as checksum from '../wire/checksum.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import * as udp from '../wire/udp.ts';

const PAYLOAD_LEN = 8;
const NEXT_AT = 6;

export class Quote {
  readonly bytes = new Uint8Array(ipv6.HEADER_LEN + PAYLOAD_LEN);
  /** Bytes of the quote; 0 until there is one. */
  len = 0;
  /** The addresses in `bytes` are those of the packet taken last, whose destination this is. */
  private known = false;
  private dst0 = 0;
  private dst1 = 0;
  private dst2 = 0;
  private dst3 = 0;

  get isIpv4(): boolean {
    return this.bytes[0]! >>> 4 === 4;
  }

  /** Where the payload starts. */
  get payload(): number {
    return this.len - PAYLOAD_LEN;
  }

  /**
   * Keeps the headers of `p`, whose payload has at least 8 bytes and whose source is always the same. Called for every
   * datagram of a flow: addresses that are there already are not copied again, which is most of an IPv6 header.
   */
  take(p: Packet): void {
    const { b, l3, l4, isIpv4, dst0, dst1, dst2, dst3 } = p;
    const q = this.bytes;
    const header = isIpv4 ? ipv4.HEADER_LEN : ipv6.HEADER_LEN;
    const known = this.known && this.dst3 === dst3 && this.dst2 === dst2 && this.dst1 === dst1 && this.dst0 === dst0;
    const fixed = known ? header - (isIpv4 ? 8 : 32) : header;
    for (let i = 0; i < fixed; i++) q[i] = b[l3 + i]!;
    for (let i = 0; i < PAYLOAD_LEN; i++) q[header + i] = b[l4 + i]!;
    this.len = header + PAYLOAD_LEN;
    if (!known) {
      this.known = true;
      this.dst0 = dst0;
      this.dst1 = dst1;
      this.dst2 = dst2;
      this.dst3 = dst3;
    }
    if (isIpv4) {
      q[0] = 0x45;
    } else {
      q[NEXT_AT] = p.protocol;
      putU16(q, 4, p.end - l4);
    }
  }

  /** Takes over what another one keeps. */
  copy(other: Quote): void {
    this.bytes.set(other.bytes);
    this.known = false;
    this.len = other.len;
  }

  /** Makes up the headers of a datagram from a guest's port to `to`, an address of its family. */
  makeUdp(guest: Neighbor, port: number, to: Endpoint): void {
    const q = this.bytes;
    this.known = false;
    const { isIpv4, w0, w1, w2, w3 } = guest;
    const header = isIpv4 ? ipv4.HEADER_LEN : ipv6.HEADER_LEN;
    this.len = header + udp.HEADER_LEN;
    if (isIpv4) ipv4.writeHeader(q, 0, this.len, 0, DEFAULT_TTL, ipv4.PROTO_UDP, w3, to.w3, 0, true);
    else {
      const { w0: d0, w1: d1, w2: d2, w3: d3 } = to;
      ipv6.writeHeader(q, 0, udp.HEADER_LEN, ipv4.PROTO_UDP, DEFAULT_TTL, w0, w1, w2, w3, d0, d1, d2, d3);
    }
    udp.write(q, header, port, to.port, udp.HEADER_LEN);
  }

  /** Puts another destination into the quote of a UDP datagram, and an IPv4 header's checksum right. */
  readdress(to: Endpoint): void {
    const q = this.bytes;
    this.known = false;
    putU16(q, this.payload + 2, to.port);
    if (this.isIpv4) {
      putU32(q, 16, to.w3);
      putU16(q, 10, 0);
      putU16(q, 10, checksum.finish(checksum.partial(q, 0, ipv4.HEADER_LEN, 0)));
    } else {
      putU32(q, 24, to.w0);
      putU32(q, 28, to.w1);
      putU32(q, 32, to.w2);
      putU32(q, 36, to.w3);
    }
  }
}
