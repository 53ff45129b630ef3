// Reassembly of fragments of both families (RFC 791 section 3.2, RFC 815, RFC 1858; RFC 8200 section 4.5, RFC 5722).
//
//   fragment -> checks -> its set (source, destination, protocol, identification) -> all there: one whole Packet
//
// A whole IPv6 packet has no headers between its IPv6 header and what the fragment header led to: those in front of the
// fragment header have been obeyed when they came.
//
// A set holds its payload in blocks of 4 KiB, each made when the first byte of its part arrives, so fragments may come in
// any order, the last one first, and are copied once into their place; the whole packet is copied together when nothing
// is missing. The Packet that `add` gives lies in memory of its own and is on loan until the next call.
//
//   payload      | block 0     | block 1     | (none yet)  | block 3     |
//   pieces       [---------)[--------)                     [----)          sorted; they never touch twice
//
// What does not fit together refuses the whole set: pieces that overlap (another copy of the same piece is only dropped),
// a piece beyond the end that the last one told, a first piece without its whole transport header (what follows could
// change it behind the back of every check) or without its whole chain of headers (RFC 7112), more than 65,535 bytes. A
// refused set stays, without memory, until its time is up, so that what still arrives of it is refused too. What RFC 8200
// section 4.5 wants told of an IPv6 fragment is told (`problem`).
//
// Bounds: 4 MiB in all, 256 KiB and 64 sets for each sending station (by MAC address: a station has any number of IPv6
// addresses), 64 pieces a set, 30 s (IPv6: 60 s) from its first piece. At a station's bound its own oldest set goes, at
// the bound of all the oldest of all: who fills the memory pushes out what he began himself. When the time of a set is
// up whose first piece came, the sender is told (ICMP 11/1, ICMPv6 3/1).

import { Drop, type DropCounters } from '../core/drop.ts';
import { Packet } from '../core/packet.ts';
import type { Timer, TimerWheel } from '../core/timer-wheel.ts';
import { putU16 } from '../wire/bytes.ts';
import * as checksum from '../wire/checksum.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as icmp from '../wire/icmpv4.ts';
import * as icmpv6 from '../wire/icmpv6.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import * as tcp from '../wire/tcp.ts';
import * as udp from '../wire/udp.ts';

const BLOCK_BITS = 12;
const BLOCK_SIZE = 1 << BLOCK_BITS;
const SET_BLOCKS = Math.ceil(ipv4.MAX_LEN / BLOCK_SIZE);
const MAX_BLOCKS = (4 << 20) / BLOCK_SIZE;
const MAX_BLOCKS_PER_SOURCE = (256 << 10) / BLOCK_SIZE;
const MAX_SETS = 1024;
const MAX_SETS_PER_SOURCE = 64;
const MAX_PIECES = 64;
const TIMEOUT_IPV4_MS = 30_000; // RFC 1122 section 3.3.2 asks for 60 to 120 s; 30 s is what hosts of today use
const TIMEOUT_IPV6_MS = 60_000; // RFC 8200 section 4.5
const MAX_IP_HEADER = 60;
/** Where the whole packet's Ethernet header starts: its IP header is 32-bit aligned then. */
const WHOLE_AT = 2;
const MEMORY_LEN = WHOLE_AT + ethernet.HEADER_LEN + MAX_IP_HEADER + ipv4.MAX_LEN;
/** Next-header field of an IPv6 header, bytes from its start. */
const NEXT_AT = 6;
/** Offset of the fragment offset in a fragment header. */
const FRAGMENT_OFFSET_AT = 2;

/** What one station has under way. */
class Source {
  readonly mac: number;
  sets = 0;
  blocks = 0;

  constructor(mac: number) {
    this.mac = mac;
  }
}

class FragmentSet {
  source: Source | null = null;
  /** Source and destination, four words each. */
  readonly addresses = new Int32Array(8);
  isIpv4 = true;
  id = 0;
  protocol = 0;
  deadline = 0;
  refused = false;
  /** Pieces in order: where they start and end in the payload, bytes. */
  pieces = 0;
  readonly starts = new Int32Array(MAX_PIECES);
  readonly ends = new Int32Array(MAX_PIECES);
  /** Payload bytes that are here, and of the whole packet: -1 until the last piece came. */
  held = 0;
  total = -1;
  readonly blocks: (Uint8Array | null)[] = new Array<Uint8Array | null>(SET_BLOCKS).fill(null);
  /** Ethernet and IP header of the first piece, with IPv6 its fragment header too; 0 bytes until it came. */
  readonly head = new Uint8Array(ethernet.HEADER_LEN + MAX_IP_HEADER);
  headLen = 0;
  older: FragmentSet | null = null;
  younger: FragmentSet | null = null;
}

export interface ReassemblyOptions {
  wheel: TimerWheel;
  drops: DropCounters;
  /** A set is given up whose first piece, headers first, is [o, end) of `b` (on loan). */
  expired: (b: Uint8Array, o: number, end: number) => void;
  /** An IPv6 fragment that its sender hears about by a parameter problem: code, and pointer from the IPv6 header. */
  problem: (p: Packet, code: number, pointer: number) => void;
}

export class Reassembly {
  private readonly drops: DropCounters;
  private readonly wheel: TimerWheel;
  private readonly expired: (b: Uint8Array, o: number, end: number) => void;
  private readonly problem: (p: Packet, code: number, pointer: number) => void;
  private readonly timer: Timer;
  private readonly sources = new Map<number, Source>();
  private oldest: FragmentSet | null = null;
  private youngest: FragmentSet | null = null;
  private sets = 0;
  private blocks = 0;
  private readonly freeBlocks: Uint8Array[] = [];
  private readonly freeSets: FragmentSet[] = [];
  private readonly whole = new Packet();
  private readonly chain = new ipv6.HeaderChain();
  /** When the timer is due. */
  private dueAt = 0;
  /** The whole packet's memory, made when the first one is complete. */
  private memory: Uint8Array = new Uint8Array(0);

  constructor(options: ReassemblyOptions) {
    this.drops = options.drops;
    this.wheel = options.wheel;
    this.expired = options.expired;
    this.problem = options.problem;
    this.timer = options.wheel.timer(() => this.expire());
  }

  /** Sets under way, refused ones included. */
  get size(): number {
    return this.sets;
  }

  /** Most sets, and most bytes that they hold together. */
  readonly maxSets = MAX_SETS;
  readonly maxBytes = MAX_BLOCKS * BLOCK_SIZE;

  /** Bytes of memory held by sets. */
  get bytesHeld(): number {
    return this.blocks * BLOCK_SIZE;
  }

  /**
   * Takes a fragment, a Packet that passed the checks of the IP header; `p.l4` of an IPv6 one is its fragment header.
   *
   * @returns  the whole packet, when this was what was missing; else null, counted when the fragment was dropped
   */
  add(p: Packet): Packet | null {
    const { b, l3, end, isIpv4 } = p;
    const at = isIpv4 ? p.l4 : p.l4 + ipv6.FRAGMENT_HEADER_LEN;
    const from = isIpv4 ? ipv4.fragOffset(b, l3) : ipv6.fragOffset(b, p.l4);
    const more = isIpv4 ? ipv4.moreFragments(b, l3) : ipv6.moreFragments(b, p.l4);
    const id = isIpv4 ? ipv4.id(b, l3) : ipv6.fragId(b, p.l4);
    const len = end - at;
    if (len <= 0 || (more && (len & 7) !== 0)) {
      this.drops[Drop.FragmentMalformed]!++;
      if (!isIpv4 && len > 0) this.problem(p, ipv6.PROBLEM_FIELD, ipv6.PAYLOAD_LEN_AT);
      return null;
    }
    const set = this.find(p, id) ?? this.open(p, id, isIpv4);
    if (set.refused) {
      this.drops[isIpv4 ? Drop.Ipv4Fragment : Drop.Ipv6Fragment]!++;
      return null;
    }
    const why = this.fits(set, p, at, from, len, more);
    if (why === Drop.FragmentDuplicate) this.drops[why]!++;
    else if (why !== Drop.None) this.refuse(set, why);
    if (why === Drop.FragmentTooLong && !isIpv4) this.problem(p, ipv6.PROBLEM_FIELD, p.l4 + FRAGMENT_OFFSET_AT - l3);
    if (why === Drop.FragmentTiny && !isIpv4) this.problem(p, icmpv6.CODE_INCOMPLETE_CHAIN, 0);
    if (why === Drop.Ipv6BadExtension) this.problem(p, this.chain.problem, this.chain.pointer);
    if (why !== Drop.None) return null;
    if (!more) set.total = from + len;
    this.store(set, b, at, from, len);
    if (from === 0) keepHead(set, p);
    return set.held === set.total ? this.complete(set, p.l2Group) : null;
  }

  // ---- one set

  private find(p: Packet, id: number): FragmentSet | null {
    let set = this.youngest;
    while (set !== null && (set.id !== id || set.protocol !== p.protocol || !hasAddresses(set.addresses, p))) {
      set = set.older;
    }
    return set;
  }

  private open(p: Packet, id: number, isIpv4: boolean): FragmentSet {
    const mac = ethernet.srcHi(p.b, p.l2) * 2 ** 32 + (ethernet.srcLo(p.b, p.l2) >>> 0);
    let source = this.sources.get(mac);
    if (source === undefined) {
      source = new Source(mac);
      this.sources.set(mac, source);
    }
    source.sets++; // first, so that what makes room does not forget the source
    if (source.sets > MAX_SETS_PER_SOURCE) this.evict(source, null);
    else if (this.sets >= MAX_SETS) this.evict(null, null);
    const set = this.freeSets.pop() ?? new FragmentSet();
    set.source = source;
    const a = set.addresses;
    a[0] = p.src0;
    a[1] = p.src1;
    a[2] = p.src2;
    a[3] = p.src3;
    a[4] = p.dst0;
    a[5] = p.dst1;
    a[6] = p.dst2;
    a[7] = p.dst3;
    set.isIpv4 = isIpv4;
    set.id = id;
    set.protocol = p.protocol;
    set.deadline = this.wheel.clock.now() + (isIpv4 ? TIMEOUT_IPV4_MS : TIMEOUT_IPV6_MS);
    set.older = this.youngest;
    if (this.youngest === null) this.oldest = set;
    else this.youngest.younger = set;
    this.youngest = set;
    this.sets++;
    this.dueBy(set.deadline);
    return set;
  }

  private dueBy(deadline: number): void {
    if (this.timer.armed && this.dueAt <= deadline) return;
    this.dueAt = deadline;
    this.timer.setAt(deadline);
  }

  /** Whether a piece belongs where it says; notes it then, and makes sure of its memory. */
  private fits(set: FragmentSet, p: Packet, at: number, from: number, len: number, more: boolean): Drop {
    const to = from + len;
    // All of an IPv4 packet counts, of an IPv6 one what its payload length covers: the headers before the fragment's too.
    const before = set.isIpv4 ? at - p.l3 : p.l4 - p.l3 - ipv6.HEADER_LEN;
    if (before + to > ipv4.MAX_LEN) return Drop.FragmentTooLong;
    if (from === 0) {
      const why = this.checkHeaders(set, p, at);
      if (why !== Drop.None) return why;
    }
    const { starts, ends, pieces } = set;
    let place = pieces;
    while (place > 0 && starts[place - 1]! >= from) place--;
    if (place < pieces && starts[place] === from && ends[place] === to && more === (to !== set.total)) {
      return Drop.FragmentDuplicate;
    }
    if ((place > 0 && ends[place - 1]! > from) || (place < pieces && starts[place]! < to)) return Drop.FragmentOverlap;
    const last = pieces > 0 ? ends[pieces - 1]! : 0;
    if (more ? set.total >= 0 && to >= set.total : set.total >= 0 || last > to) return Drop.FragmentOverlap;
    if (pieces === MAX_PIECES || !this.makeBlocks(set, from, to)) return Drop.FragmentLimit;
    starts.copyWithin(place + 1, place, pieces);
    ends.copyWithin(place + 1, place, pieces);
    starts[place] = from;
    ends[place] = to;
    set.pieces++;
    return Drop.None;
  }

  /**
   * Whether a first fragment, its payload at `at`, holds all that the checks of the whole packet look at. A hop-by-hop
   * header in it is refused here (`chain` says how): behind the fragment header, which the whole packet has no more, it
   * is out of its place.
   */
  private checkHeaders(set: FragmentSet, p: Packet, at: number): Drop {
    const { chain } = this;
    if (!set.isIpv4) {
      const why = chain.walk(p.b, p.l3, p.b[p.l4]!, at, p.l4, p.end);
      if (why === Drop.Ipv6BadExtension) return chain.problem < 0 ? Drop.FragmentTiny : why;
      if (why !== Drop.None) return Drop.None; // refused when all is there, or for good by what is missing
    }
    const protocol = set.isIpv4 ? p.protocol : chain.protocol;
    const from = set.isIpv4 ? at : chain.at;
    return p.end - from >= transportHeaderLen(p.b, protocol, from, p.end) ? Drop.None : Drop.FragmentTiny;
  }

  /** Gives a set the blocks that [from, to) needs, at the cost of older sets. */
  private makeBlocks(set: FragmentSet, from: number, to: number): boolean {
    const source = set.source!;
    const last = (to - 1) >>> BLOCK_BITS;
    for (let i = from >>> BLOCK_BITS; i <= last; i++) {
      if (set.blocks[i] !== null) continue;
      if (source.blocks >= MAX_BLOCKS_PER_SOURCE && !this.evict(source, set)) return false;
      if (this.blocks >= MAX_BLOCKS && !this.evict(null, set)) return false;
      set.blocks[i] = this.freeBlocks.pop() ?? new Uint8Array(BLOCK_SIZE);
      source.blocks++;
      this.blocks++;
    }
    return true;
  }

  private store(set: FragmentSet, b: Uint8Array, o: number, from: number, len: number): void {
    set.held += len;
    for (let done = 0; done < len; ) {
      const at = from + done;
      const start = at & (BLOCK_SIZE - 1);
      const n = Math.min(len - done, BLOCK_SIZE - start);
      set.blocks[at >>> BLOCK_BITS]!.set(b.subarray(o + done, o + done + n), start);
      done += n;
    }
  }

  private complete(set: FragmentSet, l2Group: boolean): Packet | null {
    const l3 = WHOLE_AT + ethernet.HEADER_LEN;
    const headLen = set.isIpv4 ? set.headLen : ethernet.HEADER_LEN + ipv6.HEADER_LEN;
    const headerLen = headLen - ethernet.HEADER_LEN;
    if (set.isIpv4 && headerLen + set.total > ipv4.MAX_LEN) {
      this.refuse(set, Drop.FragmentTooLong);
      return null;
    }
    const b = this.gather(set, headLen, set.total);
    const p = this.whole;
    if (set.isIpv4) {
      putU16(b, l3 + 2, headerLen + set.total);
      putU16(b, l3 + 6, 0);
      putU16(b, l3 + 10, 0);
      putU16(b, l3 + 10, checksum.finish(checksum.partial(b, l3, headerLen, 0)));
      p.protocol = set.protocol;
      p.ttl = ipv4.ttl(b, l3);
      p.tos = ipv4.tos(b, l3);
    } else {
      putU16(b, l3 + 4, set.total);
      p.protocol = b[l3 + NEXT_AT] = set.head[headLen]!;
      p.ttl = ipv6.hopLimit(b, l3);
      p.tos = ipv6.trafficClass(b, l3);
    }
    p.b = b;
    p.l2 = WHOLE_AT;
    p.l3 = l3;
    p.l4 = l3 + headerLen;
    p.end = p.l4 + set.total;
    const a = set.addresses;
    p.src0 = a[0]!;
    p.src1 = a[1]!;
    p.src2 = a[2]!;
    p.src3 = a[3]!;
    p.dst0 = a[4]!;
    p.dst1 = a[5]!;
    p.dst2 = a[6]!;
    p.dst3 = a[7]!;
    p.l2Group = l2Group;
    this.remove(set);
    return p;
  }

  /** Puts `headLen` bytes of the headers of the first piece and `len` bytes of payload together. */
  private gather(set: FragmentSet, headLen: number, len: number): Uint8Array {
    if (this.memory.length === 0) this.memory = new Uint8Array(MEMORY_LEN);
    const b = this.memory;
    b.set(set.head.subarray(0, headLen), WHOLE_AT);
    const at = WHOLE_AT + headLen;
    for (let done = 0; done < len; done += BLOCK_SIZE) {
      const block = set.blocks[done >>> BLOCK_BITS]!;
      b.set(len - done < BLOCK_SIZE ? block.subarray(0, len - done) : block, at + done);
    }
    return b;
  }

  // ---- ends

  /** The set is of no use: its memory goes, what still arrives of it is dropped until its time is up. */
  private refuse(set: FragmentSet, why: Drop): void {
    this.drops[why]!++;
    this.release(set);
    set.refused = true;
  }

  /** Gives up the oldest set that holds memory, of one source or (null) of all; false when there is none but `spared`. */
  private evict(source: Source | null, spared: FragmentSet | null): boolean {
    let set = this.oldest;
    while (set !== null && (set === spared || (source !== null && set.source !== source))) set = set.younger;
    if (set === null) return false;
    if (!set.refused) this.drops[Drop.FragmentLimit]!++;
    this.remove(set);
    return true;
  }

  private expire(): void {
    const now = this.wheel.clock.now();
    let next = Number.POSITIVE_INFINITY;
    for (let set = this.oldest; set !== null; ) {
      const { younger } = set;
      if (set.deadline > now) {
        next = Math.min(next, set.deadline);
      } else {
        if (!set.refused) this.giveUp(set);
        this.remove(set);
      }
      set = younger;
    }
    if (next !== Number.POSITIVE_INFINITY) this.dueBy(next);
  }

  /** The time of a set is up: its sender hears of it if the first piece came. */
  private giveUp(set: FragmentSet): void {
    this.drops[Drop.FragmentTimeout]!++;
    if (set.headLen === 0) return;
    const l3 = WHOLE_AT + ethernet.HEADER_LEN;
    const len = Math.min(set.ends[0]!, set.isIpv4 ? icmp.MAX_QUOTE : icmpv6.MAX_QUOTE);
    const b = this.gather(set, set.headLen, len);
    if (!set.isIpv4) putU16(b, l3 + 4, ipv6.FRAGMENT_HEADER_LEN + len);
    this.expired(b, l3, WHOLE_AT + set.headLen + len);
  }

  private remove(set: FragmentSet): void {
    this.release(set);
    if (set.older === null) this.oldest = set.younger;
    else set.older.younger = set.younger;
    if (set.younger === null) this.youngest = set.older;
    else set.younger.older = set.older;
    set.older = set.younger = null;
    const source = set.source!;
    set.source = null;
    if (--source.sets === 0) this.sources.delete(source.mac);
    this.sets--;
    if (this.sets === 0) this.timer.cancel();
    set.refused = false;
    this.freeSets.push(set);
  }

  /** Gives back a set's memory and forgets its pieces. */
  private release(set: FragmentSet): void {
    for (let i = 0; i < set.blocks.length; i++) {
      const block = set.blocks[i];
      if (block === null || block === undefined) continue;
      set.blocks[i] = null;
      this.freeBlocks.push(block);
      set.source!.blocks--;
      this.blocks--;
    }
    set.pieces = set.held = set.headLen = 0;
    set.total = -1;
  }
}

/** Notes the headers of the first piece; of IPv6 ones those between IPv6 and fragment header are left out. */
function keepHead(set: FragmentSet, p: Packet): void {
  const { b, l2, l3, l4 } = p;
  const base = set.isIpv4 ? l4 : l3 + ipv6.HEADER_LEN;
  set.head.set(b.subarray(l2, base));
  set.headLen = base - l2;
  if (set.isIpv4) return;
  set.head.set(b.subarray(l4, l4 + ipv6.FRAGMENT_HEADER_LEN), set.headLen);
  set.head[ethernet.HEADER_LEN + NEXT_AT] = ipv6.NEXT_FRAGMENT;
  set.headLen += ipv6.FRAGMENT_HEADER_LEN;
}

const hasAddresses = (a: Int32Array, p: Packet): boolean =>
  a[3] === p.src3 &&
  a[7] === p.dst3 &&
  a[2] === p.src2 &&
  a[6] === p.dst2 &&
  a[1] === p.src1 &&
  a[5] === p.dst1 &&
  a[0] === p.src0 &&
  a[4] === p.dst0;

/** Bytes of transport header that a first fragment must hold. */
function transportHeaderLen(b: Uint8Array, protocol: number, at: number, end: number): number {
  switch (protocol) {
    case ipv4.PROTO_TCP:
      return end - at < tcp.HEADER_LEN ? tcp.HEADER_LEN : tcp.dataOffset(b, at);
    case ipv4.PROTO_UDP:
      return udp.HEADER_LEN;
    case ipv4.PROTO_ICMP:
    case ipv6.NEXT_ICMPV6:
      return icmp.HEADER_LEN;
    default:
      return 0;
  }
}
