// The router between the interfaces of vde_l3: IPv4 forwarding after RFC 1812, static routes only.
//
//   frame -> Ethernet, for us? -> ARP -> the interface's stations
//                              -> IPv4 checks -> for one of our addresses -> echo reply, or unreachable
//                                            -> TTL -> route -> size (fragments, or "too big") -> next hop's interface
//
// A packet is changed where it lies and handed to the next link at the same offset: forwarding copies nothing. ICMP errors
// (RFC 1812 section 4.3) are built in the arena and leave by the route to their receiver, at most ERRORS_PER_SECOND. There
// are no redirects: RFC 1812 section 4.3.3.2 lets a router be without, and stations on one network may be kept apart.
//
// What is never forwarded: broadcasts of a network (RFC 2644), multicast, 0/8, 127/8, 169.254/16, 240/4, packets with source
// routes, and packets whose source cannot be a host.

import { Drop } from '../core/drop.ts';
import type { FrameArena, FrameSink } from '../core/frame.ts';
import type { TimerWheel } from '../core/timer-wheel.ts';
import { putU16, u16 } from '../wire/bytes.ts';
import { updateU16 } from '../wire/checksum.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as icmp from '../wire/icmpv4.ts';
import * as ipv4 from '../wire/ipv4.ts';
import type { L3Interface } from './interface.ts';
import { RouteTable } from './routes.ts';

const ERRORS_PER_SECOND = 100;
const DEFAULT_TTL = 64;
const ETH = ethernet.HEADER_LEN;

export class Forwarder {
  readonly interfaces: L3Interface[] = [];
  readonly routes = new RouteTable();
  private readonly arena: FrameArena;
  private readonly wheel: TimerWheel;
  private errors = ERRORS_PER_SECOND;
  private errorsAt = 0;
  private packetId = 0;
  /** Address of the next hop that `route` found. */
  private nextHop = 0;

  constructor(arena: FrameArena, wheel: TimerWheel) {
    this.arena = arena;
    this.wheel = wheel;
  }

  /** Takes an interface in; its frames come here from now on. */
  add(face: L3Interface): void {
    this.interfaces.push(face);
    const sink: FrameSink = {
      frame: (b, off, len) => this.frame(face, b, off, len),
      flush: () => this.flush(),
    };
    face.link.attach(sink);
    face.onUnreachable = (b) => this.unreachable(b);
  }

  /** Sends what is held back, and gives the arena back. */
  flush(): void {
    for (let i = 0; i < this.interfaces.length; i++) this.interfaces[i]!.flush();
    this.arena.reset();
  }

  /** The interface that leads to an address, or null; `nextHop` is set. */
  private route(address: number): L3Interface | null {
    const connected = this.connected(address);
    this.nextHop = address;
    if (connected !== null) return connected;
    const index = this.routes.find(address);
    if (index < 0) return null;
    this.nextHop = this.routes.gateway(index);
    return this.connected(this.nextHop);
  }

  /** The interface whose network holds an address, the longest mask first. */
  connected(address: number): L3Interface | null {
    let best: L3Interface | null = null;
    for (let i = 0; i < this.interfaces.length; i++) {
      const face = this.interfaces[i]!;
      if (face.isOnLink(address) && (best === null || face.mask > best.mask)) best = face;
    }
    return best;
  }

  private frame(face: L3Interface, b: Uint8Array, off: number, len: number): void {
    const { drops } = face.link;
    const end = off + len;
    const why = ethernet.check(b, off, end);
    if (why !== Drop.None) {
      drops[why]!++;
      return;
    }
    const group = ethernet.isGroupDst(b, off);
    if (!group && (ethernet.dstHi(b, off) !== face.macHi || ethernet.dstLo(b, off) !== face.macLo)) {
      drops[Drop.EthNotForUs]!++;
      return;
    }
    const type = ethernet.type(b, off);
    if (type === ethernet.TYPE_ARP) face.arp(b, off, end);
    else if (type === ethernet.TYPE_IPV4) this.packet(face, b, off, end, group);
    else drops[Drop.EthUnknownType]!++;
  }

  private packet(face: L3Interface, b: Uint8Array, off: number, frameEnd: number, group: boolean): void {
    const { drops } = face.link;
    const o = off + ETH;
    const why = ipv4.check(b, o, frameEnd);
    if (why !== Drop.None) {
      drops[why]!++;
      return;
    }
    const end = o + ipv4.totalLen(b, o);
    const dst = ipv4.dst(b, o);
    if (!this.isSource(ipv4.src(b, o))) drops[Drop.Ipv4BadSource]!++;
    else if (group || !isForwardable(dst)) drops[Drop.Ipv4BadDestination]!++;
    else if (this.isOurs(dst)) this.local(face, b, off, end);
    else if (this.isBroadcast(dst)) drops[Drop.Ipv4BadDestination]!++;
    else this.forward(face, b, off, end, dst);
  }

  private forward(face: L3Interface, b: Uint8Array, off: number, end: number, dst: number): void {
    const { drops } = face.link;
    const o = off + ETH;
    if (ipv4.ttl(b, o) <= 1) {
      drops[Drop.Ipv4TtlExceeded]!++;
      this.error(face, b, o, end, icmp.TYPE_TIME_EXCEEDED, icmp.CODE_TTL, 0);
      return;
    }
    const out = this.route(dst);
    if (out === null) {
      drops[Drop.NoRoute]!++;
      this.error(face, b, o, end, icmp.TYPE_UNREACHABLE, icmp.CODE_NET, 0);
      return;
    }
    const { nextHop } = this;
    const { mtu } = out.link;
    if (end - o <= mtu) {
      const life = u16(b, o + 8);
      putU16(b, o + 8, life - 0x100);
      putU16(b, o + 10, updateU16(u16(b, o + 10), life, life - 0x100));
      out.send(b, off, end - off, nextHop);
    } else if (ipv4.dontFragment(b, o) || ipv4.headerLen(b, o) !== ipv4.HEADER_LEN) {
      drops[Drop.FrameTooLong]!++;
      this.error(face, b, o, end, icmp.TYPE_UNREACHABLE, icmp.CODE_FRAGMENTATION_NEEDED, mtu);
    } else this.fragment(out, nextHop, b, o, end);
  }

  /** Nobody on the last network answers for the next hop of a packet of ours (RFC 1812 section 4.3.3.1: host unreachable). */
  private unreachable(b: Uint8Array): void {
    const src = ipv4.src(b, ETH);
    const face = this.isOurs(src) ? null : this.route(src);
    if (face === null) return;
    this.error(face, b, ETH, ETH + ipv4.totalLen(b, ETH), icmp.TYPE_UNREACHABLE, icmp.CODE_HOST, 0);
    this.flush();
  }

  /** Sends a packet without options in pieces (RFC 791 section 3.2). */
  private fragment(out: L3Interface, nextHop: number, b: Uint8Array, o: number, end: number): void {
    const step = (out.link.mtu - ipv4.HEADER_LEN) & ~7;
    const from = o + ipv4.HEADER_LEN;
    const offset = ipv4.fragOffset(b, o);
    const more = ipv4.moreFragments(b, o);
    for (let at = from; at < end; at += step) {
      const size = Math.min(step, end - at);
      const frame = this.alloc(out, ipv4.HEADER_LEN + size);
      if (frame < 0) return;
      const l3 = frame + ETH;
      this.header(l3, ipv4.HEADER_LEN + size, ipv4.id(b, o), ipv4.ttl(b, o) - 1, b, o);
      ipv4.setFragment(this.arena.bytes, l3, offset + at - from, more || at + size < end);
      for (let i = 0; i < size; i++) this.arena.bytes[l3 + ipv4.HEADER_LEN + i] = b[at + i]!;
      out.send(this.arena.bytes, frame, ETH + ipv4.HEADER_LEN + size, nextHop);
    }
  }

  private header(l3: number, len: number, id: number, ttl: number, b: Uint8Array, o: number): void {
    const { bytes } = this.arena;
    ipv4.writeHeader(
      bytes,
      l3,
      len,
      id,
      ttl,
      ipv4.protocol(b, o),
      ipv4.src(b, o),
      ipv4.dst(b, o),
      ipv4.tos(b, o),
      false,
    );
  }

  /** A packet for one of our addresses. */
  private local(face: L3Interface, b: Uint8Array, off: number, end: number): void {
    const { drops } = face.link;
    const o = off + ETH;
    const protocol = ipv4.protocol(b, o);
    if (ipv4.isFragment(b, o)) {
      drops[Drop.Ipv4Fragment]!++;
    } else if (protocol === ipv4.PROTO_ICMP) {
      this.echo(face, b, off, end);
    } else {
      drops[Drop.Ipv4UnknownProtocol]!++;
      const code = protocol === ipv4.PROTO_UDP ? icmp.CODE_PORT : icmp.CODE_PROTOCOL;
      this.error(face, b, o, end, icmp.TYPE_UNREACHABLE, code, 0);
    }
  }

  private echo(face: L3Interface, b: Uint8Array, off: number, end: number): void {
    const { drops } = face.link;
    const o = off + ETH;
    const l4 = o + ipv4.headerLen(b, o);
    const why = icmp.check(b, l4, end);
    if (why !== Drop.None || icmp.type(b, l4) !== icmp.TYPE_ECHO || l4 !== o + ipv4.HEADER_LEN) {
      drops[why === Drop.None ? Drop.IcmpIgnored : why]!++;
      return;
    }
    const src = ipv4.src(b, o);
    const dst = ipv4.dst(b, o);
    const out = this.route(src);
    if (out === null) {
      drops[Drop.NoRoute]!++;
      return;
    }
    icmp.writeEcho(b, l4, icmp.TYPE_ECHO_REPLY, icmp.echoId(b, l4), icmp.echoSeq(b, l4), end - l4);
    this.packetId = (this.packetId + 1) & 0xffff;
    ipv4.writeHeader(b, o, end - o, this.packetId, DEFAULT_TTL, ipv4.PROTO_ICMP, dst, src, ipv4.tos(b, o), false);
    if (end - o <= out.link.mtu) out.send(b, off, end - off, this.nextHop);
    else this.fragment(out, this.nextHop, b, o, end);
  }

  /** Tells the sender of the packet in [o, end) why it was not forwarded (RFC 1812 section 4.3.2). */
  private error(
    face: L3Interface,
    b: Uint8Array,
    o: number,
    end: number,
    type: number,
    code: number,
    rest: number,
  ): void {
    const l4 = o + ipv4.headerLen(b, o);
    if (ipv4.fragOffset(b, o) !== 0) return;
    if (ipv4.protocol(b, o) === ipv4.PROTO_ICMP && (l4 >= end || icmp.isError(icmp.type(b, l4)))) return;
    const receiver = ipv4.src(b, o);
    const out = this.route(receiver);
    if (out === null) return;
    const { nextHop } = this;
    if (!this.mayTell()) {
      face.link.drops[Drop.IcmpRateLimited]!++;
      return;
    }
    const len = ipv4.HEADER_LEN + icmp.errorLen(end - o);
    const frame = this.alloc(out, len);
    if (frame < 0) return;
    const { bytes } = this.arena;
    const l3 = frame + ETH;
    icmp.writeError(bytes, l3 + ipv4.HEADER_LEN, type, code, rest, b, o, end);
    ipv4.writeHeader(bytes, l3, len, 0, DEFAULT_TTL, ipv4.PROTO_ICMP, face.address, receiver, 0, true);
    out.send(bytes, frame, ETH + len, nextHop);
  }

  /** Room for a packet of `len` bytes behind an Ethernet header; -1 when there is none. */
  private alloc(out: L3Interface, len: number): number {
    const frame = this.arena.alloc(ETH + len);
    if (frame < 0) out.link.drops[Drop.TxQueueFull]!++;
    return frame;
  }

  private mayTell(): boolean {
    const now = this.wheel.clock.now();
    if (now - this.errorsAt >= 1000) {
      this.errorsAt = now;
      this.errors = ERRORS_PER_SECOND;
    }
    return this.errors-- > 0;
  }

  private isOurs(address: number): boolean {
    for (let i = 0; i < this.interfaces.length; i++) if (this.interfaces[i]!.address === address) return true;
    return false;
  }

  private isBroadcast(address: number): boolean {
    for (let i = 0; i < this.interfaces.length; i++) {
      const face = this.interfaces[i]!;
      const small = face.mask >= 0xfffffffe; // RFC 3021: no broadcast on networks of two
      if (!small && (address === face.broadcast || address === face.network)) return true;
    }
    return false;
  }

  private isSource(address: number): boolean {
    return isForwardable(address) && !this.isOurs(address) && !this.isBroadcast(address);
  }
}

/** Unicast addresses that may cross a router (RFC 1812 section 5.3.7, RFC 3927 section 2.7). */
function isForwardable(address: number): boolean {
  const first = address >>> 24;
  return first !== 0 && first !== 127 && first < 224 && address >>> 16 !== 0xa9fe;
}
