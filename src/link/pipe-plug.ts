// The plug stream over two descriptors, by the native addon: many frames with one read, and writes that VDE's own
// programs understand. frame-stream.ts does the same on Node's streams, at several times the cost.
//
//   read      up to 64 KiB at once into the shared receive slots; frames are lent where they lie, so that a link that
//             batches sends them without a copy. A frame, or its length, that the end of a read has cut is kept.
//   write     VDE's own readers (plug4 as well as the classic ones) take 4096 or 9234 bytes at a time and lose a length
//             that the end of a read has cut, and with it the stream. That must never happen, so the writer makes reads
//             end where frames end: pieces of whole frames, at most 3072 bytes (or one frame), and the next piece only
//             when the last one has been read. For that the kernel's buffer is made as small as it can be: a pipe of one
//             page, or a socket with the least of a send buffer, becomes writable again when it is empty (a socket also
//             when less than 200 bytes are left, which together with a piece still fit into one read).
//
// A pipe whose reader is one of ours is filled in one go instead: both ends see the size of a pipe, and the reader has
// set one that nobody else does (OURS). No bytes are exchanged for it, and it can be noticed at any time.
//
// The link is over when the input ends, when nobody reads the output any more, or when a length is over the limit.
// `onState(false)` tells so, once, never from inside `frame` or `flush`.

import { Drop, newDropCounters } from '../core/drop.ts';
import { type FrameMemory, type FrameSink, type Link, newLinkStats } from '../core/frame.ts';
import { errnoName, systemError } from '../native/errno.ts';
import {
  type Batch,
  DISCONNECT,
  type NativeApi,
  native,
  type Poll,
  READABLE,
  SO_SNDBUF,
  SOL_SOCKET,
  WRITABLE,
} from '../native/native.ts';
import type { Paced } from './cable.ts';
import { FrameDecoder } from './frame-decoder.ts';
import type { StreamEnd } from './frame-stream.ts';
import { FRAME_OVERHEAD, MIN_FRAME } from './limits.ts';
import { type ByteTarget, StreamQueue } from './stream-queue.ts';

const HEADER_LEN = 2;
/** Longest frame that a plug stream carries, bytes (plug4; its classic readers stop at 1521). */
export const MAX_PLUG_FRAME = 9236;
/** Most bytes of one read: what a link can take before it says that it is congested. */
const READ_BYTES = 64 << 10;
const MAX_ROUNDS = 4;
/** Bytes that wait to be written when the link counts as congested, and when it no longer does. */
const CONGESTED_BYTES = 256 << 10;
const ROOM_BYTES = 64 << 10;
const PIECE_BYTES = 3072;
/** The least that a pipe can hold: one page. */
const SMALLEST_PIPE = 4096;
/** Size of a pipe that one of our readers listens at; the default is 64 KiB. */
const OURS = 256 << 10;

export interface PipePlugOptions {
  readonly name: string;
  readonly memory: FrameMemory;
  /**
   * Descriptors of pipes or stream sockets, two different ones. The link owns them from now on, and closes them with
   * itself, but not 0 to 2: those numbers must not become other files of the process.
   */
  readonly input: number;
  readonly output: number;
  /** Largest packet sent, bytes. */
  readonly mtu: number;
}

export class PipePlug implements Link, Paced {
  readonly name: string;
  readonly mtu: number;
  readonly tx: FrameSink;
  readonly stats = newLinkStats();
  readonly drops = newDropCounters();
  onState: ((up: boolean) => void) | null = null;
  onRoom: (() => void) | null = null;
  /** Hears why the link is over, before `onState`. Not called after close(). */
  onEnd: ((why: StreamEnd) => void) | null = null;
  private readonly api: NativeApi;
  private readonly memory: FrameMemory;
  private readonly input: number;
  private readonly maxTxFrame: number;
  private readonly decoder: FrameDecoder;
  private readonly rx: Batch;
  private readonly writer: PipeWriter;
  private readonly queue: StreamQueue;
  private poll: Poll | null = null;
  private held = false;
  private crowded = false;
  private sink: FrameSink | null = null;
  private over = false;
  private ending = false;

  constructor(options: PipePlugOptions) {
    this.api = native();
    this.name = options.name;
    this.mtu = options.mtu;
    this.maxTxFrame = Math.min(options.mtu + FRAME_OVERHEAD, MAX_PLUG_FRAME);
    this.memory = options.memory;
    this.input = options.input;
    this.rx = this.api.newBatch(options.memory.bytes, 1);
    this.decoder = new FrameDecoder(HEADER_LEN, MAX_PLUG_FRAME, (b, off, len) => this.receive(b, off, len));
    this.writer = new PipeWriter(this.api, options.output, {
      taken: () => this.taken(),
      gone: (why) => this.endSoon(why),
    });
    this.queue = new StreamQueue(this.writer, HEADER_LEN);
    this.tx = { frame: (b, off, len) => this.send(b, off, len), flush: () => this.queue.pump() };
    this.api.pipeSize(this.input, OURS); // a socket refuses, a pipe may: then all is as with other programs
  }

  /** True until the link is over. */
  get up(): boolean {
    return !this.over;
  }

  get congested(): boolean {
    if (this.queue.waiting > CONGESTED_BYTES) this.crowded = true;
    return this.crowded && !this.over;
  }

  hold(on: boolean): void {
    this.held = on;
    if (this.poll !== null && !this.over) this.api.pollModify(this.poll, on ? 0 : READABLE);
  }

  attach(sink: FrameSink): void {
    this.sink = sink;
    if (this.poll === null && !this.over) this.poll = this.api.poll(this.input, READABLE, () => this.ready());
  }

  async close(): Promise<void> {
    this.end('closed');
  }

  private send(b: Uint8Array, off: number, len: number): void {
    if (len < MIN_FRAME || len > this.maxTxFrame) {
      this.drops[len < MIN_FRAME ? Drop.FrameTooShort : Drop.FrameTooLong]!++;
    } else if (this.over) this.drops[Drop.LinkDown]!++;
    else if (!this.queue.push(b, off, len)) this.drops[Drop.TxQueueFull]!++;
    else {
      this.stats.txFrames++;
      this.stats.txBytes += len;
    }
  }

  private ready(): void {
    const { bytes, rxBase } = this.memory;
    for (let round = 0; round < MAX_ROUNDS && !this.over && !this.held; round++) {
      const n = this.api.readStream(this.input, this.rx, rxBase, READ_BYTES);
      if (n <= 0) {
        if (n === 0) this.end('ended');
        else if (errnoName(n) !== 'EAGAIN') this.end(systemError(n, 'read', this.name));
        return;
      }
      const inStep = this.decoder.push(bytes, rxBase, rxBase + n);
      this.sink!.flush();
      if (!inStep) {
        this.drops[Drop.StreamBadLength]!++;
        this.end('out of step');
      }
      if (n < READ_BYTES) return;
    }
  }

  private receive(b: Uint8Array, off: number, len: number): void {
    if (len < MIN_FRAME) {
      this.drops[Drop.FrameTooShort]!++;
      return;
    }
    this.stats.rxFrames++;
    this.stats.rxBytes += len;
    this.sink!.frame(b, off, len);
  }

  private taken(): void {
    this.queue.resume();
    if (!this.crowded || this.queue.waiting > ROOM_BYTES) return;
    this.crowded = false;
    this.onRoom?.();
  }

  /** The writer has lost its reader, maybe inside `flush`. */
  private endSoon(why: StreamEnd): void {
    if (this.ending) return;
    this.ending = true;
    queueMicrotask(() => this.end(why));
  }

  private end(why: StreamEnd): void {
    if (this.over) return;
    this.over = true;
    this.decoder.stop();
    this.queue.close();
    if (this.poll !== null) this.api.pollClose(this.poll);
    closeOwn(this.api, this.input);
    this.writer.close();
    if (why !== 'closed') this.onEnd?.(why);
    this.onState?.(false);
  }
}

function closeOwn(api: NativeApi, fd: number): void {
  if (fd > 2) api.close(fd);
}

interface WriterEvents {
  /** What was in flight has been taken; not called from inside write(). */
  taken(): void;
  gone(why: StreamEnd): void;
}

/** Writes pieces to a descriptor, each when the one before has been read, or all at once to a reader of ours. */
class PipeWriter implements ByteTarget {
  pieceBytes = PIECE_BYTES;
  private readonly api: NativeApi;
  private readonly fd: number;
  private readonly events: WriterEvents;
  private readonly poll: Poll;
  /** A batch of one slot for each buffer that the queue writes from: there are two, and they grow. */
  private readonly batches = new WeakMap<Buffer, Batch>();
  private lockstep = true;
  private readonly isPipe: boolean;
  /**
   * What is watched while nothing is in flight: the end of the reader of a pipe. A socket tells of its other half, which
   * says nothing of this one; there the next write finds out.
   */
  private readonly idle: number;
  private batch: Batch | null = null;
  private closed = false;

  constructor(api: NativeApi, fd: number, events: WriterEvents) {
    this.api = api;
    this.fd = fd;
    this.events = events;
    this.isPipe = api.pipeSize(fd, 0) > 0;
    if (!this.isPipe) api.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, 0);
    else if (!this.readByUs()) api.pipeSize(fd, SMALLEST_PIPE);
    this.idle = this.isPipe ? DISCONNECT : 0;
    this.poll = api.poll(fd, this.idle, (ready) => this.ready(ready));
  }

  write(b: Buffer, from: number, to: number): boolean {
    let batch = this.batches.get(b);
    if (batch === undefined) {
      batch = this.api.newBatch(b, 1);
      this.batches.set(b, batch);
    }
    batch.offs[0] = from;
    batch.lens[0] = to - from;
    const left = this.transmit(batch);
    if (left === 0 && !this.lockstep) return true;
    this.batch = left === 0 ? null : batch;
    this.watch(this.idle | WRITABLE);
    return false;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.api.pollClose(this.poll);
    closeOwn(this.api, this.fd);
  }

  /** Writes what the slot of a batch says; how many bytes are left of it. */
  private transmit(batch: Batch): number {
    const n = this.api.writeStream(this.fd, batch, 0, 1);
    if (n < 0) {
      const code = errnoName(n);
      this.events.gone(code === 'EPIPE' || code === 'ECONNRESET' ? 'ended' : systemError(n, 'write', 'to the stream'));
      return batch.lens[0]!;
    }
    batch.offs[0]! += n;
    batch.lens[0]! -= n;
    return batch.lens[0]!;
  }

  private ready(events: number): void {
    if ((events & DISCONNECT) !== 0) {
      this.watch(0);
      this.events.gone('ended');
      return;
    }
    if (this.batch !== null) {
      if (this.transmit(this.batch) > 0) return;
      this.batch = null;
      if (this.lockstep) return; // until that has been read
    }
    if (this.lockstep && this.isPipe) this.readByUs();
    this.watch(this.idle);
    this.events.taken();
  }

  /** Looks whether a reader of ours is at the other end of the pipe; if so nothing needs care any more. */
  private readByUs(): boolean {
    if (this.api.pipeSize(this.fd, 0) !== OURS) return false;
    this.lockstep = false;
    this.pieceBytes = Number.POSITIVE_INFINITY;
    return true;
  }

  private watch(events: number): void {
    if (!this.closed) this.api.pollModify(this.poll, events);
  }
}
