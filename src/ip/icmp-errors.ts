// ICMP errors towards guests (RFC 792, RFC 1122 3.2.2, RFC 1812 4.3; RFC 4443 sections 2.4 and 3).
//
// Callers name what is wrong (Reason), and the error is of the family of the packet that it is about. It comes from the
// true offender where that is known, from the address of ours that the packet was sent to (RFC 4443 section 2.2), else
// from ours in the guest's network. It quotes the packet (as much as fits 576 bytes, or 1280), and is never sent about:
// another ICMP error, a fragment that is not the first (but for parameter problems about the fragment itself, where it
// can be no ICMP error), a packet to a group address or in a group frame (but for the parameter problems that are to be
// told even then), or a sender that is not a single host. A token bucket bounds them.

import { type Endpoint, MAPPED } from '../core/address.ts';
import type { Clock } from '../core/clock.ts';
import { Drop } from '../core/drop.ts';
import type { Packet } from '../core/packet.ts';
import * as icmpv4 from '../wire/icmpv4.ts';
import * as icmpv6 from '../wire/icmpv6.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import { DEFAULT_TTL, type IpLayer } from './ip-layer.ts';
import { isMulticast } from './link-addresses.ts';

const PER_SECOND = 100;
const BURST = 50;

/** What is wrong with a packet, whatever its family. */
export const Reason = {
  NoRoute: 0,
  /** The host does not answer, or cannot be reached. */
  Address: 1,
  /** The host does not know the protocol; the value is the offset of its field from the IPv6 header. */
  Protocol: 2,
  Port: 3,
  /** The value is the MTU, bytes; 0: not known. */
  TooBig: 4,
  Prohibited: 5,
  HopLimit: 6,
  Reassembly: 7,
  /** An IPv6 source that is not valid beyond the link of the guest. */
  BeyondScope: 8,
} as const;
export type Reason = (typeof Reason)[keyof typeof Reason];

/** Type << 8 | code of each reason. */
const IPV4 = Uint16Array.of(0x300, 0x301, 0x302, 0x303, 0x304, 0x30d, 0xb00, 0xb01, 0x30d);
const IPV6 = Uint16Array.of(0x100, 0x103, 0x401, 0x104, 0x200, 0x101, 0x300, 0x301, 0x102);

export class IcmpErrors {
  private readonly layer: IpLayer;
  private readonly clock: Clock;
  private readonly chain = new ipv6.HeaderChain();
  private tokens = BURST;
  private refilledAt: number;

  constructor(layer: IpLayer, clock: Clock) {
    this.layer = layer;
    this.clock = clock;
    this.refilledAt = clock.now();
  }

  /** Sends an error about `p` to its sender. */
  send(p: Packet, reason: Reason, value = 0): void {
    if (p.l2Group || !this.mayCauseError(p.b, p.l3, p.end)) return;
    this.about(p.b, p.l3, p.end, reason, value);
  }

  /** Tells the sender of an IPv6 packet that it cannot be processed: code and pointer of RFC 4443 section 3.4. */
  problem(p: Packet, code: number, pointer: number, evenToGroup: boolean): void {
    if (!evenToGroup && (p.l2Group || isMulticast(p.dst0))) return;
    if ((p.src0 | p.src1 | p.src2 | p.src3) === 0 || this.isAboutError(p.b, p.l3, p.end, true)) return;
    this.relay(p.b, p.l3, p.end, icmpv6.TYPE_PARAMETER_PROBLEM, code, pointer, null);
  }

  /** As `send`, about a packet kept from earlier: `o` to `end` is its IP header and at least 8 bytes of payload. */
  about(b: Uint8Array, o: number, end: number, reason: Reason, value = 0): void {
    const isIpv4 = b[o]! >>> 4 === 4;
    const kind = (isIpv4 ? IPV4 : IPV6)[reason]!;
    let rest = reason === Reason.TooBig || (reason === Reason.Protocol && !isIpv4) ? value : 0;
    if (reason === Reason.TooBig && !isIpv4 && rest < ipv6.MIN_MTU) rest = ipv6.MIN_MTU;
    this.relay(b, o, end, kind >>> 8, kind & 0xff, rest, null);
  }

  /**
   * As `about`, an error of the packet's own family as it came from another.
   *
   * @param rest    second word of the ICMP header
   * @param source  who sent it, in the packet's family; null: ourselves
   */
  relay(
    b: Uint8Array,
    o: number,
    end: number,
    type: number,
    code: number,
    rest: number,
    source: Endpoint | null,
  ): void {
    const { layer } = this;
    const isIpv4 = b[o]! >>> 4 === 4;
    const n = isIpv4
      ? layer.neighbors.find(0, 0, MAPPED, ipv4.src(b, o) | 0)
      : layer.neighbors.find(ipv6.src(b, o, 0), ipv6.src(b, o, 1), ipv6.src(b, o, 2), ipv6.src(b, o, 3));
    if (n === null) return;
    const from = source ?? this.ours(b, o, isIpv4) ?? layer.own.sourceFor(n.w0, n.w1, n.w2, n.w3);
    if (from === null) return;
    if (!this.takeToken()) {
      layer.drops[Drop.IcmpRateLimited]!++;
      return;
    }
    const { w0, w1, w2, w3 } = from;
    const len = isIpv4 ? icmpv4.errorLen(end - o) : icmpv6.errorLen(end - o);
    const at = layer.reserve(len);
    if (isIpv4) {
      icmpv4.writeError(layer.bytes, at, type, code, rest, b, o, end);
    } else {
      icmpv6.writeError(layer.bytes, at, type, code, rest, b, o, end);
      icmpv6.writeChecksum(layer.bytes, at, len, layer.pseudoSum(n, w0, w1, w2, w3, ipv6.NEXT_ICMPV6));
    }
    layer.send(n, at, len, w0, w1, w2, w3, isIpv4 ? ipv4.PROTO_ICMP : ipv6.NEXT_ICMPV6, DEFAULT_TTL);
  }

  /** The address of ours that the packet was sent to; null: it was sent to none. */
  private ours(b: Uint8Array, o: number, isIpv4: boolean): Endpoint | null {
    const { own } = this.layer;
    if (isIpv4) return own.find(0, 0, MAPPED, ipv4.dst(b, o) | 0);
    const w2 = ipv6.dst(b, o, 2);
    const w3 = ipv6.dst(b, o, 3);
    return own.isLocal6(ipv6.dst(b, o, 0), ipv6.dst(b, o, 1), w2, w3)
      ? own.find(ipv6.dst(b, o, 0), ipv6.dst(b, o, 1), w2, w3)
      : null;
  }

  /** Tells the sender that the packet whose first fragment is [o, end) was never completed. */
  aboutFragment(b: Uint8Array, o: number, end: number): void {
    if (this.mayCauseError(b, o, end)) this.about(b, o, end, Reason.Reassembly);
  }

  private takeToken(): boolean {
    const now = this.clock.now();
    this.tokens = Math.min(BURST, this.tokens + ((now - this.refilledAt) * PER_SECOND) / 1000);
    this.refilledAt = now;
    if (this.tokens < 1) return false;
    this.tokens--;
    return true;
  }

  /** The rules of RFC 1122 section 3.2.2 and RFC 4443 section 2.4 (e) that can be told from the packet. */
  private mayCauseError(b: Uint8Array, o: number, end: number): boolean {
    if (b[o]! >>> 4 === 4) {
      const dst = ipv4.dst(b, o);
      if (dst >>> 28 >= 14 || ipv4.src(b, o) === 0) return false;
    } else {
      const src = ipv6.src(b, o, 0) | ipv6.src(b, o, 1) | ipv6.src(b, o, 2) | ipv6.src(b, o, 3);
      if (isMulticast(ipv6.dst(b, o, 0)) || src === 0) return false;
    }
    return !this.isAboutError(b, o, end);
  }

  /**
   * True for an ICMP error, and for a fragment of which nobody can tell.
   *
   * @param later  an IPv6 fragment that is not the first counts by what its header names
   */
  private isAboutError(b: Uint8Array, o: number, end: number, later = false): boolean {
    if (b[o]! >>> 4 === 4) {
      if (ipv4.fragOffset(b, o) !== 0) return true;
      if (ipv4.protocol(b, o) !== ipv4.PROTO_ICMP) return false;
      const l4 = o + ipv4.headerLen(b, o);
      return l4 >= end || icmpv4.isError(icmpv4.type(b, l4));
    }
    const { chain } = this;
    chain.walk(b, o, ipv6.nextHeader(b, o), o + ipv6.HEADER_LEN, o + 6, end);
    if (chain.protocol === ipv6.NEXT_FRAGMENT && end - chain.at >= ipv6.FRAGMENT_HEADER_LEN) {
      if (ipv6.fragOffset(b, chain.at) !== 0) return !later || mayHoldIcmp(b[chain.at]!);
      const at = chain.at + ipv6.FRAGMENT_HEADER_LEN;
      chain.walk(b, o, b[chain.at]!, at, chain.at, end);
    }
    if (chain.protocol !== ipv6.NEXT_ICMPV6) return false;
    if (chain.at >= end) return true;
    const type = icmpv6.type(b, chain.at);
    return icmpv6.isError(type) || type === icmpv6.TYPE_REDIRECT;
  }
}

/** Whether a fragment with this next header may be one of an ICMP message: it is one, or other headers come first. */
const mayHoldIcmp = (next: number): boolean =>
  next === ipv6.NEXT_ICMPV6 ||
  next === ipv6.NEXT_DESTINATION ||
  next === ipv6.NEXT_ROUTING ||
  next === ipv6.NEXT_FRAGMENT ||
  next === ipv6.NEXT_HOP_BY_HOP;
