// IPv4 packets on their way in: the checks of RFC 1122 section 3.2.1 and RFC 1812 section 5.2.2, fragments, echo to our
// own addresses. What passes goes to the handler of its protocol.

import { MAPPED } from '../core/address.ts';
import { copyInto } from '../core/copy.ts';
import { Drop } from '../core/drop.ts';
import { Packet } from '../core/packet.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as icmp from '../wire/icmpv4.ts';
import * as ipv4 from '../wire/ipv4.ts';
import { Reason } from './icmp-errors.ts';
import { DEFAULT_TTL, type IpLayer } from './ip-layer.ts';

export class Ipv4Input {
  private readonly layer: IpLayer;
  private readonly p = new Packet();

  constructor(layer: IpLayer) {
    this.layer = layer;
  }

  /** A frame with EtherType IPv4, in [off, frameEnd); `group`: to a group MAC address. */
  frame(b: Uint8Array, off: number, frameEnd: number, group: boolean): void {
    const { drops, own, reassembly } = this.layer;
    const o = off + ethernet.HEADER_LEN;
    const why = ipv4.check(b, o, frameEnd);
    if (why !== Drop.None) {
      drops[why]!++;
      return;
    }
    const p = this.p;
    p.b = b;
    p.trusted = this.layer.trusted;
    p.l2 = off;
    p.l3 = o;
    p.l4 = o + ipv4.headerLen(b, o);
    p.end = o + ipv4.totalLen(b, o);
    p.protocol = ipv4.protocol(b, o);
    p.ttl = ipv4.ttl(b, o);
    p.tos = ipv4.tos(b, o);
    const src = ipv4.src(b, o) | 0;
    const dst = ipv4.dst(b, o) | 0;
    p.setIpv4(src, dst);
    p.l2Group = group;

    const local = own.isLocal4(dst);
    if (src === 0) {
      // A host that has no address yet: only DHCP, which looks closer (RFC 1122 3.2.1.3).
      if (p.protocol !== ipv4.PROTO_UDP) {
        drops[Drop.Ipv4BadSource]!++;
        return;
      }
    } else {
      if (!own.isOnLink4(src) || own.isReserved4(src) || own.isLocal4(src)) {
        drops[Drop.Ipv4BadSource]!++;
        return;
      }
      if (!this.layer.ownedBySender(b, off, 0, 0, MAPPED, src)) return;
    }
    if (!local && !this.acceptForeign(p, dst)) return;
    if (!ipv4.isFragment(b, o)) {
      this.deliver(p, local);
    } else if (src === 0 || group || own.isBroadcast4(dst)) {
      drops[Drop.Ipv4Fragment]!++; // nothing that is broadcast to us is that large
    } else {
      const whole = reassembly.add(p);
      if (whole !== null) this.deliver(whole, local);
    }
  }

  /** A whole packet that passed all checks. */
  private deliver(p: Packet, local: boolean): void {
    if (p.protocol === ipv4.PROTO_ICMP && local && this.answersEcho(p)) return;
    const handler = this.layer.handlers[p.protocol]!;
    if (handler !== null && p.protocol !== ICMPV6) {
      handler.packet(p);
    } else {
      this.layer.drops[Drop.Ipv4UnknownProtocol]!++;
      this.layer.errors.send(p, Reason.Protocol);
    }
  }

  /** Whether a packet that is not to one of our addresses goes on to the handlers. */
  private acceptForeign(p: Packet, dst: number): boolean {
    const { drops, own, forwarding, errors } = this.layer;
    if (own.isBroadcast4(dst)) {
      if (p.protocol === ipv4.PROTO_UDP) return true; // DHCP; the handler drops all else
      drops[Drop.Ipv4BadDestination]!++;
      return false;
    }
    if (!forwarding || own.isOnLink4(dst)) {
      drops[Drop.Ipv4NotForUs]!++;
      return false;
    }
    if (p.l2Group || dst >>> 28 === 14) {
      drops[Drop.Ipv4BadDestination]!++; // multicast, or a unicast address in a group frame
      return false;
    }
    if (p.ttl <= 1) {
      drops[Drop.Ipv4TtlExceeded]!++;
      errors.send(p, Reason.HopLimit);
      return false;
    }
    return true;
  }

  /** ICMP to one of our addresses: echo requests are answered, bad messages dropped. False: it is for the handler. */
  private answersEcho(p: Packet): boolean {
    const { drops, handlers } = this.layer;
    const why = icmp.check(p.b, p.l4, p.end);
    if (why !== Drop.None) {
      drops[why]!++;
      return true;
    }
    const isEcho = icmp.type(p.b, p.l4) === icmp.TYPE_ECHO;
    if (isEcho ? p.l2Group : handlers[ipv4.PROTO_ICMP] === null) {
      drops[Drop.IcmpIgnored]!++;
      return true;
    }
    if (!isEcho) return false;
    const { layer } = this;
    const n = layer.neighbors.find(p.src0, p.src1, p.src2, p.src3);
    if (n === null) return true;
    const len = p.end - p.l4;
    const o = layer.stage(n, len);
    const out = layer.staged;
    copyInto(p.b, p.l4, p.end - p.l4, out, o);
    out[o] = icmp.TYPE_ECHO_REPLY;
    icmp.writeChecksum(out, o, len);
    layer.sendStaged(n, o, len, p.dst0, p.dst1, p.dst2, p.dst3, ipv4.PROTO_ICMP, DEFAULT_TTL);
    return true;
  }
}

/** A protocol of IPv6 alone: its handler never sees an IPv4 packet. */
const ICMPV6 = 58;
