// Builds whole IPv6 frames as a guest would send them; every field can be spoilt afterwards.

import { parseAddress, parseMac } from '../../src/core/address.ts';
import * as checksum from '../../src/wire/checksum.ts';
import * as ethernet from '../../src/wire/ethernet.ts';
import * as icmp from '../../src/wire/icmpv6.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';
import * as ndp from '../../src/wire/ndp.ts';
import * as tcp from '../../src/wire/tcp.ts';
import * as udp from '../../src/wire/udp.ts';
import { GUEST_MAC, ROUTER_MAC } from './guest-frames.ts';

/** The router's addresses and the guest's in the harnesses. */
export const ROUTER6 = '2001:db8:2::1';
export const ROUTER6_LINK = 'fe80::5055:aff:fe00:202';
export const DNS6 = '2001:db8:2::3';
export const GUEST6 = '2001:db8:2::15';
export const GUEST6_LINK = 'fe80::5054:ff:fe12:3456';
/** Where the headers of these frames end when there are no extension headers. */
export const L4 = ethernet.HEADER_LEN + ipv6.HEADER_LEN;
const L3 = ethernet.HEADER_LEN;

export interface Addressing6 {
  srcMac?: string;
  dstMac?: string;
  src?: string;
  dst?: string;
  hops?: number;
  /** Extension headers in front of the payload; `next` is the type of the first. */
  extension?: { next: number; bytes: Uint8Array };
}

export const words6 = (text: string): [number, number, number, number] => parseAddress(text)!;

const mac = (text: string): [number, number] => {
  const b = parseMac(text)!;
  return [(b[0]! << 8) | b[1]!, (b[2]! << 24) | (b[3]! << 16) | (b[4]! << 8) | b[5]!];
};

/** The MAC address of an IPv6 group. */
export const groupMac = (group: string): string => {
  const last = words6(group)[3];
  return ['33', '33', ...[24, 16, 8, 0].map((s) => ((last >>> s) & 255).toString(16).padStart(2, '0'))].join(':');
};

const destinationMac = ({ dstMac, dst = ROUTER6 }: Addressing6): string =>
  dstMac ?? (dst.startsWith('ff') ? groupMac(dst) : ROUTER_MAC);

/** An IPv6 packet with any payload in an Ethernet frame. */
export function ip6Frame(a: Addressing6, protocol: number, payload: Uint8Array): Uint8Array {
  const { srcMac = GUEST_MAC, src = GUEST6, dst = ROUTER6, hops = 64, extension } = a;
  const extra = extension?.bytes ?? new Uint8Array(0);
  const b = new Uint8Array(L4 + extra.length + payload.length);
  ethernet.write(b, 0, ...mac(destinationMac(a)), ...mac(srcMac), ethernet.TYPE_IPV6);
  const next = extension?.next ?? protocol;
  ipv6.writeHeader(b, L3, extra.length + payload.length, next, hops, ...words6(src), ...words6(dst));
  b.set(extra, L4);
  b.set(payload, L4 + extra.length);
  return b;
}

const pseudo = ({ src = GUEST6, dst = ROUTER6 }: Addressing6, protocol: number): number =>
  checksum.pseudoWords(...words6(src), ...words6(dst), protocol);

export function udp6Frame(a: Addressing6 & { sport: number; dport: number; data?: Uint8Array }): Uint8Array {
  const data = a.data ?? new Uint8Array(0);
  const b = new Uint8Array(udp.HEADER_LEN + data.length);
  udp.write(b, 0, a.sport, a.dport, b.length);
  b.set(data, udp.HEADER_LEN);
  udp.writeChecksum(b, 0, pseudo(a, 17));
  return ip6Frame(a, 17, b);
}

export interface Segment6 extends Addressing6 {
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

export function tcp6Frame(a: Segment6): Uint8Array {
  const data = a.data ?? new Uint8Array(0);
  const options = a.options ?? new Uint8Array(0);
  const headerLen = tcp.HEADER_LEN + options.length;
  const b = new Uint8Array(headerLen + data.length);
  const bits = { F: tcp.FIN, S: tcp.SYN, R: tcp.RST, P: tcp.PSH, A: tcp.ACK } as Record<string, number>;
  const flags = [...a.flags].reduce((v, f) => v | bits[f]!, 0);
  tcp.writeHeader(b, 0, a.sport, a.dport, a.seq ?? 0, a.ack ?? 0, headerLen, flags, a.window ?? 65535);
  b.set(options, tcp.HEADER_LEN);
  b.set(data, headerLen);
  tcp.writeChecksum(b, 0, b.length, pseudo(a, 6));
  return ip6Frame(a, 6, b);
}

/** An ICMPv6 message whose checksum is filled in. */
export function icmp6Frame(a: Addressing6, message: Uint8Array): Uint8Array {
  const b = message.slice();
  icmp.writeChecksum(b, 0, b.length, pseudo(a, ipv6.NEXT_ICMPV6));
  return ip6Frame(a, ipv6.NEXT_ICMPV6, b);
}

export function echo6Frame(a: Addressing6 & { id: number; seq: number; data?: Uint8Array; type?: number }): Uint8Array {
  const data = a.data ?? new Uint8Array(0);
  const b = new Uint8Array(icmp.HEADER_LEN + data.length);
  icmp.writeEcho(b, 0, a.type ?? icmp.TYPE_ECHO, a.id, a.seq);
  b.set(data, icmp.HEADER_LEN);
  return icmp6Frame(a, b);
}

/** A neighbor solicitation or advertisement; `option` null leaves the link-layer address out. */
export function nd6Frame(
  a: Addressing6 & { type?: number; target: string; flags?: number; option?: string | null },
): Uint8Array {
  const { type = icmp.TYPE_NEIGHBOR_SOLICITATION, target, flags = 0, option = a.srcMac ?? GUEST_MAC } = a;
  const b = new Uint8Array(option === null ? ndp.PLAIN_LEN : ndp.MESSAGE_LEN);
  ndp.write(b, 0, type, flags, ...words6(target), ...mac(option ?? '00:00:00:00:00:00'));
  return icmp6Frame({ hops: ndp.HOP_LIMIT, ...a }, b);
}

/** The solicited-node group of an address. */
export const solicitedNode = (address: string): string => {
  const low = words6(address)[3] & 0xffffff;
  return `ff02::1:ff${(low >>> 16).toString(16).padStart(2, '0')}:${(low & 0xffff).toString(16)}`;
};

/** Cuts the payload of a whole frame into one fragment; bytes beyond it are 0xaa. */
export function fragment6(
  whole: Uint8Array,
  {
    from,
    to,
    more = to < whole.length - L4,
    id = 0x12345678,
  }: { from: number; to: number; more?: boolean; id?: number },
): Uint8Array {
  const b = new Uint8Array(L4 + ipv6.FRAGMENT_HEADER_LEN + to - from).fill(0xaa);
  b.set(whole.subarray(0, L4));
  b[L3 + 4] = (b.length - L4) >>> 8;
  b[L3 + 5] = b.length - L4;
  b[L3 + 6] = ipv6.NEXT_FRAGMENT;
  ipv6.writeFragment(b, L4, whole[L3 + 6]!, from, more, id);
  b.set(whole.subarray(L4 + from, L4 + to), L4 + ipv6.FRAGMENT_HEADER_LEN);
  return b;
}

export function fragments6(whole: Uint8Array, size = 1448, id = 0x12345678): Uint8Array[] {
  const out: Uint8Array[] = [];
  const len = whole.length - L4;
  for (let from = 0; from < len; from += size) out.push(fragment6(whole, { from, to: Math.min(len, from + size), id }));
  return out;
}

/** The payload of fragments of one packet, checked to be gapless and in order. */
export function joined6(frames: readonly Uint8Array[]): Uint8Array {
  const bytes: number[] = [];
  frames.forEach((f, i) => {
    if (f[L3 + 6] !== ipv6.NEXT_FRAGMENT) throw new Error(`frame ${i} is no fragment`);
    if (ipv6.fragOffset(f, L4) !== bytes.length) throw new Error(`fragment ${i} is at ${ipv6.fragOffset(f, L4)}`);
    if (ipv6.moreFragments(f, L4) !== i < frames.length - 1) throw new Error(`fragment ${i}: more is wrong`);
    if (ipv6.fragId(f, L4) !== ipv6.fragId(frames[0]!, L4)) throw new Error(`fragment ${i} has another identification`);
    bytes.push(...f.subarray(L4 + ipv6.FRAGMENT_HEADER_LEN, L4 + ipv6.payloadLen(f, L3)));
  });
  return Uint8Array.from(bytes);
}
