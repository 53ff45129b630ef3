// One host's IP layer on one link: input checks, output, ARP and Neighbor Discovery, ICMP errors, echo replies for its own
// addresses, of both families.
//
// Input   frame -> EtherType -> ARP | IPv4 (ipv4-input.ts) | IPv6 (ipv6-input.ts) -> Packet -> protocol handler. Every
//         refusal is counted under its reason; nothing throws. The sender's address must be inside one of the link's
//         networks and belong to the station that sent the frame (neighbor.ts), so a flow found by its addresses is its
//         owner's.
// Output  `reserve` gives room in the arena behind space for the headers, `send` writes them and passes the frame to the
//         link. The family is the neighbor's. Frames leave at `flush`, which also gives the arena back; the arena is
//         flushed early when it is full.
// Local   packets to own addresses (link-addresses.ts) go to the same handlers: they tell local from forwarded by
//         `isLocal`. Echo requests to them are answered before.
//
// Handlers see addresses as four words (core/address.ts) and need not know the family; those of ICMP (protocol 1) and
// ICMPv6 (58) get packets of their own family only.
//
// With `forwarding` (the router) every unicast destination is accepted and TTL is checked; without (an in-process host)
// only the own addresses are. Fragments are put together (reassembly.ts) after these checks and before the handlers;
// payloads beyond the link's MTU leave as fragments (large.ts): `stage` and `sendStaged` serve both sizes.
//
// Everything that happens inside one wake-up ends with one call of `flush`; a frame sent at any other time (a host socket,
// a timer) asks for it by `flushSoon`, so that all events of one turn of the event loop share one flush.

import type { Endpoint, Ipv4Network } from '../core/address.ts';
import type { Clock } from '../core/clock.ts';
import { Drop, type DropCounters } from '../core/drop.ts';
import { FrameArena, type FrameMemory, type FrameSink, type Link } from '../core/frame.ts';
import type { Packet, PacketHandler } from '../core/packet.ts';
import type { TimerWheel } from '../core/timer-wheel.ts';
import { pseudoIpv4, pseudoWords } from '../wire/checksum.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import { Arp } from './arp.ts';
import { IcmpErrors } from './icmp-errors.ts';
import { Ipv4Input } from './ipv4-input.ts';
import { Ipv6Input } from './ipv6-input.ts';
import { LargePayloads } from './large.ts';
import { type Ipv6Link, LinkAddresses } from './link-addresses.ts';
import { MulticastListener } from './mld.ts';
import { NeighborDiscovery } from './nd.ts';
import { type Neighbor, NeighborCache } from './neighbor.ts';
import { IpPath } from './path.ts';
import { Reassembly } from './reassembly.ts';

/** Bytes in front of a packet's payload: Ethernet and the longer of both IP headers. */
const HEADROOM = ethernet.HEADER_LEN + ipv6.HEADER_LEN;
/** An IPv4 frame starts so far behind the start of its room, bytes: its padding needs as much more behind it. */
const MIN_ROOM = ethernet.MIN_FRAME_LEN + ipv6.HEADER_LEN - ipv4.HEADER_LEN;
/** First two bytes of the MAC address of an IPv6 group; the others are the group's last word (RFC 2464 section 7). */
const GROUP_MAC_HI = 0x3333;
/** Room for what one wake-up sends; flushed early when used up. */
const ARENA_BYTES = 1 << 20;
/** TTL and hop limit of what starts here. */
export const DEFAULT_TTL = 64;

export type ClaimListener = (w0: number, w1: number, w2: number, w3: number, macHi: number, macLo: number) => void;

export interface IpLayerOptions {
  link: Link;
  memory: FrameMemory;
  wheel: TimerWheel;
  drops: DropCounters;
  /** Own MAC address, 6 bytes. */
  mac: Uint8Array;
  /** IPv4 networks of the link, whose `address` is ours: ICMP errors come from it. Empty: no IPv4. */
  networks: readonly Ipv4Network[];
  /** Further own IPv4 addresses, unsigned. */
  aliases: readonly number[];
  /** Null: no IPv6. */
  ipv6: Ipv6Link | null;
  forwarding: boolean;
  /** Unpredictable seed for hashing what guests choose, 32 bits. */
  seed: number;
  /** A uniform unpredictable number, 0 to 2^32 - 1. */
  random: () => number;
  /** Hears of exceptions that a frame caused (counted as `InternalError`): defects, for the log. */
  onDefect: (error: unknown) => void;
  /** Hears, at most once in 10 s for each family, that a station claims an address of ours: words, and its MAC address. */
  onClaim: ClaimListener;
  /** Runs a function once, soon, outside of the present call (setImmediate). */
  defer: (run: () => void) => void;
}

export class IpLayer implements FrameSink {
  /** Own addresses, and the networks of the link. */
  readonly own: LinkAddresses;
  readonly neighbors: NeighborCache;
  readonly arp: Arp;
  /** Null without IPv6. */
  readonly nd: NeighborDiscovery | null;
  readonly mld: MulticastListener | null;
  readonly errors: IcmpErrors;
  readonly reassembly: Reassembly;
  readonly drops: DropCounters;
  readonly forwarding: boolean;
  readonly macHi: number;
  readonly macLo: number;
  /** See IpLayerOptions. */
  readonly onClaim: ClaimListener;
  readonly bytes: Uint8Array;
  readonly mtu: number;
  /** Link.offload. */
  readonly offload: boolean;
  /** By protocol number; null: nobody's. */
  readonly handlers: (PacketHandler | null)[] = new Array<PacketHandler | null>(256).fill(null);
  /** The array that holds what `stage` gave room for last. */
  staged: Uint8Array;
  /** Called in `flush` before the frames leave: the transports' turn to send what they held back. */
  onFlush: (() => void) | null = null;
  private readonly link: Link;
  private readonly clock: Clock;
  private readonly arena: FrameArena;
  private readonly ipv4: Ipv4Input;
  private readonly ipv6: Ipv6Input | null;
  private readonly large: LargePayloads;
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
    this.offload = options.link.offload === true;
    this.arena = new FrameArena(options.memory, ARENA_BYTES);
    this.bytes = options.memory.bytes;
    this.staged = this.bytes;
    this.own = new LinkAddresses(options.networks, options.aliases, options.ipv6, options.mac);
    this.forwarding = options.forwarding;
    this.onDefect = options.onDefect;
    this.onClaim = options.onClaim;
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
      solicit: (n, unicast) => (n.isIpv4 ? this.arp.request(n, unicast) : this.nd?.solicit(n, unicast)),
      release: (n, frame) => this.releaseFrame(n, frame),
    });
    this.arp = new Arp(this, options.wheel);
    this.errors = new IcmpErrors(this, this.clock);
    this.large = new LargePayloads(this, options.random);
    this.reassembly = new Reassembly({
      wheel: options.wheel,
      drops: options.drops,
      expired: (b, o, end) => this.errors.aboutFragment(b, o, end),
      problem: (p, code, pointer) => this.errors.problem(p, code, pointer, false),
    });
    this.ipv4 = new Ipv4Input(this);
    const { hasIpv6 } = this.own;
    this.ipv6 = hasIpv6 ? new Ipv6Input(this) : null;
    this.nd = hasIpv6 ? new NeighborDiscovery(this) : null;
    this.mld = hasIpv6 ? new MulticastListener(this, options.wheel, options.random) : null;
    options.link.attach(this);
  }

  /** Directs packets of an IP protocol to `handler`; all others are answered "protocol unreachable". */
  handle(protocol: number, handler: PacketHandler): void {
    this.handlers[protocol] = handler;
  }

  /** Link.trusted of the frame that is being handled. */
  get trusted(): boolean {
    return this.link.trusted === true;
  }

  /** Monotonic ms, read once per wake-up. */
  get now(): number {
    if (this.batchNow < 0) this.batchNow = this.clock.now();
    return this.batchNow;
  }

  /** Whether an address is one of ours. */
  isLocal(w0: number, w1: number, w2: number, w3: number): boolean {
    return this.own.isLocal(w0, w1, w2, w3);
  }

  /** Whether a packet is to one of our addresses. */
  isToUs(p: Packet): boolean {
    return p.isIpv4 ? this.own.isLocal4(p.dst3) : this.own.isLocal6(p.dst0, p.dst1, p.dst2, p.dst3);
  }

  /** Whether an address is in one of the link's networks. */
  isOnLink(w0: number, w1: number, w2: number, w3: number): boolean {
    return this.own.isOnLink(w0, w1, w2, w3);
  }

  /** Tells the stations of the link where our addresses are: at start, and when the link is up again. */
  announce(): void {
    for (const { isIpv4, w0, w1, w2, w3 } of this.own.all) {
      if (isIpv4) this.arp.announce(w3 >>> 0);
      else {
        this.nd?.test(w0, w1, w2, w3);
        this.nd?.advertise(w0, w1, w2, w3);
      }
    }
    this.mld?.announce();
  }

  /** Leaves the groups of the link; its frames leave at the next `flush`. */
  close(): void {
    this.mld?.close();
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
        this.ipv4.frame(b, off, end, group);
        return;
      case ethernet.TYPE_ARP:
        this.arp.frame(b, off, end);
        return;
      case ethernet.TYPE_IPV6:
        if (this.ipv6 === null) this.drops[Drop.EthUnknownType]!++;
        else this.ipv6.frame(b, off, end, group);
        return;
      default:
        this.drops[Drop.EthUnknownType]!++;
    }
  }

  /** True when the frame's sender is the station that has this source address, or nobody else has it. */
  ownedBySender(b: Uint8Array, off: number, s0: number, s1: number, s2: number, s3: number): boolean {
    const macHi = ethernet.srcHi(b, off);
    const macLo = ethernet.srcLo(b, off);
    const n = this.neighbors.find(s0, s1, s2, s3);
    if (n !== null && n.macLo === macLo && n.macHi === macHi && n.resolved) {
      this.neighbors.confirm(n, this.now);
      return true;
    }
    if (this.neighbors.heard(s0, s1, s2, s3, macHi, macLo, this.now) !== null) return true;
    this.drops[Drop.NeighborMismatch]!++;
    return false;
  }

  // ---- output

  /** A prepared route for the packets of one flow: from s0..s3 (any address) to the guest d0..d3; null: no room for it. */
  path(
    s0: number,
    s1: number,
    s2: number,
    s3: number,
    d0: number,
    d1: number,
    d2: number,
    d3: number,
    protocol: number,
  ): IpPath | null {
    const n = this.neighbors.resolve(d0, d1, d2, d3);
    return n === null ? null : new IpPath(this, n, s0, s1, s2, s3, protocol);
  }

  /** The way back to the sender of `p`, for its protocol. */
  pathBack(p: Packet): IpPath | null {
    return this.path(p.dst0, p.dst1, p.dst2, p.dst3, p.src0, p.src1, p.src2, p.src3, p.protocol);
  }

  /** The same as `path`, for endpoints; ports do not count. */
  pathTo(guest: Endpoint, from: Endpoint, protocol: number): IpPath | null {
    const { w0, w1, w2, w3 } = from;
    return this.path(w0, w1, w2, w3, guest.w0, guest.w1, guest.w2, guest.w3, protocol);
  }

  /** Largest payload of one unfragmented packet to `n`, bytes. */
  maxPayload(n: Neighbor): number {
    return n.isIpv4 ? this.mtu - ipv4.HEADER_LEN : this.mtu - ipv6.HEADER_LEN;
  }

  /** Largest payload of any packet to `n`, in fragments where it must be, bytes. */
  maxDatagram(n: Neighbor): number {
    return n.isIpv4 ? ipv4.MAX_LEN - ipv4.HEADER_LEN : ipv6.MAX_PAYLOAD;
  }

  /** Partial pseudo-header checksum, without the length, of what goes from s0..s3 to `n`. */
  pseudoSum(n: Neighbor, s0: number, s1: number, s2: number, s3: number, protocol: number): number {
    return n.isIpv4 ? pseudoIpv4(s3, n.w3, protocol) : pseudoWords(s0, s1, s2, s3, n.w0, n.w1, n.w2, n.w3, protocol);
  }

  /** The same of a packet that came in. */
  pseudoSumOf(p: Packet): number {
    return p.isIpv4
      ? pseudoIpv4(p.src3, p.dst3, p.protocol)
      : pseudoWords(p.src0, p.src1, p.src2, p.src3, p.dst0, p.dst1, p.dst2, p.dst3, p.protocol);
  }

  /** Room for `len` bytes of IP payload in `bytes`, behind room for the headers; its offset, = 0 (mod 4). */
  reserve(len: number): number {
    return this.alloc(Math.max(HEADROOM + len, MIN_ROOM)) + HEADROOM;
  }

  /** Writes the headers in front of the payload reserved at `o`, and sends the packet to `n` (IPv4: with DF). */
  send(
    n: Neighbor,
    o: number,
    len: number,
    s0: number,
    s1: number,
    s2: number,
    s3: number,
    protocol: number,
    hops: number,
  ): void {
    if (n.isIpv4) {
      const l3 = o - ipv4.HEADER_LEN;
      ipv4.writeHeader(this.bytes, l3, ipv4.HEADER_LEN + len, 0, hops, protocol, s3, n.w3, 0, true);
      this.sendPacket(n, l3, ipv4.HEADER_LEN + len);
    } else {
      const l3 = o - ipv6.HEADER_LEN;
      ipv6.writeHeader(this.bytes, l3, len, protocol, hops, s0, s1, s2, s3, n.w0, n.w1, n.w2, n.w3);
      this.sendPacket(n, l3, ipv6.HEADER_LEN + len);
    }
  }

  /** Writes the Ethernet header in front of the packet of `len` bytes at `l3`, and sends it to `n`. */
  sendPacket(n: Neighbor, l3: number, len: number): void {
    const off = l3 - ethernet.HEADER_LEN;
    ethernet.write(this.bytes, off, n.macHi, n.macLo, this.macHi, this.macLo, n.etherType);
    this.sendFrame(n, off, ethernet.HEADER_LEN + len);
  }

  /**
   * As `reserve`, for a payload to `n` of any length up to `maxDatagram`: room in the array `staged` for `len` bytes,
   * until the next call.
   */
  stage(n: Neighbor, len: number): number {
    const fits = len <= this.maxPayload(n);
    this.staged = fits ? this.bytes : this.large.bytes;
    return fits ? this.reserve(len) : 0;
  }

  /** As `send`, for what was staged at `o`: in one packet where it fits, else in fragments. */
  sendStaged(
    n: Neighbor,
    o: number,
    len: number,
    s0: number,
    s1: number,
    s2: number,
    s3: number,
    protocol: number,
    hops: number,
  ): void {
    if (len <= this.maxPayload(n)) this.send(n, o, len, s0, s1, s2, s3, protocol, hops);
    else this.large.send(n, len, s0, s1, s2, s3, protocol, hops);
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
   * Sends an IPv4 payload that does not follow the neighbor cache (DHCP replies): `o` as given by `reserve`, to the MAC
   * address given.
   */
  sendTo(macHi: number, macLo: number, o: number, len: number, src: number, dst: number, protocol: number): void {
    const l3 = o - ipv4.HEADER_LEN;
    ipv4.writeHeader(this.bytes, l3, ipv4.HEADER_LEN + len, 0, DEFAULT_TTL, protocol, src, dst, 0, true);
    this.transmitPacket(macHi, macLo, ethernet.TYPE_IPV4, l3, ipv4.HEADER_LEN + len);
  }

  /** Sends an IPv6 payload reserved at `o` to the group d0..d3. */
  sendToGroup(
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
    next: number,
    hops: number,
  ): void {
    const l3 = o - ipv6.HEADER_LEN;
    ipv6.writeHeader(this.bytes, l3, len, next, hops, s0, s1, s2, s3, d0, d1, d2, d3);
    this.transmitPacket(GROUP_MAC_HI, d3, ethernet.TYPE_IPV6, l3, ipv6.HEADER_LEN + len);
  }

  /** Writes the Ethernet header in front of the packet of `len` bytes at `l3`, and sends it to a station. */
  transmitPacket(macHi: number, macLo: number, etherType: number, l3: number, len: number): void {
    const off = l3 - ethernet.HEADER_LEN;
    ethernet.write(this.bytes, off, macHi, macLo, this.macHi, this.macLo, etherType);
    this.transmit(off, ethernet.HEADER_LEN + len);
  }

  private releaseFrame(n: Neighbor, frame: Uint8Array): void {
    const off = this.alloc(frame.length);
    this.bytes.set(frame, off);
    ethernet.write(this.bytes, off, n.macHi, n.macLo, this.macHi, this.macLo, n.etherType);
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
    this.inBatch = true; // whatever is sent meanwhile leaves below
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
}
