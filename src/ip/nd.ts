// Neighbor Discovery for the IP layer's own addresses and about its neighbors (RFC 4861, RFC 4862): what arp.ts is for
// IPv4.
//
// Solicitations of own addresses are answered, those of a host that tests an address of ours for uniqueness (source ::)
// to all nodes. Every valid message teaches the neighbor cache, which decides what to believe; link-layer address options
// must name the station that sent the frame. A claim of an own address is dropped, reported, and answered with one
// unsolicited advertisement per DEFEND_INTERVAL. Router solicitations go to `onSolicitation`; router advertisements and
// redirects of guests are dropped: a router takes neither.
//
// Own addresses are tested for uniqueness when the link comes up (RFC 4862 section 5.4.2: one solicitation from :: each),
// but used and announced at once, without the second of silence that section 5.4 asks for: any guest could keep the router
// from starting by answering, and the addresses are configured, not made up. Whoever answers, then or later, claims an
// address of ours: see above. That is RFC 5227 section 2.4 (c), which IPv4 has.

import { Drop } from '../core/drop.ts';
import type { Packet } from '../core/packet.ts';
import { pseudoWords } from '../wire/checksum.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as icmp from '../wire/icmpv6.ts';
import * as ipv6 from '../wire/ipv6.ts';
import * as ndp from '../wire/ndp.ts';
import type { IpLayer } from './ip-layer.ts';
import { isMulticast } from './link-addresses.ts';
import type { Neighbor } from './neighbor.ts';

const DEFEND_INTERVAL_MS = 10_000; // as RFC 5227 section 1.1 has it for ARP
/** ff02::1 */
const ALL_NODES_0 = 0xff020000 | 0;
/** ff02::1:ff00:0/104 */
const SOLICITED_3 = 0xff000000 | 0;

export class NeighborDiscovery {
  /** Hears of valid router solicitations; the packet is on loan until it returns. */
  onSolicitation: ((p: Packet) => void) | null = null;
  private readonly layer: IpLayer;
  private defendedAt = Number.NEGATIVE_INFINITY;

  constructor(layer: IpLayer) {
    this.layer = layer;
  }

  /** A Neighbor Discovery message whose checksum is right. */
  message(p: Packet): void {
    const { b, l4, end, ttl } = p;
    const { drops } = this.layer;
    if (ttl !== ndp.HOP_LIMIT || icmp.code(b, l4) !== 0 || ndp.check(b, l4, end) !== Drop.None) {
      drops[Drop.NdMalformed]!++;
      return;
    }
    switch (icmp.type(b, l4)) {
      case icmp.TYPE_NEIGHBOR_SOLICITATION:
        this.solicitation(p);
        return;
      case icmp.TYPE_NEIGHBOR_ADVERTISEMENT:
        this.advertisement(p);
        return;
      case icmp.TYPE_ROUTER_SOLICITATION:
        if (this.isSenderTrue(p, ndp.OPTION_SOURCE_LINK_ADDRESS)) this.onSolicitation?.(p);
        return;
      default:
        drops[Drop.NdIgnored]!++;
    }
  }

  /** Whether a link-layer address option, if there is one, names the sender; hosts without address send none. */
  private isSenderTrue(p: Packet, type: number): boolean {
    const { b, l2, l4, end } = p;
    const at = ndp.option(b, l4, end, type);
    if (at < 0) return true;
    const unspecified = (p.src0 | p.src1 | p.src2 | p.src3) === 0;
    if (!unspecified && ndp.linkHi(b, at) === ethernet.srcHi(b, l2) && ndp.linkLo(b, at) === ethernet.srcLo(b, l2)) {
      return true;
    }
    this.layer.drops[unspecified ? Drop.NdMalformed : Drop.NdBadSender]!++;
    return false;
  }

  private solicitation(p: Packet): void {
    const { b, l4 } = p;
    const { drops, own, neighbors } = this.layer;
    const t0 = ndp.target(b, l4, 0);
    const t1 = ndp.target(b, l4, 1);
    const t2 = ndp.target(b, l4, 2);
    const t3 = ndp.target(b, l4, 3);
    if (isMulticast(t0)) {
      drops[Drop.NdMalformed]!++;
      return;
    }
    // The sender's own address was learnt when the packet came in: its source belongs to who sent the frame.
    if (!this.isSenderTrue(p, ndp.OPTION_SOURCE_LINK_ADDRESS)) return;
    if (!own.isLocal6(t0, t1, t2, t3)) return;
    if ((p.src0 | p.src1 | p.src2 | p.src3) === 0) {
      // Somebody tests whether the address is free: it is not (RFC 4861 section 7.2.4).
      this.advertise(t0, t1, t2, t3, ndp.FLAG_ROUTER | ndp.FLAG_OVERRIDE);
      return;
    }
    const n = neighbors.find(p.src0, p.src1, p.src2, p.src3);
    if (n === null) return;
    const o = this.write(icmp.TYPE_NEIGHBOR_ADVERTISEMENT, ADVERTISED, t0, t1, t2, t3);
    this.sendTo(n, o, ndp.MESSAGE_LEN, t0, t1, t2, t3);
  }

  private advertisement(p: Packet): void {
    const { b, l2, l4 } = p;
    const { drops, own, neighbors, now } = this.layer;
    const t0 = ndp.target(b, l4, 0);
    const t1 = ndp.target(b, l4, 1);
    const t2 = ndp.target(b, l4, 2);
    const t3 = ndp.target(b, l4, 3);
    const flags = ndp.flags(b, l4);
    if (isMulticast(t0) || (isMulticast(p.dst0) && (flags & ndp.FLAG_SOLICITED) !== 0)) {
      drops[Drop.NdMalformed]!++;
      return;
    }
    if (own.isLocal6(t0, t1, t2, t3)) {
      drops[Drop.NdSpoof]!++;
      this.claimed(t0, t1, t2, t3, ethernet.srcHi(b, l2), ethernet.srcLo(b, l2));
      return;
    }
    if (!this.isSenderTrue(p, ndp.OPTION_TARGET_LINK_ADDRESS)) return;
    // What nobody asked for makes no entry (RFC 4861 section 7.2.5).
    if (neighbors.find(t0, t1, t2, t3) === null) return;
    if (neighbors.heard(t0, t1, t2, t3, ethernet.srcHi(b, l2), ethernet.srcLo(b, l2), now) === null) {
      drops[Drop.NdSpoof]!++;
    }
  }

  /** Asks who has a neighbor's address, of the station that had it last or of those that listen for it. */
  solicit(n: Neighbor, unicast: boolean): void {
    const from = this.layer.own.sourceFor(n.w0, n.w1, n.w2, n.w3)!;
    const o = this.write(icmp.TYPE_NEIGHBOR_SOLICITATION, 0, n.w0, n.w1, n.w2, n.w3);
    const { w0, w1, w2, w3 } = from;
    if (unicast) this.sendTo(n, o, ndp.MESSAGE_LEN, w0, w1, w2, w3);
    else this.sendToGroup(o, ndp.MESSAGE_LEN, w0, w1, w2, w3, ALL_NODES_0, 0, 1, SOLICITED_3 | (n.w3 & 0xffffff));
  }

  /** Says to all nodes that an address is ours: at start, after a reconnect, and against a claim of another. */
  advertise(t0: number, t1: number, t2: number, t3: number, flags = ndp.FLAG_ROUTER | ndp.FLAG_OVERRIDE): void {
    const o = this.write(icmp.TYPE_NEIGHBOR_ADVERTISEMENT, flags, t0, t1, t2, t3);
    this.sendToGroup(o, ndp.MESSAGE_LEN, t0, t1, t2, t3, ALL_NODES_0, 0, 0, 1);
  }

  /** Asks whether a station has an address that is to be ours; an answer is a claim of it. */
  test(t0: number, t1: number, t2: number, t3: number): void {
    const o = this.write(icmp.TYPE_NEIGHBOR_SOLICITATION, 0, t0, t1, t2, t3);
    // Without the option: there is no source that the address of the link could belong to (RFC 4861 section 4.3).
    this.sendToGroup(o, ndp.PLAIN_LEN, 0, 0, 0, 0, ALL_NODES_0, 0, 1, SOLICITED_3 | (t3 & 0xffffff));
  }

  /** Another station says that it has an address of ours: reported and answered, unless that was done just now. */
  claimed(t0: number, t1: number, t2: number, t3: number, macHi: number, macLo: number): void {
    const { layer } = this;
    const isOwnEcho = macLo === layer.macLo && (macHi & 0xffff) === layer.macHi;
    if (isOwnEcho || layer.now - this.defendedAt < DEFEND_INTERVAL_MS) return;
    this.defendedAt = layer.now;
    this.advertise(t0, t1, t2, t3);
    layer.onClaim(t0, t1, t2, t3, macHi, macLo);
  }

  /**
   * Sends an ICMPv6 message of this link (hop limit 255) from our link-local address, whole but for its checksum: to a
   * group, or to a neighbor, which is asked for when it is not known. Router advertisements leave by this.
   */
  send(d0: number, d1: number, d2: number, d3: number, message: Uint8Array): void {
    const { layer } = this;
    const { w0, w1, w2, w3 } = layer.own.linkLocal;
    const n = isMulticast(d0) ? null : layer.neighbors.resolve(d0, d1, d2, d3);
    if (n === null && !isMulticast(d0)) return; // no room in the neighbor cache, which has counted it
    const o = layer.reserve(message.length);
    layer.bytes.set(message, o);
    if (n === null) this.sendToGroup(o, message.length, w0, w1, w2, w3, d0, d1, d2, d3);
    else this.sendTo(n, o, message.length, w0, w1, w2, w3);
  }

  private write(type: number, flags: number, t0: number, t1: number, t2: number, t3: number): number {
    const { layer } = this;
    const o = layer.reserve(ndp.MESSAGE_LEN);
    ndp.write(layer.bytes, o, type, flags, t0, t1, t2, t3, layer.macHi, layer.macLo);
    return o;
  }

  private sendTo(n: Neighbor, o: number, len: number, s0: number, s1: number, s2: number, s3: number): void {
    const { layer } = this;
    icmp.writeChecksum(layer.bytes, o, len, layer.pseudoSum(n, s0, s1, s2, s3, ipv6.NEXT_ICMPV6));
    ipv6.writeHeader(
      layer.bytes,
      o - ipv6.HEADER_LEN,
      len,
      ipv6.NEXT_ICMPV6,
      ndp.HOP_LIMIT,
      s0,
      s1,
      s2,
      s3,
      n.w0,
      n.w1,
      n.w2,
      n.w3,
    );
    // Not by sendFrame: what asks about a neighbor must not wait for it, nor ask once more.
    if (n.resolved)
      layer.transmitPacket(n.macHi, n.macLo, ethernet.TYPE_IPV6, o - ipv6.HEADER_LEN, ipv6.HEADER_LEN + len);
    else layer.sendPacket(n, o - ipv6.HEADER_LEN, ipv6.HEADER_LEN + len);
  }

  private sendToGroup(
    o: number,
    len: number,
    s0: number,
    s1: number,
    s2: number,
    s3: number,
    d0: number,
    d1: number,
    d2: number,
    d3: number,
  ): void {
    const { layer } = this;
    icmp.writeChecksum(layer.bytes, o, len, pseudoWords(s0, s1, s2, s3, d0, d1, d2, d3, ipv6.NEXT_ICMPV6));
    layer.sendToGroup(o, len, s0, s1, s2, s3, d0, d1, d2, d3, ipv6.NEXT_ICMPV6, ndp.HOP_LIMIT);
  }
}

const ADVERTISED = ndp.FLAG_ROUTER | ndp.FLAG_SOLICITED | ndp.FLAG_OVERRIDE;
