// One host's IP layer on one link: ARP, input checks, output, ICMP errors, echo replies for its own addresses.
//
// Input   frame -> EtherType -> ARP | IPv4 -> checks (RFC 1122 3.2.1, RFC 1812 5.2.2) -> Packet -> protocol handler.
//         Every refusal is counted under its reason; nothing throws. The sender's address must be inside the link's
//         network and belong to the station that sent the frame (neighbor.ts), so a flow found by its addresses is its
//         owner's.
// Output  `reserve` gives room in the arena behind space for the headers, `send` writes them and passes the frame to the
//         link. Frames leave at `flush`, which also gives the arena back; the arena is flushed early when it is full.
// Local   packets to `addresses` (gateway, DNS) go to the same handlers: they tell local from forwarded by `isLocal`.
//         Echo requests to them are answered here.
//
// With `forwarding` (the router) every unicast destination is accepted and TTL is checked; without (an in-process host)
// only the own addresses are. Fragments are put together (reassembly.ts) after these checks and before the handlers;
// payloads beyond the link's MTU leave as fragments (large.ts): `stage` and `sendStaged` serve both sizes.
//
// Everything that happens inside one wake-up ends with one call of `flush`; a frame sent at any other time (a host socket,
// a timer) asks for it by `flushSoon`, so that all events of one turn of the event loop share one flush.

import { MAPPED } from '../core/address.ts';
import type { Clock } from '../core/clock.ts';
import { Drop, type DropCounters } from '../core/drop.ts';
import { FrameArena, type FrameMemory, type FrameSink, type Link } from '../core/frame.ts';
import { Packet, type PacketHandler } from '../core/packet.ts';
import type { TimerWheel } from '../core/timer-wheel.ts';
import * as checksum from '../wire/checksum.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as icmp from '../wire/icmpv4.ts';
import * as ipv4 from '../wire/ipv4.ts';
import { Arp } from './arp.ts';
import { IcmpErrors } from './icmp-errors.ts';
import { LargePayloads } from './large.ts';
import { type Neighbor, NeighborCache } from './neighbor.ts';
import { IpPath } from './path.ts';
import { Reassembly } from './reassembly.ts';

/** Bytes in front of an IPv4 packet's payload: Ethernet and IPv4 headers. */
export const HEADROOM = ethernet.HEADER_LEN + ipv4.HEADER_LEN;
/** Room for what one wake-up sends; flushed early when used up. */
const ARENA_BYTES = 1 << 20;
export const DEFAULT_TTL = 64;

export interface IpLayerOptions {
  link: Link;
  memory: FrameMemory;
  wheel: TimerWheel;
  drops: DropCounters;
  /** Own MAC address, 6 bytes. */
  mac: Uint8Array;
  /** Own IPv4 addresses, unsigned; the first is the one ICMP errors come from. */
  addresses: readonly number[];
  /** The link's network and mask, unsigned. */
  network: number;
  mask: number;
  forwarding: boolean;
  /** Unpredictable seed for hashing what guests choose, 32 bits. */
  seed: number;
  /** A uniform unpredictable number, 0 to 2^32 - 1. */
  random: () => number;
  /** Hears of exceptions that a frame caused (counted as `InternalError`): defects, for the log. */
  onDefect: (error: unknown) => void;
  /** Runs a function once, soon, outside of the present call (setImmediate). */
  defer: (run: () => void) => void;
}

export class IpLayer implements FrameSink {
  readonly neighbors: NeighborCache;
  readonly arp: Arp;
  readonly errors: IcmpErrors;
  readonly reassembly: Reassembly;
  readonly drops: DropCounters;
  readonly addresses: readonly number[];
  readonly network: number;
  readonly mask: number;
  readonly broadcast: number;
  readonly macHi: number;
  readonly macLo: number;
  readonly bytes: Uint8Array;
  readonly mtu: number;
  /** Largest payload of one unfragmented packet, bytes. */
  readonly maxPayload: number;
  /** The array that holds what `stage` gave room for last. */
  staged: Uint8Array;
  /** Called in `flush` before the frames leave: the transports' turn to send what they held back. */
  onFlush: (() => void) | null = null;
  private readonly link: Link;
  private readonly clock: Clock;
  private readonly arena: FrameArena;
  private readonly handlers: (PacketHandler | null)[] = new Array<PacketHandler | null>(256).fill(null);
  private readonly p = new Packet();
  private readonly large: LargePayloads;
  private readonly forwarding: boolean;
  private readonly onDefect: (error: unknown) => void;
  private readonly defer: (run: () => void) => void;
  private readonly flushBound: () => void;
  private flushAsked = false;
  /** A wake-up is under way: `flush` is certain to follow. */
  private inBatch = false;
  /** Time of the present wake-up, read once. */
  private batchNow = -1;

  constructor(options: IpLayerOptions) {
    this.link = options.link;
    this.clock = options.wheel.clock;
    this.drops = options.drops;
    this.mtu = options.link.mtu;
    this.maxPayload = this.mtu - ipv4.HEADER_LEN;
    this.arena = new FrameArena(options.memory, ARENA_BYTES);
    this.bytes = options.memory.bytes;
    this.staged = this.bytes;
    this.addresses = options.addresses;
    this.network = options.network >>> 0;
    this.mask = options.mask >>> 0;
    this.broadcast = (this.network | ~this.mask) >>> 0;
    this.forwarding = options.forwarding;
    this.onDefect = options.onDefect;
    this.defer = options.defer;
    this.macHi = (options.mac[0]! << 8) | options.mac[1]!;
    this.macLo = (options.mac[2]! << 24) | (options.mac[3]! << 16) | (options.mac[4]! << 8) | options.mac[5]!;
    this.flushBound = () => {
      this.flushAsked = false;
      this.flush();
    };
    this.neighbors = new NeighborCache({
      wheel: options.wheel,
      drops: options.drops,
      seed: options.seed,
      solicit: (n, unicast) => this.arp.request(n, unicast),
      release: (n, frame) => this.releaseFrame(n, frame),
    });
    this.arp = new Arp(this, options.wheel);
    this.errors = new IcmpErrors(this, this.clock);
    this.large = new LargePayloads(this, options.random);
    this.reassembly = new Reassembly({
      wheel: options.wheel,
      drops: options.drops,
      expired: (b, o, end) => this.errors.aboutFragment(b, o, end),
    });
    options.link.attach(this);
  }

  /** Directs packets of an IP protocol to `handler`; all others are answered "protocol unreachable". */
  handle(protocol: number, handler: PacketHandler): void {
    this.handlers[protocol] = handler;
  }

  /** Monotonic ms, read once per wake-up. */
  get now(): number {
    if (this.batchNow < 0) this.batchNow = this.clock.now();
    return this.batchNow;
  }

  isLocal(address: number): boolean {
    const list = this.addresses;
    for (let i = 0; i < list.length; i++) if (list[i] === address) return true;
    return false;
  }

  isOnLink(address: number): boolean {
    return (address & this.mask) >>> 0 === this.network;
  }

  // ---- input

  frame(b: Uint8Array, off: number, len: number): void {
    this.inBatch = true;
    try {
      this.input(b, off, len);
    } catch (error) {
      // A defect of ours, found by some frame: it costs that frame, not the process.
      this.drops[Drop.InternalError]!++;
      this.onDefect(error);
    }
  }

  private input(b: Uint8Array, off: number, len: number): void {
    const end = off + len;
    if (len < ethernet.HEADER_LEN) {
      this.drops[Drop.FrameTooShort]!++;
      return;
    }
    const group = ethernet.isGroupDst(b, off);
    if (!group && (ethernet.dstLo(b, off) !== this.macLo || ethernet.dstHi(b, off) !== this.macHi)) {
      this.drops[Drop.EthNotForUs]!++;
      return;
    }
    if (ethernet.isGroupSrc(b, off)) {
      this.drops[Drop.EthBadSource]!++;
      return;
    }
    switch (ethernet.type(b, off)) {
      case ethernet.TYPE_IPV4:
        this.ipv4Frame(b, off, end, group);
        return;
      case ethernet.TYPE_ARP:
        this.arp.frame(b, off, end);
        return;
      default:
        this.drops[Drop.EthUnknownType]!++;
    }
  }

  private ipv4Frame(b: Uint8Array, off: number, frameEnd: number, group: boolean): void {
    const o = off + ethernet.HEADER_LEN;
    const why = ipv4.check(b, o, frameEnd);
    if (why !== Drop.None) {
      this.drops[why]!++;
      return;
    }
    const p = this.p;
    p.b = b;
    p.l2 = off;
    p.l3 = o;
    p.l4 = o + ipv4.headerLen(b, o);
    p.end = o + ipv4.totalLen(b, o);
    p.protocol = ipv4.protocol(b, o);
    p.ttl = ipv4.ttl(b, o);
    p.tos = ipv4.tos(b, o);
    const src = ipv4.src(b, o);
    const dst = ipv4.dst(b, o);
    p.setIpv4(src, dst);
    p.l2Group = group;

    const local = this.isLocal(dst);
    if (src === 0) {
      // A host that has no address yet: only DHCP, which looks closer (RFC 1122 3.2.1.3).
      if (p.protocol !== ipv4.PROTO_UDP) {
        this.drops[Drop.Ipv4BadSource]!++;
        return;
      }
    } else {
      if (!this.isOnLink(src) || src === this.network || src === this.broadcast || this.isLocal(src)) {
        this.drops[Drop.Ipv4BadSource]!++;
        return;
      }
      if (!this.ownedBySender(b, off, src)) return;
    }
    if (!local && !this.acceptForeign(p, dst)) return;
    if (!ipv4.isFragment(b, o)) {
      this.deliver(p, local);
    } else if (src === 0 || group || dst === 0xffffffff || dst === this.broadcast) {
      this.drops[Drop.Ipv4Fragment]!++; // nothing that is broadcast to us is that large
    } else {
      const whole = this.reassembly.add(p);
      if (whole !== null) this.deliver(whole, local);
    }
  }

  /** A whole packet that passed all checks. */
  private deliver(p: Packet, local: boolean): void {
    const handler = this.handlers[p.protocol]!;
    if (p.protocol === ipv4.PROTO_ICMP && local) {
      this.localIcmp(p, handler);
    } else if (handler !== null) {
      handler.packet(p);
    } else {
      this.drops[Drop.Ipv4UnknownProtocol]!++;
      this.errors.send(p, icmp.TYPE_UNREACHABLE, icmp.CODE_PROTOCOL, 0);
    }
  }

  /** True when the frame's sender is the station that has this source address, or nobody else has it. */
  private ownedBySender(b: Uint8Array, off: number, src: number): boolean {
    const macHi = ethernet.srcHi(b, off);
    const macLo = ethernet.srcLo(b, off);
    const n = this.neighbors.find(0, 0, MAPPED, src | 0);
    if (n !== null && n.macLo === macLo && n.macHi === macHi && n.resolved) {
      this.neighbors.confirm(n, this.now);
      return true;
    }
    if (this.neighbors.heard(0, 0, MAPPED, src | 0, macHi, macLo, this.now) !== null) return true;
    this.drops[Drop.NeighborMismatch]!++;
    return false;
  }

  /** Whether a packet that is not to one of our addresses goes on to the handlers. */
  private acceptForeign(p: Packet, dst: number): boolean {
    if (dst === 0xffffffff || dst === this.broadcast) {
      if (p.protocol === ipv4.PROTO_UDP) return true; // DHCP; the handler drops all else
      this.drops[Drop.Ipv4BadDestination]!++;
      return false;
    }
    if (!this.forwarding || this.isOnLink(dst)) {
      this.drops[Drop.Ipv4NotForUs]!++;
      return false;
    }
    if (p.l2Group || dst >>> 28 === 14) {
      this.drops[Drop.Ipv4BadDestination]!++; // multicast, or a unicast address in a group frame
      return false;
    }
    if (p.ttl <= 1) {
      this.drops[Drop.Ipv4TtlExceeded]!++;
      this.errors.send(p, icmp.TYPE_TIME_EXCEEDED, 0, 0);
      return false;
    }
    return true;
  }

  private localIcmp(p: Packet, handler: PacketHandler | null): void {
    const why = icmp.check(p.b, p.l4, p.end);
    if (why !== Drop.None) {
      this.drops[why]!++;
      return;
    }
    if (icmp.type(p.b, p.l4) !== icmp.TYPE_ECHO) {
      if (handler !== null) handler.packet(p);
      else this.drops[Drop.IcmpIgnored]!++;
      return;
    }
    if (p.l2Group) {
      this.drops[Drop.IcmpIgnored]!++;
      return;
    }
    const len = p.end - p.l4;
    const n = this.neighbors.find(p.src0, p.src1, p.src2, p.src3);
    if (n === null) return;
    const o = this.stage(len);
    const out = this.staged;
    out.set(p.b.subarray(p.l4, p.end), o);
    out[o] = icmp.TYPE_ECHO_REPLY;
    icmp.writeChecksum(out, o, len);
    this.sendStaged(n, o, len, p.dst3, p.src3, ipv4.PROTO_ICMP, DEFAULT_TTL);
  }

  // ---- output

  /** A prepared route for the packets of one flow: from `src` (any address) to the guest `dst`, IPv4 mapped words. */
  path(src3: number, dst3: number, protocol: number): IpPath | null {
    const n = this.neighbors.resolve(0, 0, MAPPED, dst3 | 0);
    return n === null ? null : new IpPath(this, n, src3, dst3, protocol);
  }

  /** Room for `len` bytes of IP payload in `bytes`, behind room for the headers; its offset, = 0 (mod 4). */
  reserve(len: number): number {
    return this.alloc(HEADROOM + len) + HEADROOM;
  }

  /** Writes the headers in front of the payload reserved at `o`, and sends the packet to `n`. */
  send(
    n: Neighbor,
    o: number,
    len: number,
    src: number,
    dst: number,
    protocol: number,
    ttl: number,
    df: boolean,
  ): void {
    const l3 = o - ipv4.HEADER_LEN;
    ipv4.writeHeader(this.bytes, l3, ipv4.HEADER_LEN + len, 0, ttl, protocol, src >>> 0, dst >>> 0, 0, df);
    this.sendPacket(n, l3, ipv4.HEADER_LEN + len);
  }

  /** Writes the Ethernet header in front of the packet of `len` bytes at `l3`, and sends it to `n`. */
  sendPacket(n: Neighbor, l3: number, len: number): void {
    const off = l3 - ethernet.HEADER_LEN;
    ethernet.write(this.bytes, off, n.macHi, n.macLo, this.macHi, this.macLo, ethernet.TYPE_IPV4);
    this.sendFrame(n, off, ethernet.HEADER_LEN + len);
  }

  /**
   * As `reserve`, for a payload of any length that an IP packet can have: room in the array `staged` for `len` bytes,
   * until the next call.
   */
  stage(len: number): number {
    const fits = len <= this.maxPayload;
    this.staged = fits ? this.bytes : this.large.bytes;
    return fits ? this.reserve(len) : 0;
  }

  /** As `send`, for what was staged at `o`: in one packet with DF where it fits, else in fragments. */
  sendStaged(n: Neighbor, o: number, len: number, src: number, dst: number, protocol: number, ttl: number): void {
    if (len <= this.maxPayload) this.send(n, o, len, src, dst, protocol, ttl, true);
    else this.large.send(n, len, src, dst, protocol, ttl);
  }

  /** Sends a frame of the arena that is complete but perhaps for the MAC address, or keeps it until that is known. */
  sendFrame(n: Neighbor, off: number, len: number): void {
    if (!n.resolved) {
      this.neighbors.enqueue(n, this.bytes, off, len);
      return;
    }
    if (this.now - n.heardAt > 1000) this.neighbors.refresh(n, this.now);
    this.transmit(off, len);
  }

  /**
   * Sends a UDP payload that does not follow the neighbor cache (DHCP replies): `o` as given by `reserve`, to the MAC
   * address given.
   */
  sendTo(macHi: number, macLo: number, o: number, len: number, src: number, dst: number, protocol: number): void {
    ipv4.writeHeader(
      this.bytes,
      o - ipv4.HEADER_LEN,
      ipv4.HEADER_LEN + len,
      0,
      DEFAULT_TTL,
      protocol,
      src,
      dst,
      0,
      true,
    );
    ethernet.write(this.bytes, o - HEADROOM, macHi, macLo, this.macHi, this.macLo, ethernet.TYPE_IPV4);
    this.transmit(o - HEADROOM, HEADROOM + len);
  }

  private releaseFrame(n: Neighbor, frame: Uint8Array): void {
    const off = this.alloc(frame.length);
    this.bytes.set(frame, off);
    ethernet.write(this.bytes, off, n.macHi, n.macLo, this.macHi, this.macLo, ethernet.TYPE_IPV4);
    this.transmit(off, frame.length);
  }

  /** Room for a whole frame of `len` bytes in `bytes`, and for padding behind it if it is short. */
  alloc(len: number): number {
    const size = Math.max(len, ethernet.MIN_FRAME_LEN);
    let off = this.arena.alloc(size);
    if (off < 0) {
      this.link.tx.flush();
      this.arena.reset();
      off = this.arena.alloc(size);
    }
    return off;
  }

  /** Sends a complete frame that `alloc` gave room for. */
  transmit(off: number, len: number): void {
    if (len < ethernet.MIN_FRAME_LEN) {
      this.bytes.fill(0, off + len, off + ethernet.MIN_FRAME_LEN);
      len = ethernet.MIN_FRAME_LEN;
    }
    this.link.tx.frame(this.bytes, off, len);
    if (!this.inBatch) this.flushSoon();
  }

  /** End of a wake-up: the transports send what they held back, then all frames leave. */
  flush(): void {
    if (this.onFlush !== null) this.onFlush();
    this.link.tx.flush();
    this.arena.reset();
    this.batchNow = -1;
    this.inBatch = false;
  }

  /** Asks for a flush after the present turn of the event loop. */
  flushSoon(): void {
    if (this.flushAsked) return;
    this.flushAsked = true;
    this.defer(this.flushBound);
  }

  /** Partial pseudo-header checksum without the length, for TCP and UDP over IPv4. */
  pseudoSum(src3: number, dst3: number, protocol: number): number {
    return checksum.pseudoIpv4(src3 >>> 0, dst3 >>> 0, protocol);
  }
}
