// The datagram side of a VDE connection, the same for the client and the server: a connected Unix datagram socket on
// which every datagram is one Ethernet frame. Other descriptors that keep the borders of messages serve as well: sockets
// of other families, and TAP devices, which have calls of their own (`io`, tap.ts).
//
// Sending. Frames in the shared FrameMemory are queued by offset and leave at `flush` in one system call. What the
// kernel does not take then (the peer is slower than we are), and frames in any other memory, are copied into a
// backlog ring, which is sent from when the socket becomes writable. WRITABLE is watched only while there is a backlog:
// both ends are connected, so the kernel wakes us when the peer has made room. Frames never overtake each other: the
// backlog is older than the queue, so nothing of the queue is sent past it.
//
// The queue may be filled from outside, too (`txQueue`): a switch puts the plain frames of a batch there. The sink of
// incoming frames is asked for each batch how many it takes that way (`FrameSink.take`), and is handed the others. Or it is
// not even asked (`pump`): then frames are received, forwarded and sent in native code, and we hear of what is left over.
//
//     frame() --> queue of offsets --flush--> sendmmsg --EAGAIN--> backlog ring --WRITABLE--> sendmmsg
//
// Bounds: 1024 frames or 2 MiB of backlog for a socket, and a budget for all sockets of one FrameMemory; beyond them the
// newest frame is dropped and counted (TxQueueFull). Nobody waits.
//
// Receiving. One wake-up takes up to MAX_ROUNDS batches of RX_SLOTS frames into the shared receive slots; each batch is
// handed to the sink and flushed before the next one overwrites it. Frames that are too short or too long are counted
// and dropped, never cut. A datagram of no bytes is ignored: older programs send one as good-bye.
//
// When the peer is gone (ECONNREFUSED once, then ENOTCONN) `onGone` is called once, from a microtask so that nobody is
// called back in the middle of a frame; frames are then counted as TxError without a system call.

import { Drop, type DropCounters } from '../core/drop.ts';
import type { Forwarder } from '../core/forward-table.ts';
import {
  type FrameMemory,
  type FrameQueue,
  type FrameSink,
  type LinkStats,
  RX_SLOTS,
  RX_STRIDE,
} from '../core/frame.ts';
import { errnoName } from '../native/errno.ts';
import {
  type Batch,
  type NativeApi,
  native,
  type Poll,
  READABLE,
  SO_SNDBUF,
  SOL_SOCKET,
  WRITABLE,
} from '../native/native.ts';
import { FrameRing } from './frame-ring.ts';
import { MAX_RX_FRAME, MIN_FRAME } from './limits.ts';

const MAX_ROUNDS = 4;
/** `ready` was called before anything was received. */
const NOT_RECEIVED = 0;
/** A sink that takes none of so many frames in turn is not asked for the rest of the batch. */
const MAX_MISSES = 4;
const QUEUE_FRAMES = 256;
/** Sizes of a backlog as it grows; the last one is the bound. */
const BACKLOG_SIZES = [
  { frames: 64, bytes: 64 << 10 },
  { frames: 512, bytes: 512 << 10 },
  { frames: 1024, bytes: 2 << 20 },
];
/** Backlog of all sockets together (reference: whole switch). */
const BUDGET_BYTES = 64 << 20;
// Beyond some hundred KiB a socket buffer only adds delay.
const SNDBUF = 512 << 10;

/** The last one: a TAP whose interface was removed. */
const GONE = new Set(['ECONNREFUSED', 'ENOTCONN', 'ECONNRESET', 'EPIPE', 'EBADFD']);

/** What the sockets of one FrameMemory share. */
interface Shared {
  /** Receive slots of one batch: used by one socket at a time. */
  readonly rx: Batch;
  /** Bytes queued in all backlogs. */
  queuedBytes: number;
}
const sharedOf = new WeakMap<FrameMemory, Shared>();

function shared(api: NativeApi, memory: FrameMemory): Shared {
  let found = sharedOf.get(memory);
  if (found === undefined) {
    found = { rx: api.newBatch(memory.bytes, RX_SLOTS), queuedBytes: 0 };
    sharedOf.set(memory, found);
  }
  return found;
}

/** The batched calls of a kind of descriptor. */
export type FrameCalls = Pick<NativeApi, 'recv' | 'send'> & {
  /** True when frames that were read already wait for the next `recv`; the descriptor does not tell of these. */
  pending?(): boolean;
};

export interface VdeSocketOptions {
  memory: FrameMemory;
  /** Longest frame to send, bytes. */
  maxTxFrame: number;
  stats: LinkStats;
  drops: DropCounters;
  /** How frames go over the descriptor, where it is not a datagram socket. */
  io?: FrameCalls;
  /** A message of no bytes is the end of the peer, not a word of goodbye to be ignored. Default false. */
  eof?: boolean;
  /** There is no connection: that the peer refuses is told here, and concerns one frame. Default: the peer is gone. */
  onRefused?: () => void;
  /** The peer is gone; called once, never from inside `frame` or `flush`. */
  onGone: () => void;
}

export class VdeSocket implements FrameSink {
  readonly txQueue: FrameQueue;
  private readonly api: NativeApi;
  private readonly io: FrameCalls;
  private readonly fd: number;
  private readonly eof: boolean;
  private readonly onRefused: (() => void) | null;
  private readonly memory: FrameMemory;
  private readonly maxTxFrame: number;
  private readonly stats: LinkStats;
  private readonly drops: DropCounters;
  private readonly onGone: () => void;
  private readonly shared: Shared;
  private readonly queue: Batch;
  /** Made when first needed; its slots are those of `backlogBatch`. */
  private backlog: FrameRing | null = null;
  private backlogBatch: Batch | null = null;
  /** Index into BACKLOG_SIZES of the next size. */
  private backlogSize = 0;
  private sink: FrameSink | null = null;
  /** What may be sent to without asking here: our descriptor + 1 where it is a connected socket, else 0. */
  private readonly direct: number;
  private forwarder: Forwarder | null = null;
  private port = 0;
  private poll: Poll | null = null;
  private events = 0;
  private gone = false;
  private closed = false;
  private readonly readyBound: (events: number, count?: number, next?: number) => void;

  /** @param fd  connected datagram socket; the VdeSocket owns it from now on */
  constructor(fd: number, options: VdeSocketOptions) {
    this.api = native();
    this.io = options.io ?? this.api;
    this.fd = fd;
    this.eof = options.eof ?? false;
    this.onRefused = options.onRefused ?? null;
    this.memory = options.memory;
    this.maxTxFrame = options.maxTxFrame;
    this.stats = options.stats;
    this.drops = options.drops;
    this.onGone = options.onGone;
    this.shared = shared(this.api, options.memory);
    this.queue = this.api.newBatch(options.memory.bytes, QUEUE_FRAMES);
    this.txQueue = { slots: this.queue, maxFrame: options.maxTxFrame };
    this.direct = this.io === this.api && this.onRefused === null ? fd + 1 : 0;
    this.queue.used[2] = this.direct;
    this.readyBound = (events, count, next) => this.ready(events, count ?? NOT_RECEIVED, next ?? 0);
    this.api.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, SNDBUF); // best effort: the system may grant less
  }

  /** The backlog has been sent. */
  onRoom: (() => void) | null = null;

  /** Frames that wait for the peer to make room. */
  get backlogged(): number {
    return this.backlog === null ? 0 : this.backlog.count;
  }

  /** Directs incoming frames to `sink` and begins to receive. */
  attach(sink: FrameSink): void {
    this.pump(null, 0);
    this.sink = sink;
    if (!this.closed && !this.gone) this.watch(this.events | READABLE);
  }

  /** As FrameSink has it. */
  pump(forwarder: Forwarder | null, port: number): void {
    if (forwarder === this.forwarder && port === this.port) return;
    this.forwarder = forwarder;
    this.port = port;
    if (this.poll !== null) this.setPump(this.poll);
  }

  private setPump(poll: Poll): void {
    if (this.direct === 0) return;
    const { rx } = this.shared;
    const forwarder = this.eof ? null : this.forwarder; // the end of a peer looks like an empty frame
    this.api.pollForward(poll, forwarder, this.port, rx, this.memory.rxBase, RX_STRIDE, RX_SLOTS, MAX_RX_FRAME);
  }

  /** Stops or resumes receiving, from inside a sink too. */
  pause(on: boolean): void {
    if (this.sink === null || this.gone) return;
    this.watch(on ? this.events & ~READABLE : this.events | READABLE);
    if (!on) this.receivePending();
  }

  /** Ends the watch and closes the descriptor; what is queued is dropped. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.queue.used[0] = this.queue.used[2] = 0;
    this.dropBacklog(Drop.LinkDown);
    if (this.poll !== null) this.api.pollClose(this.poll);
    this.api.close(this.fd);
  }

  // ---- sending

  frame(b: Uint8Array, off: number, len: number): void {
    if (len < MIN_FRAME || len > this.maxTxFrame) {
      this.drops[len < MIN_FRAME ? Drop.FrameTooShort : Drop.FrameTooLong]!++;
      return;
    }
    if (this.gone || this.closed) {
      this.drops[this.gone ? Drop.TxError : Drop.LinkDown]!++;
      return;
    }
    if (b !== this.memory.bytes) {
      if (this.queue.used[0]! > 0) this.sendQueue();
      this.hold(b, off, len);
      return;
    }
    const { used, offs, lens } = this.queue;
    if (used[0] === QUEUE_FRAMES) this.flush();
    const i = used[0]!;
    used[0] = i + 1;
    offs[i] = off;
    lens[i] = len;
  }

  flush(): void {
    if (this.queue.used[0]! > 0) this.sendQueue();
    // A backlog that does not wait for WRITABLE was made by frames in foreign memory.
    if (this.backlogged > 0 && (this.events & WRITABLE) === 0) this.sendBacklog();
  }

  /** Sends the queue, behind the backlog if there is one; afterwards the queue is empty. */
  private sendQueue(): void {
    const { used, offs, lens } = this.queue;
    const count = used[0]!;
    used[0] = 0;
    if (this.gone || this.closed) {
      this.drops[this.gone ? Drop.TxError : Drop.LinkDown]! += count; // not put there by `frame`
      return;
    }
    if (this.backlogged > 0 && (this.events & WRITABLE) === 0) this.sendBacklog();
    for (let i = this.backlogged > 0 ? 0 : this.transmit(this.queue, 0, count); i < count; i++)
      this.hold(this.memory.bytes, offs[i]!, lens[i]!);
    if (this.backlogged > 0) this.watch(this.events | WRITABLE);
  }

  private sendBacklog(): void {
    const backlog = this.backlog!;
    while (backlog.count > 0) {
      const run = backlog.run;
      const lens = backlog.slots.lens;
      const from = backlog.head;
      const done = this.transmit(this.backlogBatch!, from, run);
      for (let i = 0; i < done; i++) this.shared.queuedBytes -= lens[from + i]!;
      backlog.shift(done);
      if (this.gone) {
        this.dropBacklog(Drop.TxError);
        return;
      }
      if (done < run) {
        this.watch(this.events | WRITABLE);
        return;
      }
    }
    this.queue.used[2] = this.direct;
    this.watch(this.events & ~WRITABLE);
    this.onRoom?.();
  }

  /** Sends frames of a batch until the kernel takes no more; how many are done with, dropped ones included. */
  private transmit(batch: Batch, start: number, count: number): number {
    let done = 0;
    while (done < count) {
      const sent = this.io.send(this.fd, batch, start + done, count - done);
      if (sent === 0) break;
      if (sent > 0) {
        this.stats.txFrames += sent;
        this.stats.txBytes += batch.used[1]!;
        done += sent;
      } else if (this.onRefused === null && GONE.has(errnoName(sent))) {
        this.drops[Drop.TxError]! += count - done;
        this.lose();
        return count;
      } else {
        this.drops[Drop.TxError]!++; // this frame is refused, the next one may not be
        this.onRefused?.();
        done++;
      }
    }
    return done;
  }

  /** Copies a frame into the backlog, or drops it. */
  private hold(b: Uint8Array, off: number, len: number): void {
    if (this.gone) {
      this.drops[Drop.TxError]!++;
      return;
    }
    if (this.shared.queuedBytes + len > BUDGET_BYTES || !this.pushBacklog(b, off, len)) {
      this.drops[Drop.TxQueueFull]!++;
      return;
    }
    this.shared.queuedBytes += len;
    this.queue.used[2] = 0; // nothing may overtake the backlog
  }

  /** Copies a frame behind the backlog, which is made or made larger when that is needed. False at its bound. */
  private pushBacklog(b: Uint8Array, off: number, len: number): boolean {
    while (this.backlog === null || !this.backlog.push(b, off, len)) {
      const size = BACKLOG_SIZES[this.backlogSize];
      if (size === undefined) return false;
      this.backlogSize++;
      const bytes = new Uint8Array(size.bytes);
      const batch = this.api.newBatch(bytes, size.frames);
      const backlog = new FrameRing(bytes, batch);
      if (this.backlog !== null) backlog.take(this.backlog);
      this.backlog = backlog;
      this.backlogBatch = batch;
    }
    return true;
  }

  /** Empties the backlog; its frames are counted under `reason`. */
  private dropBacklog(reason: Drop): void {
    const { backlog } = this;
    while (backlog !== null && backlog.count > 0) {
      this.shared.queuedBytes -= backlog.slots.lens[backlog.head]!;
      this.drops[reason]!++;
      backlog.shift(1);
    }
  }

  // ---- receiving

  private watch(events: number): void {
    if (this.closed || events === this.events) return;
    this.events = events;
    if (this.poll !== null) {
      this.api.pollModify(this.poll, events);
      return;
    }
    this.poll = this.api.poll(this.fd, events, this.readyBound);
    this.setPump(this.poll);
  }

  private ready(events: number, count: number, next: number): void {
    if ((events & WRITABLE) !== 0 && this.backlogged > 0) this.sendBacklog();
    if ((events & READABLE) !== 0 && !this.gone && !this.closed) this.receive(count, next);
  }

  /** @param received  frames in the receive slots, or -errno; those before `next` are done with */
  private receive(received: number, next: number): void {
    const { rx } = this.shared;
    const { rxBase } = this.memory;
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const given = round === 0 && received !== NOT_RECEIVED;
      const count = given ? received : this.io.recv(this.fd, rx, rxBase, RX_STRIDE, RX_SLOTS);
      const sink = this.sink;
      if (count < 0 && this.onRefused !== null) this.onRefused();
      else if (count < 0) this.lose();
      if (count <= 0 || sink === null) return;
      for (let i = given ? next : 0; i < count && !this.closed; i++) {
        const end = this.countRun(rx.lens, i, count);
        this.deliver(sink, rx, i, end);
        if (end === count || this.closed) break;
        i = end;
        const len = rx.lens[i]!;
        if (len > 0) this.drops[len < MIN_FRAME ? Drop.FrameTooShort : Drop.FrameTooLong]!++;
        else if (this.eof) {
          this.lose();
          break;
        }
      }
      sink.flush();
      if (count < RX_SLOTS || this.closed || (this.events & READABLE) === 0) return;
    }
    this.receivePending();
  }

  /** Frames that the descriptor does not tell of are received in the next turn of the event loop. */
  private receivePending(): void {
    if (this.io.pending === undefined || !this.io.pending()) return;
    setImmediate(() => {
      if (!this.gone && !this.closed && (this.events & READABLE) !== 0) this.receive(NOT_RECEIVED, 0);
    });
  }

  /** Counts frames of a batch up to the first that is too short or too long; its number, or `count`. */
  private countRun(lens: Uint32Array, start: number, count: number): number {
    const { stats } = this;
    let i = start;
    let bytes = 0;
    for (; i < count; i++) {
      const len = lens[i]!;
      if (len < MIN_FRAME || len > MAX_RX_FRAME) break;
      bytes += len;
    }
    stats.rxFrames += i - start;
    stats.rxBytes += bytes;
    return i;
  }

  /** Hands frames to the sink: as many as it takes by itself, the others one by one. */
  private deliver(sink: FrameSink, rx: Batch, start: number, end: number): void {
    const { bytes } = this.memory;
    let misses = sink.take === undefined ? MAX_MISSES : 0;
    for (let i = start; i < end && !this.closed; i++) {
      if (misses < MAX_MISSES) {
        const taken = sink.take!(rx, i, end);
        misses = taken > i ? 0 : misses + 1;
        i = taken;
        if (i === end) return;
      }
      sink.frame(bytes, rx.offs[i]!, rx.lens[i]!);
    }
  }

  private lose(): void {
    if (this.gone) return;
    this.gone = true;
    this.queue.used[2] = 0;
    this.watch(0);
    queueMicrotask(() => {
      if (!this.closed) this.onGone();
    });
  }
}
