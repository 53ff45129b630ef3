// Frames, and the memory they live in.
//
// Frames travel as (bytes, offset, length), on loan until the call returns. One FrameMemory per process holds the
// receive slots of all batching links and the arenas in which the router and in-process hosts build what they send.
// A link that is handed a frame of that memory may keep its offset, instead of a copy, until the flush that ends the
// wake-up: receive slots and arenas are not used again before then. A frame in any other memory is copied at once.
//
//   offset 0            rxBase                                                      bytes.length
//   | (slack)           | receive slots, rxSlots x RX_STRIDE | arena | arena | ...  |
//
// Frames start at offsets = 2 (mod 4), so that IP headers are 32-bit aligned behind 14 bytes of Ethernet.

import type { Forwarder } from './forward-table.ts';

/** Offsets and lengths of frames in one memory; a native batch has this shape. */
export interface FrameSlots {
  readonly capacity: number;
  readonly offs: Uint32Array;
  readonly lens: Uint32Array;
}

/**
 * Slots of a queue: `used[0]` are in use, from 0; `used[1]` are the bytes that the last send took; `used[2]` is the
 * descriptor of a datagram socket, plus 1, to which a forwarder may send the queue by itself, or 0.
 */
export interface QueueSlots extends FrameSlots {
  readonly used: Uint32Array;
}

/** A transmit queue that a switch may fill by itself, with frames of the memory that its links share. */
export interface FrameQueue {
  readonly slots: QueueSlots;
  /** Longest frame that may be put there, bytes. */
  readonly maxFrame: number;
}

/** Takes the frames of one wake-up. */
export interface FrameSink {
  /** One frame, without FCS. `b` is on loan until `frame` returns (see above for frames in shared memory). */
  frame(b: Uint8Array, off: number, len: number): void;
  /** Called once after the last frame of a wake-up: send what was held back for company. */
  flush(): void;
  /**
   * Takes frames `start` to `count - 1` of a batch, at least 14 bytes each, as far as it can without looking at each.
   *
   * @returns number of the first one that it did not take, which is for `frame`
   */
  take?(batch: FrameSlots, start: number, count: number): number;
  /** Where frames may be put instead of calling `frame`; `flush` sends those, too. */
  readonly txQueue?: FrameQueue;
  /**
   * Of a link's `tx`: frames that come in by the link, all of them for `port`, may go through a forwarder without a call
   * of the sink (null: no longer). Frames so forwarded are in the forwarder's sums, not yet in the link's counters.
   */
  pump?(forwarder: Forwarder | null, port: number): void;
}

/** Counters of one link, all since it was made. Frames dropped are in `drops` by reason. */
export interface LinkStats {
  rxFrames: number;
  rxBytes: number;
  txFrames: number;
  txBytes: number;
}
export const newLinkStats = (): LinkStats => ({ rxFrames: 0, rxBytes: 0, txFrames: 0, txBytes: 0 });

/**
 * A copy of [off, end). Not `b.slice`: where `b` is a Node Buffer that would be a view of bytes that are only on loan.
 */
export const copyBytes = (b: Uint8Array, off: number, end: number): Uint8Array =>
  Uint8Array.prototype.slice.call(b, off, end);

/** A cable end: frames that come in go to the attached sink, frames put into `tx` go out at `tx.flush()`. */
export interface Link {
  readonly name: string;
  /** Largest IP packet carried, bytes (the Ethernet header is not counted). */
  readonly mtu: number;
  readonly tx: FrameSink;
  readonly stats: LinkStats;
  readonly drops: Float64Array;
  /**
   * Segments of TCP cross the link many at a time, as they do between a kernel and a network card: those that come in may
   * be longer than the MTU, and such segments may be sent, they are cut to fit the MTU and all are summed on the way.
   */
  readonly offload?: boolean;
  /** With `offload`: the frame being delivered needs no look at the checksum of TCP. */
  readonly trusted?: boolean;
  /** What the other side calls this link where it may be closed by number: the endpoint id of vde_switch. */
  readonly endpointId?: number;
  /** Frames that wait for the peer to make room, for links that have a transmit queue. */
  readonly backlogged?: number;
  /** Directs incoming frames to `sink`; a later call replaces the sink. */
  attach(sink: FrameSink): void;
  /** Hears `true` when the link becomes usable (again) and `false` when its peer is gone. */
  onState: ((up: boolean) => void) | null;
  /** Ends the link and frees what it holds; safe to call twice. */
  close(): Promise<void>;
}

/** Frames taken from one link in one system call. */
export const RX_SLOTS = 64;
/** Distance between receive slots, bytes: the longest VDE frame (9234), not a multiple of 4096 (cache aliasing). */
export const RX_STRIDE = 9264;

export class FrameMemory {
  readonly bytes: Uint8Array;
  /** Offset of the first receive slot; slot i is at `rxBase + i * RX_STRIDE`. */
  readonly rxBase = 2;
  private used: number;

  /** @param size  bytes in all; 6 MiB serve a router and a switch (untouched pages cost nothing) */
  constructor(size = 6 << 20) {
    this.bytes = new Uint8Array(new ArrayBuffer(size));
    this.used = this.rxBase + RX_SLOTS * RX_STRIDE;
  }

  /** Carves `size` bytes off for one owner, for as long as this memory lives. Throws RangeError when none are left. */
  region(size: number): number {
    const at = (this.used + 3) & ~3;
    if (at + size > this.bytes.length)
      throw new RangeError(`frame memory: ${size} bytes asked, ${this.bytes.length - at} left`);
    this.used = at + size;
    return at;
  }
}

/** A bump allocator over one region: frames of one wake-up, all given back at once by `reset`. */
export class FrameArena {
  readonly bytes: Uint8Array;
  private readonly base: number;
  private readonly end: number;
  private at: number;

  constructor(memory: FrameMemory, size: number) {
    this.bytes = memory.bytes;
    this.base = memory.region(size);
    this.end = this.base + size;
    this.at = this.base;
  }

  /** Room for one frame of `len` bytes: its offset (= 2 mod 4), or -1 when the arena is used up until `reset`. */
  alloc(len: number): number {
    const off = this.at + 2;
    const next = (off + len + 3) & ~3;
    if (next > this.end) return -1;
    this.at = next;
    return off;
  }

  /** Gives back the tail of the last allocation: it turned out to be `len` bytes long. */
  trim(off: number, len: number): void {
    this.at = (off + len + 3) & ~3;
  }

  reset(): void {
    this.at = this.base;
  }
}
