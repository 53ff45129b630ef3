// A link of plain frames as one that takes and gives TCP many segments at a time, as TAP interfaces with a vnet header do
// (Link.offload). The work is done by native code over batches (segments.c): frames that continue each other are merged
// and summed on the way in, large segments are cut and summed on the way out. Most of what a segment costs TCP is then
// paid once for dozens of them.
//
//   in    the link's frames are collected, by offset, until its flush; then merged ones go to the sink
//   out   frames are collected until flush; then those that fit the MTU go to the link, which flushes too
//
// Order is kept both ways. What is not in the shared memory passes by itself. Merged frames and cut ones lie in regions of
// the shared memory, each used again after a flush.

import type { FrameMemory, FrameSink, Link, LinkStats } from '../core/frame.ts';
import { type Batch, type NativeApi, native, SUM_HOLDS } from '../native/native.ts';

/** Frames that are collected each way. */
const QUEUE_FRAMES = 256;
/** Frames out of those: a segment of 64 KiB has 130 for the least MTU. */
const OUT_FRAMES = 1024;
/** Links with a smaller MTU are not worth it, and 64 KiB would not fit OUT_FRAMES. */
export const MIN_SEGMENT_MTU = 576;
const MERGED_BYTES = 640 << 10;
const CUT_BYTES = 1 << 20;

export class SegmentLink implements Link {
  readonly name: string;
  readonly mtu: number;
  readonly offload = true;
  readonly stats: LinkStats;
  readonly drops: Float64Array;
  readonly tx: FrameSink;
  /** See Link. */
  trusted = false;
  private readonly api: NativeApi;
  private readonly inner: Link;
  private readonly memory: FrameMemory;
  private readonly rxQueue: Batch;
  private readonly rxOut: Batch;
  private readonly txQueue: Batch;
  private readonly txOut: Batch;
  private readonly merged: number;
  private readonly cut: number;
  /** Where what is left of the region of cut frames begins. */
  private cutAt: number;
  private received = 0;
  private queued = 0;
  private sink: FrameSink | null = null;

  /** @param inner  MTU of at least MIN_SEGMENT_MTU; nobody else sends by it or attaches to it */
  constructor(inner: Link, memory: FrameMemory) {
    this.api = native();
    this.inner = inner;
    this.name = inner.name;
    this.mtu = inner.mtu;
    this.stats = inner.stats;
    this.drops = inner.drops;
    this.memory = memory;
    const batch = (frames: number): Batch => this.api.newBatch(memory.bytes, frames);
    this.rxQueue = batch(QUEUE_FRAMES);
    this.rxOut = batch(QUEUE_FRAMES);
    this.txQueue = batch(QUEUE_FRAMES);
    this.txOut = batch(OUT_FRAMES);
    this.merged = memory.region(MERGED_BYTES);
    this.cut = memory.region(CUT_BYTES);
    this.cutAt = this.cut;
    this.tx = { frame: (b, off, len) => this.send(b, off, len), flush: () => this.flush() };
  }

  get onState(): ((up: boolean) => void) | null {
    return this.inner.onState;
  }

  set onState(listener: ((up: boolean) => void) | null) {
    this.inner.onState = listener;
  }

  attach(sink: FrameSink): void {
    this.sink = sink;
    this.inner.attach({
      frame: (b, off, len) => this.receive(b, off, len),
      flush: () => {
        this.deliver();
        sink.flush();
      },
    });
  }

  close(): Promise<void> {
    return this.inner.close();
  }

  // ---- in

  private receive(b: Uint8Array, off: number, len: number): void {
    const { rxQueue } = this;
    if (b !== this.memory.bytes) {
      this.deliver();
      this.sink!.frame(b, off, len);
      return;
    }
    if (this.received === QUEUE_FRAMES) this.deliver();
    const i = this.received++;
    rxQueue.offs[i] = off;
    rxQueue.lens[i] = len;
  }

  /** Hands what was collected to the sink. */
  private deliver(): void {
    const { rxQueue, rxOut, memory, merged } = this;
    const count = this.received;
    this.received = 0;
    const sink = this.sink!;
    if (count === 1) {
      sink.frame(memory.bytes, rxQueue.offs[0]!, rxQueue.lens[0]!);
      return;
    }
    for (let done = 0; done < count; ) {
      done += this.api.mergeSegments(rxQueue, done, count - done, rxOut, merged, merged + MERGED_BYTES);
      const frames = rxOut.used[0]!;
      for (let i = 0; i < frames; i++) {
        const len = rxOut.lens[i]!;
        this.trusted = len >= SUM_HOLDS;
        sink.frame(memory.bytes, rxOut.offs[i]!, len % SUM_HOLDS);
      }
    }
    this.trusted = false;
  }

  // ---- out

  private send(b: Uint8Array, off: number, len: number): void {
    const { txQueue } = this;
    if (b !== this.memory.bytes) {
      this.pass();
      this.inner.tx.frame(b, off, len);
      return;
    }
    if (this.queued === QUEUE_FRAMES) this.pass();
    const i = this.queued++;
    txQueue.offs[i] = off;
    txQueue.lens[i] = len;
  }

  /** Hands what was collected to the link. */
  private pass(): void {
    const { txQueue, txOut, memory, cut } = this;
    const count = this.queued;
    this.queued = 0;
    const { tx } = this.inner;
    for (let done = 0; done < count; ) {
      done += this.api.splitSegments(txQueue, done, count - done, this.mtu, txOut, this.cutAt, cut + CUT_BYTES);
      const frames = txOut.used[0]!;
      for (let i = 0; i < frames; i++) tx.frame(memory.bytes, txOut.offs[i]!, txOut.lens[i]!);
      this.cutAt = txOut.used[1]!;
      if (done < count) {
        tx.flush();
        this.cutAt = cut;
      }
    }
  }

  private flush(): void {
    if (this.queued > 0) this.pass();
    this.inner.tx.flush();
    this.cutAt = this.cut;
  }
}
