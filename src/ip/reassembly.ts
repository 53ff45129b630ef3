// Reassembly of IPv4 fragments (RFC 791 section 3.2, RFC 815, RFC 1858; overlaps as RFC 5722 has them for IPv6).
//
//   fragment -> checks -> its set (source, destination, protocol, identification) -> all there: one whole Packet
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
// change it behind the back of every check), more than 65,535 bytes in all. A refused set stays, without memory, until
// its time is up, so that what still arrives of it is refused too.
//
// Bounds: 4 MiB in all, 256 KiB and 64 sets for each source, 64 pieces a set, 30 s from its first piece. At a source's
// bound its own oldest set goes, at the bound of all the oldest of all: who fills the memory pushes out what he began
// himself. When the time of a set is up whose first piece came, the sender is told (ICMP 11/1, RFC 792).

import { Drop, type DropCounters } from '../core/drop.ts';
import { Packet } from '../core/packet.ts';
import type { Timer, TimerWheel } from '../core/timer-wheel.ts';
import { putU16 } from '../wire/bytes.ts';
import * as checksum from '../wire/checksum.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as icmp from '../wire/icmpv4.ts';
import * as ipv4 from '../wire/ipv4.ts';
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
const TIMEOUT_MS = 30_000; // RFC 1122 section 3.3.2 asks for 60 to 120 s; 30 s is what hosts of today use
const MAX_IP_HEADER = 60;
/** Where the whole packet's Ethernet header starts: its IP header is 32-bit aligned then. */
const WHOLE_AT = 2;

/** What one source has under way. */
class Source {
  readonly address: number;
  sets = 0;
  blocks = 0;

  constructor(address: number) {
    this.address = address;
  }
}

class FragmentSet {
  source: Source | null = null;
  src = 0;
  dst = 0;
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
  /** Ethernet and IP header of the first piece; 0 bytes until it came. */
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
}

export class Reassembly {
  private readonly drops: DropCounters;
  private readonly wheel: TimerWheel;
  private readonly expired: (b: Uint8Array, o: number, end: number) => void;
  private readonly timer: Timer;
  private readonly sources = new Map<number, Source>();
  private oldest: FragmentSet | null = null;
  private youngest: FragmentSet | null = null;
  private sets = 0;
  private blocks = 0;
  private readonly freeBlocks: Uint8Array[] = [];
  private readonly freeSets: FragmentSet[] = [];
  private readonly whole = new Packet();
  /** The whole packet's memory, made when the first one is complete. */
  private memory: Uint8Array = new Uint8Array(0);

  constructor(options: ReassemblyOptions) {
    this.drops = options.drops;
    this.wheel = options.wheel;
    this.expired = options.expired;
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
   * Takes a fragment, a Packet that passed the checks of the IP header.
   *
   * @returns  the whole packet, when this was what was missing; else null, counted when the fragment was dropped
   */
  add(p: Packet): Packet | null {
    const { b, l3, l4, end } = p;
    const from = ipv4.fragOffset(b, l3);
    const len = end - l4;
    const more = ipv4.moreFragments(b, l3);
    if (len <= 0 || (more && (len & 7) !== 0)) {
      this.drops[Drop.FragmentMalformed]!++;
      return null;
    }
    const set = this.find(p, ipv4.id(b, l3)) ?? this.open(p, ipv4.id(b, l3));
    if (set.refused) {
      this.drops[Drop.Ipv4Fragment]!++;
      return null;
    }
    const why = this.fits(set, p, from, len, more);
    if (why === Drop.FragmentDuplicate) this.drops[why]!++;
    else if (why !== Drop.None) this.refuse(set, why);
    if (why !== Drop.None) return null;
    if (!more) set.total = from + len;
    this.store(set, b, l4, from, len);
    if (from === 0) {
      set.headLen = l4 - p.l2;
      set.head.set(b.subarray(p.l2, l4));
    }
    return set.held === set.total ? this.complete(set, p.l2Group) : null;
  }

  // ---- one set

  private find(p: Packet, id: number): FragmentSet | null {
    let set = this.youngest;
    while (set !== null && (set.id !== id || set.src !== p.src3 || set.dst !== p.dst3 || set.protocol !== p.protocol)) {
      set = set.older;
    }
    return set;
  }

  private open(p: Packet, id: number): FragmentSet {
    let source = this.sources.get(p.src3);
    if (source === undefined) {
      source = new Source(p.src3);
      this.sources.set(p.src3, source);
    }
    source.sets++; // first, so that what makes room does not forget the source
    if (source.sets > MAX_SETS_PER_SOURCE) this.evict(source, null);
    else if (this.sets >= MAX_SETS) this.evict(null, null);
    const set = this.freeSets.pop() ?? new FragmentSet();
    set.source = source;
    set.src = p.src3;
    set.dst = p.dst3;
    set.id = id;
    set.protocol = p.protocol;
    set.deadline = this.wheel.clock.now() + TIMEOUT_MS;
    set.older = this.youngest;
    if (this.youngest === null) this.oldest = set;
    else this.youngest.younger = set;
    this.youngest = set;
    this.sets++;
    if (!this.timer.armed) this.timer.setAt(set.deadline);
    return set;
  }

  /** Whether a piece belongs where it says; notes it then, and makes sure of its memory. */
  private fits(set: FragmentSet, p: Packet, from: number, len: number, more: boolean): Drop {
    const to = from + len;
    if (p.l4 - p.l3 + to > ipv4.MAX_LEN) return Drop.FragmentTooLong;
    if (from === 0 && len < transportHeaderLen(p)) return Drop.FragmentTiny;
    const { starts, ends, pieces } = set;
    let at = pieces;
    while (at > 0 && starts[at - 1]! >= from) at--;
    if (at < pieces && starts[at] === from && ends[at] === to && more === (to !== set.total)) {
      return Drop.FragmentDuplicate;
    }
    if ((at > 0 && ends[at - 1]! > from) || (at < pieces && starts[at]! < to)) return Drop.FragmentOverlap;
    const last = pieces > 0 ? ends[pieces - 1]! : 0;
    if (more ? set.total >= 0 && to >= set.total : set.total >= 0 || last > to) return Drop.FragmentOverlap;
    if (pieces === MAX_PIECES || !this.makeBlocks(set, from, to)) return Drop.FragmentLimit;
    starts.copyWithin(at + 1, at, pieces);
    ends.copyWithin(at + 1, at, pieces);
    starts[at] = from;
    ends[at] = to;
    set.pieces++;
    return Drop.None;
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
    const headerLen = set.headLen - ethernet.HEADER_LEN;
    if (headerLen + set.total > ipv4.MAX_LEN) {
      this.refuse(set, Drop.FragmentTooLong);
      return null;
    }
    const b = this.gather(set, set.total);
    putU16(b, l3 + 2, headerLen + set.total);
    putU16(b, l3 + 6, 0);
    putU16(b, l3 + 10, 0);
    putU16(b, l3 + 10, checksum.finish(checksum.partial(b, l3, headerLen, 0)));
    const p = this.whole;
    p.b = b;
    p.l2 = WHOLE_AT;
    p.l3 = l3;
    p.l4 = l3 + headerLen;
    p.end = p.l4 + set.total;
    p.protocol = set.protocol;
    p.ttl = ipv4.ttl(b, l3);
    p.tos = ipv4.tos(b, l3);
    p.setIpv4(set.src, set.dst);
    p.l2Group = l2Group;
    this.remove(set);
    return p;
  }

  /** Puts the headers of the first piece and `len` bytes of payload together. */
  private gather(set: FragmentSet, len: number): Uint8Array {
    if (this.memory.length === 0) {
      this.memory = new Uint8Array(WHOLE_AT + ethernet.HEADER_LEN + ipv4.MAX_LEN);
    }
    const b = this.memory;
    b.set(set.head.subarray(0, set.headLen), WHOLE_AT);
    const at = WHOLE_AT + set.headLen;
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
    while (this.oldest !== null && this.oldest.deadline <= now) {
      const set = this.oldest;
      if (!set.refused) {
        this.drops[Drop.FragmentTimeout]!++;
        if (set.headLen > 0) {
          const len = Math.min(set.ends[0]!, icmp.MAX_QUOTE);
          const b = this.gather(set, len);
          this.expired(b, WHOLE_AT + ethernet.HEADER_LEN, WHOLE_AT + set.headLen + len);
        }
      }
      this.remove(set);
    }
    if (this.oldest !== null) this.timer.setAt(this.oldest.deadline);
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
    if (--source.sets === 0) this.sources.delete(source.address);
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

/** Bytes of transport header that a first fragment must hold. */
function transportHeaderLen(p: Packet): number {
  switch (p.protocol) {
    case ipv4.PROTO_TCP:
      return p.end - p.l4 < tcp.HEADER_LEN ? tcp.HEADER_LEN : tcp.dataOffset(p.b, p.l4);
    case ipv4.PROTO_UDP:
      return udp.HEADER_LEN;
    case ipv4.PROTO_ICMP:
      return icmp.HEADER_LEN;
    default:
      return 0;
  }
}
