// One line for one frame, like tcpdump's: what logs, the console and failing tests print.

import { Drop, dropLabel } from '../core/drop.ts';
import * as arp from './arp.ts';
import { u16 } from './bytes.ts';
import * as dhcpv4 from './dhcpv4.ts';
import * as dns from './dns.ts';
import * as ethernet from './ethernet.ts';
import * as icmpv4 from './icmpv4.ts';
import * as icmpv6 from './icmpv6.ts';
import * as ipv4 from './ipv4.ts';
import * as ipv6 from './ipv6.ts';
import * as tcp from './tcp.ts';
import * as tftp from './tftp.ts';
import * as udp from './udp.ts';

const VLAN_TAG_LEN = 4;
const MAX_TAGS = 2;

/**
 * The layers of a frame, outside in, separated by `: `. Takes any bytes and never throws.
 *
 * @param b    frame bytes
 * @param off  offset of the Ethernet header, bytes
 * @param len  bytes of the frame; the range must lie inside `b`
 */
export function frameSummary(b: Uint8Array, off: number, len: number): string {
  const end = off + len;
  let text = ethernet.summary(b, off, end);
  if (ethernet.check(b, off, end) !== Drop.None) return text;
  let o = off + ethernet.HEADER_LEN;
  let type = ethernet.type(b, off);
  for (let tags = 0; type === ethernet.TYPE_VLAN && tags < MAX_TAGS && end - o >= VLAN_TAG_LEN; tags++) {
    text += `: VLAN ${u16(b, o) & 0xfff}`;
    type = u16(b, o + 2);
    o += VLAN_TAG_LEN;
  }
  if (type === ethernet.TYPE_ARP) return `${text}: ${arp.summary(b, o, end)}`;
  if (type === ethernet.TYPE_IPV6) return `${text}: ${packet6Summary(b, o, end)}`;
  if (type === ethernet.TYPE_IPV4) return `${text}: ${packetSummary(b, o, end)}`;
  return text;
}

/** The same for an IPv4 packet; `end` may be past it (padding). */
export function packetSummary(b: Uint8Array, o: number, end: number): string {
  const text = ipv4.summary(b, o, end);
  if (ipv4.check(b, o, end) !== Drop.None || ipv4.fragOffset(b, o) > 0) return text;
  return upperSummary(text, b, ipv4.protocol(b, o), o + ipv4.headerLen(b, o), o + ipv4.totalLen(b, o));
}

/** The same for an IPv6 packet; extension headers are passed over. */
export function packet6Summary(b: Uint8Array, o: number, end: number): string {
  const text = ipv6.summary(b, o, end);
  if (ipv6.check(b, o, end) !== Drop.None) return text;
  const last = o + ipv6.HEADER_LEN + ipv6.payloadLen(b, o);
  const chain = new ipv6.HeaderChain();
  const why = chain.walk(b, o, ipv6.nextHeader(b, o), o + ipv6.HEADER_LEN, o + 6, last);
  if (why !== Drop.None) return `${text} [${dropLabel(why)}]`;
  if (chain.protocol !== ipv6.NEXT_FRAGMENT) return upperSummary(text, b, chain.protocol, chain.at, last);
  const fragment = `${text} ${ipv6.fragmentSummary(b, chain.at)}`;
  const first = ipv6.fragOffset(b, chain.at) === 0;
  return first ? upperSummary(fragment, b, b[chain.at]!, chain.at + ipv6.FRAGMENT_HEADER_LEN, last) : fragment;
}

function upperSummary(text: string, b: Uint8Array, protocol: number, l4: number, last: number): string {
  switch (protocol) {
    case ipv4.PROTO_ICMP:
      return `${text}: ${icmpv4.summary(b, l4, last)}`;
    case ipv6.NEXT_ICMPV6:
      return `${text}: ${icmpv6.summary(b, l4, last)}`;
    case ipv4.PROTO_TCP:
      return `${text}: ${tcp.summary(b, l4, last)}`;
    case ipv4.PROTO_UDP:
      return `${text}: ${datagramSummary(b, l4, last)}`;
    default:
      return text;
  }
}

function datagramSummary(b: Uint8Array, o: number, end: number): string {
  const text = udp.summary(b, o, end);
  if (udp.check(b, o, end) !== Drop.None) return text;
  const payload = udp.payload(b, o);
  const last = o + udp.length(b, o);
  const src = udp.srcPort(b, o);
  const dst = udp.dstPort(b, o);
  if (dst === tftp.PORT) return `${text}: ${tftp.summary(b, payload, last)}`;
  if (src === dns.PORT || dst === dns.PORT) return `${text}: ${dns.summary(b, payload, last)}`;
  const dhcp = src === dhcpv4.SERVER_PORT || dst === dhcpv4.SERVER_PORT;
  return dhcp ? `${text}: ${dhcpv4.summary(b, payload, last)}` : text;
}
