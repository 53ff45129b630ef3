// The table by which plain frames are forwarded, a batch at a time: what the switch knows about ports and VLANs, as
// numbers in memory that native code reads (src/native/forward.c). Whoever forwards by it decides nothing: a frame about
// which the table does not say everything is left to `FrameSink.frame`.
//
// A frame is plain when it is untagged, its source is known on the port that it came from (or cannot be learned, see
// Full), and its destination is known on another port or is flooded, and when each port that it leaves by takes frames
// of its VLAN as they are, through a queue in the same memory. Such a frame is put into the queues of those ports.
//
//   words   | header: HEADER words | ports: PORT_WORDS each | touched: a word a port | lists: a word a port |
//   sums    | ports: PORT_SUMS each |
//
// `touched` are the numbers of the ports whose queues got frames, each once, Header.Touched of them. `lists` are port
// numbers, a run for each VLAN: the ports to which its frames are flooded.
//
// `stations` is the table of fdb.ts: four words an entry, the number of entries a power of two. The forwarder changes
// nothing in it but the tick of entries of the port that it works for.
//
// While Header.Live is 1, links that were told to (`FrameSink.pump`) have their frames forwarded and sent without a call
// into JavaScript, unless something is left over. Whoever makes the table untrue sets Live to 0 at once.

import type { FrameSlots } from './frame.ts';

export const HEADER_WORDS = 8;
export const PORT_WORDS = 6;
export const PORT_SUMS = 9;

/** Words of the header. */
export const Header = {
  /** Present time in ticks of the station table. */
  Tick: 0,
  /** Entries that were not refreshed for longer, in ticks, are not used. */
  AgeTicks: 1,
  /** Not 0: the port may have no more stations; frames of unknown ones are forwarded and counted as not learned. */
  Full: 2,
  /** Ports in the list of those touched; set to 0 by who reads it. */
  Touched: 3,
  SeedHi: 4,
  SeedLo: 5,
  /** 1: the table is true. */
  Live: 6,
  /** A port that may have no more stations; -1 as soon as that may not be so any more, or when none is known. */
  FullPort: 7,
} as const;

/** Words of a port. */
export const PortWord = {
  /** VLAN of the untagged frames that come in; -1: frames of the port are not plain. */
  In: 0,
  /** VLAN whose frames leave by the port as they are; -1: none. */
  Out: 1,
  /** The transmit queue, as `Forwarder.idOf` names it. */
  Queue: 2,
  /** Longest frame that the queue takes, bytes. */
  MaxFrame: 3,
  /** Where in `words` the list of ports begins to which the VLAN `In` is flooded, and its length; -1: not plain. */
  List: 4,
  ListLength: 5,
} as const;

/** Cells of a port in `sums`, from PORT_SUMS * port: what a forwarder has done since they were last set to 0. */
export const PortSum = {
  RxFrames: 0,
  RxBytes: 1,
  TxFrames: 2,
  TxBytes: 3,
  /** Of those that came in, what the link has not counted: it was not asked. */
  PumpedFrames: 4,
  PumpedBytes: 5,
  /** Of those that leave, what was sent already, and the link has not counted. */
  SentFrames: 6,
  SentBytes: 7,
  /** Frames that came in from stations that could not be learned. */
  NotLearned: 8,
} as const;

export class ForwardTable {
  readonly ports: number;
  readonly words: Int32Array;
  readonly sums: Float64Array;
  /** Offset of the list of touched ports in `words`. */
  readonly touched: number;
  /** Offset of the lists of VLANs; there is one word for each port. */
  readonly lists: number;

  /** @param ports  ports are numbered 0 to ports - 1 */
  constructor(ports: number) {
    this.ports = ports;
    this.touched = HEADER_WORDS + PORT_WORDS * ports;
    this.lists = this.touched + ports;
    // Shared memory can be neither moved nor detached: native code keeps its address.
    this.words = new Int32Array(new SharedArrayBuffer(4 * (this.lists + ports)));
    this.sums = new Float64Array(new SharedArrayBuffer(8 * PORT_SUMS * ports));
  }
}

export interface Forwarder {
  /** What PortWord.Queue calls a queue; -1: frames cannot be put into it from here. */
  idOf(slots: FrameSlots): number;
  /**
   * Forwards frames `start` to `count - 1` of a batch that came in by a port, until one is not plain.
   *
   * @returns number of the first frame that was not forwarded; `count` when all were
   */
  forward(port: number, batch: FrameSlots, start: number, count: number): number;
}

/** Makes a forwarder of a table and the cells of a station table, all in shared memory. */
export type NewForwarder = (table: ForwardTable, stations: Int32Array) => Forwarder;
