// Builds whole frames as a guest would send them; every field can be spoilt afterwards.

import { parseIpv4, parseMac } from '../../src/core/address.ts';
import * as arp from '../../src/wire/arp.ts';
import * as checksum from '../../src/wire/checksum.ts';
import * as ethernet from '../../src/wire/ethernet.ts';
import * as icmp from '../../src/wire/icmpv4.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as tcp from '../../src/wire/tcp.ts';
import * as udp from '../../src/wire/udp.ts';

export const ROUTER_MAC = '52:55:0a:00:02:02';
export const GUEST_MAC = '52:54:00:12:34:56';
export const BROADCAST_MAC = 'ff:ff:ff:ff:ff:ff';

export interface Addressing {
  srcMac?: string;
  dstMac?: string;
  src?: string;
  dst?: string;
  ttl?: number;
  protocol?: number;
}

/** What `parse` makes of a text, remembered: generated traffic has few addresses and many frames. */
function memo<T>(parse: (text: string) => T): (text: string) => T {
  const known = new Map<string, T>();
  return (text) => {
    let value = known.get(text);
    if (value === undefined) known.set(text, (value = parse(text)));
    return value;
  };
}

const mac = memo((text): [number, number] => {
  const b = parseMac(text)!;
  return [(b[0]! << 8) | b[1]!, (b[2]! << 24) | (b[3]! << 16) | (b[4]! << 8) | b[5]!];
});
const ip = memo(parseIpv4);

const L4 = ethernet.HEADER_LEN + ipv4.HEADER_LEN;

/** An IPv4 packet with any payload in an Ethernet frame. */
export function ipFrame(a: Addressing, protocol: number, payload: Uint8Array): Uint8Array {
  const b = new Uint8Array(L4 + payload.length);
  const { srcMac = GUEST_MAC, dstMac = ROUTER_MAC, src = '10.0.2.15', dst = '10.0.2.2', ttl = 64 } = a;
  ethernet.write(b, 0, ...mac(dstMac), ...mac(srcMac), ethernet.TYPE_IPV4);
  const [s, d] = [ip(src), ip(dst)];
  ipv4.writeHeader(b, ethernet.HEADER_LEN, ipv4.HEADER_LEN + payload.length, 0, ttl, protocol, s, d, 0, true);
  b.set(payload, L4);
  return b;
}

export function udpFrame(a: Addressing & { sport: number; dport: number; data?: Uint8Array }): Uint8Array {
  const data = a.data ?? new Uint8Array(0);
  const b = ipFrame(a, ipv4.PROTO_UDP, new Uint8Array(udp.HEADER_LEN + data.length));
  udp.write(b, L4, a.sport, a.dport, udp.HEADER_LEN + data.length);
  b.set(data, L4 + udp.HEADER_LEN);
  const pseudo = checksum.pseudoIpv4(ipv4.src(b, 14), ipv4.dst(b, 14), ipv4.PROTO_UDP);
  udp.writeChecksum(b, L4, pseudo);
  return b;
}

export interface Segment extends Addressing {
  sport: number;
  dport: number;
  seq?: number;
  ack?: number;
  /** Of `S A F R P`, in any order. */
  flags: string;
  window?: number;
  data?: Uint8Array;
  options?: Uint8Array;
}

export function tcpFrame(a: Segment): Uint8Array {
  const data = a.data ?? new Uint8Array(0);
  const options = a.options ?? new Uint8Array(0);
  const headerLen = tcp.HEADER_LEN + options.length;
  const b = ipFrame(a, ipv4.PROTO_TCP, new Uint8Array(headerLen + data.length));
  const bits = { F: tcp.FIN, S: tcp.SYN, R: tcp.RST, P: tcp.PSH, A: tcp.ACK } as Record<string, number>;
  const flags = [...a.flags].reduce((v, f) => v | bits[f]!, 0);
  tcp.writeHeader(b, L4, a.sport, a.dport, a.seq ?? 0, a.ack ?? 0, headerLen, flags, a.window ?? 65535);
  b.set(options, L4 + tcp.HEADER_LEN);
  b.set(data, L4 + headerLen);
  const pseudo = checksum.pseudoIpv4(ipv4.src(b, 14), ipv4.dst(b, 14), ipv4.PROTO_TCP);
  tcp.writeChecksum(b, L4, headerLen + data.length, pseudo);
  return b;
}

export function echoFrame(a: Addressing & { id: number; seq: number; data?: Uint8Array; type?: number }): Uint8Array {
  const data = a.data ?? new Uint8Array(0);
  const b = ipFrame(a, ipv4.PROTO_ICMP, new Uint8Array(icmp.HEADER_LEN + data.length));
  b.set(data, L4 + icmp.HEADER_LEN);
  icmp.writeEcho(b, L4, a.type ?? icmp.TYPE_ECHO, a.id, a.seq, icmp.HEADER_LEN + data.length);
  return b;
}

export function arpFrame(a: {
  op?: number;
  srcMac?: string;
  dstMac?: string;
  sha?: string;
  spa: string;
  tha?: string;
  tpa: string;
}): Uint8Array {
  const { op = arp.OP_REQUEST, srcMac = GUEST_MAC, dstMac = BROADCAST_MAC } = a;
  const b = new Uint8Array(ethernet.HEADER_LEN + arp.MESSAGE_LEN);
  ethernet.write(b, 0, ...mac(dstMac), ...mac(srcMac), ethernet.TYPE_ARP);
  const sha = mac(a.sha ?? srcMac);
  const tha = mac(a.tha ?? '00:00:00:00:00:00');
  arp.write(b, ethernet.HEADER_LEN, op, ...sha, ip(a.spa), ...tha, ip(a.tpa));
  return b;
}
