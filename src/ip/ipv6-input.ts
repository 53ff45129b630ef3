// IPv6 packets on their way in: the checks of RFC 8200 and RFC 4443, extension headers, fragments, Neighbor Discovery,
// multicast listener queries, echo to our own addresses. What passes goes to the handler of its protocol.
//
//   source       on the link and of the station that sent the frame; unspecified only for ICMPv6 to a group
//   destination  ours | a group that was joined | beyond the link (with `forwarding`): never unspecified or loopback
//   headers      walked to the upper layer; what must not be skipped is told the sender by a parameter problem
//   fragments    put together (reassembly.ts), then the chain goes on behind the fragment header. A packet that is one
//                fragment (RFC 6946) goes on alone. Neighbor Discovery in fragments is dropped (RFC 6980)
//
// A source that is only valid on the link cannot be answered from beyond it: "beyond scope" (RFC 4443 section 3.1).

import { copyInto } from '../core/copy.ts';
import { Drop } from '../core/drop.ts';
import { Packet } from '../core/packet.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as icmp from '../wire/icmpv6.ts';
import * as ipv6 from '../wire/ipv6.ts';
import { Reason } from './icmp-errors.ts';
import { DEFAULT_TTL, type IpLayer } from './ip-layer.ts';
import { isLinkLocal, isMapped, isMulticast } from './link-addresses.ts';

const NEXT_AT = 6;
/** ICMP for IPv4: its handler never sees an IPv6 packet. */
const ICMPV4 = 1;
const UDP = 17;

export class Ipv6Input {
  private readonly layer: IpLayer;
  private readonly p = new Packet();
  private readonly chain = new ipv6.HeaderChain();

  constructor(layer: IpLayer) {
    this.layer = layer;
  }

  /** A frame with EtherType IPv6, in [off, frameEnd); `group`: to a group MAC address. */
  frame(b: Uint8Array, off: number, frameEnd: number, group: boolean): void {
    const o = off + ethernet.HEADER_LEN;
    let why = ipv6.check(b, o, frameEnd);
    if (why === Drop.None) {
      this.read(b, off, group);
      why = this.checkSource();
    }
    if (why === Drop.None) why = this.checkDestination();
    if (why !== Drop.None) {
      this.layer.drops[why]!++;
      if (why === Drop.Ipv6BadSource) this.reportClaim(b, off);
      return;
    }
    const { p } = this;
    const local = this.layer.own.isLocal6(p.dst0, p.dst1, p.dst2, p.dst3) || isMulticast(p.dst0);
    const unspecified = (p.src0 | p.src1 | p.src2 | p.src3) === 0;
    if (!unspecified && !this.layer.ownedBySender(b, off, p.src0, p.src1, p.src2, p.src3)) return;
    if (!local && !this.acceptForeign()) return;
    if (this.walk(p, ipv6.nextHeader(b, o), o + ipv6.HEADER_LEN, o + NEXT_AT)) this.arrived(p, local, unspecified);
  }

  private read(b: Uint8Array, off: number, group: boolean): void {
    const { p } = this;
    const o = off + ethernet.HEADER_LEN;
    p.b = b;
    p.trusted = this.layer.trusted;
    p.l2 = off;
    p.l3 = o;
    p.l4 = o + ipv6.HEADER_LEN;
    p.end = p.l4 + ipv6.payloadLen(b, o);
    p.protocol = ipv6.nextHeader(b, o);
    p.ttl = ipv6.hopLimit(b, o);
    p.tos = ipv6.trafficClass(b, o);
    p.src0 = ipv6.src(b, o, 0);
    p.src1 = ipv6.src(b, o, 1);
    p.src2 = ipv6.src(b, o, 2);
    p.src3 = ipv6.src(b, o, 3);
    p.dst0 = ipv6.dst(b, o, 0);
    p.dst1 = ipv6.dst(b, o, 1);
    p.dst2 = ipv6.dst(b, o, 2);
    p.dst3 = ipv6.dst(b, o, 3);
    p.l2Group = group;
  }

  private checkSource(): Drop {
    const { src0, src1, src2, src3, dst0 } = this.p;
    const { own } = this.layer;
    // A host that has no address yet: Neighbor Discovery and multicast listeners, which look closer.
    if ((src0 | src1 | src2 | src3) === 0) return isMulticast(dst0) ? Drop.None : Drop.Ipv6BadSource;
    if (isMulticast(src0) || isMapped(src0, src1, src2) || own.isLocal6(src0, src1, src2, src3))
      return Drop.Ipv6BadSource;
    return own.isOnLink6(src0, src1, src2, src3) ? Drop.None : Drop.Ipv6BadSource;
  }

  /** A packet from an address of ours: who sent it has the address too, and says so when we test it (RFC 4862 5.4.4). */
  private reportClaim(b: Uint8Array, off: number): void {
    const { src0, src1, src2, src3 } = this.p;
    const { own, nd } = this.layer;
    if (own.isLocal6(src0, src1, src2, src3)) {
      nd!.claimed(src0, src1, src2, src3, ethernet.srcHi(b, off), ethernet.srcLo(b, off));
    }
  }

  private checkDestination(): Drop {
    const { dst0, dst1, dst2, dst3, l2Group } = this.p;
    const { own, forwarding, mld } = this.layer;
    if (isMulticast(dst0)) return mld!.isJoined(dst0, dst1, dst2, dst3) ? Drop.None : Drop.Ipv6BadDestination;
    if (own.isLocal6(dst0, dst1, dst2, dst3)) return Drop.None;
    if ((dst0 | dst1 | dst2) === 0 || l2Group) return Drop.Ipv6BadDestination; // ::, ::1, ::a.b.c.d; a group frame
    return forwarding && !own.isOnLink6(dst0, dst1, dst2, dst3) ? Drop.None : Drop.Ipv6NotForUs;
  }

  /** Whether a packet to an address beyond the link goes on. */
  private acceptForeign(): boolean {
    const { p } = this;
    const { drops, errors } = this.layer;
    if (isLinkLocal(p.src0)) {
      drops[Drop.Ipv6BadSource]!++;
      errors.send(p, Reason.BeyondScope);
      return false;
    }
    if (p.ttl <= 1) {
      drops[Drop.Ipv6HopLimitExceeded]!++;
      errors.send(p, Reason.HopLimit);
      return false;
    }
    return true;
  }

  /** Finds the upper layer of `p` behind `at`; false when the packet is refused. */
  private walk(p: Packet, next: number, at: number, namedAt: number): boolean {
    const { chain } = this;
    const why = chain.walk(p.b, p.l3, next, at, namedAt, p.end);
    p.protocol = chain.protocol;
    p.l4 = chain.at;
    if (why === Drop.None) return true;
    this.layer.drops[why]!++;
    if (chain.problem >= 0) this.layer.errors.problem(p, chain.problem, chain.pointer, chain.evenToGroup);
    return false;
  }

  private arrived(p: Packet, local: boolean, unspecified: boolean): void {
    if (p.protocol !== ipv6.NEXT_FRAGMENT) {
      this.deliver(p, local, unspecified, false);
      return;
    }
    const { drops, reassembly } = this.layer;
    if (unspecified || p.l2Group) {
      drops[Drop.Ipv6Fragment]!++;
      return;
    }
    const at = p.l4;
    if (ipv6.fragOffset(p.b, at) === 0 && !ipv6.moreFragments(p.b, at)) {
      // An atomic fragment is a packet of its own, whatever else has the same identification (RFC 6946).
      if (this.walk(p, p.b[at]!, at + ipv6.FRAGMENT_HEADER_LEN, at)) this.deliver(p, local, false, true);
      return;
    }
    const whole = reassembly.add(p);
    if (whole === null) return;
    if (this.walk(whole, whole.protocol, whole.l4, whole.l3 + NEXT_AT)) this.deliver(whole, local, false, true);
  }

  /** A whole packet that passed all checks. */
  private deliver(p: Packet, local: boolean, unspecified: boolean, fragmented: boolean): void {
    const { drops, handlers, errors } = this.layer;
    if (p.protocol === ipv6.NEXT_ICMPV6 && local) {
      this.localIcmp(p, fragmented);
      return;
    }
    if (unspecified) {
      drops[Drop.Ipv6BadSource]!++;
      return;
    }
    if (p.protocol === ipv6.NEXT_FRAGMENT) {
      drops[Drop.Ipv6Fragment]!++; // a fragment in fragments
      return;
    }
    if (isMulticast(p.dst0) && p.protocol !== UDP) {
      drops[Drop.Ipv6BadDestination]!++;
      return;
    }
    const handler = p.protocol === ICMPV4 ? null : handlers[p.protocol]!;
    if (handler !== null) {
      handler.packet(p);
      return;
    }
    drops[Drop.Ipv6UnknownHeader]!++;
    if (p.protocol !== ipv6.NEXT_NONE) errors.problem(p, ipv6.PROBLEM_NEXT_HEADER, this.chain.namedAt - p.l3, false);
  }

  /** ICMPv6 to one of our addresses, or to a group. */
  private localIcmp(p: Packet, fragmented: boolean): void {
    const { drops, nd, mld, handlers } = this.layer;
    const pseudo = this.layer.pseudoSumOf(p);
    const why = icmp.check(p.b, p.l4, p.end, pseudo);
    if (why !== Drop.None) {
      drops[why]!++;
      return;
    }
    const type = icmp.type(p.b, p.l4);
    if (type >= icmp.TYPE_ROUTER_SOLICITATION && type <= icmp.TYPE_REDIRECT) {
      if (fragmented) drops[Drop.NdMalformed]!++;
      else nd!.message(p);
      return;
    }
    if (type === icmp.TYPE_MLD_QUERY) {
      mld!.query(p);
      return;
    }
    const isReport = type === icmp.TYPE_MLD_REPORT || type === icmp.TYPE_MLD_REPORT_V1 || type === icmp.TYPE_MLD_DONE;
    const handler = handlers[ipv6.NEXT_ICMPV6]!;
    if (isReport || (p.src0 | p.src1 | p.src2 | p.src3) === 0) drops[Drop.IcmpIgnored]!++;
    else if (type === icmp.TYPE_ECHO) this.echo(p, pseudo);
    else if (handler !== null && !isMulticast(p.dst0)) handler.packet(p);
    else drops[Drop.IcmpIgnored]!++;
  }

  /** Answers an echo request; one to a group is answered from our own address (RFC 4443 section 4.2). */
  private echo(p: Packet, pseudo: number): void {
    const { layer } = this;
    const n = layer.neighbors.find(p.src0, p.src1, p.src2, p.src3);
    const from = isMulticast(p.dst0) ? layer.own.sourceFor(p.src0, p.src1, p.src2, p.src3) : null;
    if (n === null) return;
    const len = p.end - p.l4;
    const o = layer.stage(n, len);
    const out = layer.staged;
    copyInto(p.b, p.l4, p.end - p.l4, out, o);
    out[o] = icmp.TYPE_ECHO_REPLY;
    const s0 = from === null ? p.dst0 : from.w0;
    const s1 = from === null ? p.dst1 : from.w1;
    const s2 = from === null ? p.dst2 : from.w2;
    const s3 = from === null ? p.dst3 : from.w3;
    const sum = from === null ? pseudo : layer.pseudoSum(n, s0, s1, s2, s3, ipv6.NEXT_ICMPV6);
    icmp.writeChecksum(out, o, len, sum);
    layer.sendStaged(n, o, len, s0, s1, s2, s3, ipv6.NEXT_ICMPV6, DEFAULT_TTL);
  }
}
