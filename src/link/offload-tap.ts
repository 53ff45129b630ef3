// A TAP interface for the router alone, with what the kernel leaves to network cards left to the router: TCP comes in
// pieces of up to 64 KiB, without checksums, and goes out so (Link.offload). Besides TCP, frames are as on a wire.
//
// Frames to be sent are queued by offset and leave at `flush`; what the kernel does not take is dropped and counted, as
// it would be by a full ring of a card. Receiving is as in vde-socket.ts, with slots of its own, which are longer.

import { Drop, newDropCounters } from '../core/drop.ts';
import { type FrameMemory, type FrameSink, type Link, newLinkStats } from '../core/frame.ts';
import { errnoName } from '../native/errno.ts';
import { type Batch, type NativeApi, native, type Poll, READABLE } from '../native/native.ts';
import { FRAME_OVERHEAD, MIN_FRAME } from './limits.ts';

/** The longest frame: an IP packet of 65,535 bytes. */
const MAX_FRAME = 14 + 65_535;
/** The vnet header is before the frame; slots are not a multiple of 4096 apart (cache aliasing). */
const RX_STRIDE = 10 + MAX_FRAME + 65;
const RX_SLOTS = 16;
const MAX_ROUNDS = 4;
const QUEUE_FRAMES = 256;

export interface OffloadTapOptions {
  readonly name: string;
  /** Largest packet, bytes: the interface's MTU. */
  readonly mtu: number;
  /** Memory of the router: frames in any other are refused. */
  readonly memory: FrameMemory;
}

export class OffloadTap implements Link {
  readonly name: string;
  readonly mtu: number;
  readonly offload = true;
  readonly trusted = true;
  readonly tx: FrameSink;
  readonly stats = newLinkStats();
  readonly drops = newDropCounters();
  onState: ((up: boolean) => void) | null = null;
  private readonly api: NativeApi;
  private readonly fd: number;
  private readonly memory: FrameMemory;
  private readonly rxBytes = new Uint8Array(RX_SLOTS * RX_STRIDE);
  private readonly rx: Batch;
  private readonly queue: Batch;
  private queued = 0;
  private sink: FrameSink | null = null;
  private poll: Poll | null = null;
  private closed = false;

  /** @param fd  TAP interface opened with a vnet header; the link's from now on */
  constructor(fd: number, options: OffloadTapOptions) {
    this.api = native();
    this.fd = fd;
    this.name = `tap:${options.name}`;
    this.mtu = options.mtu;
    this.memory = options.memory;
    this.rx = this.api.newBatch(this.rxBytes, RX_SLOTS);
    this.queue = this.api.newBatch(options.memory.bytes, QUEUE_FRAMES);
    this.tx = {
      frame: (b, off, len) => this.frame(b, off, len),
      flush: () => this.flush(),
    };
  }

  attach(sink: FrameSink): void {
    this.sink = sink;
    if (!this.closed) this.poll ??= this.api.poll(this.fd, READABLE, () => this.receive());
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.end();
    this.onState?.(false);
  }

  private end(): void {
    this.closed = true;
    this.queued = 0;
    if (this.poll !== null) this.api.pollClose(this.poll);
    this.api.close(this.fd);
  }

  // ---- sending

  private frame(b: Uint8Array, off: number, len: number): void {
    const tooLong = len > MAX_FRAME || (len > this.mtu + FRAME_OVERHEAD && !isTcp(b, off));
    if (len < MIN_FRAME || tooLong || this.closed || b !== this.memory.bytes) {
      const fit = this.closed ? Drop.LinkDown : Drop.TxError;
      this.drops[len < MIN_FRAME ? Drop.FrameTooShort : tooLong ? Drop.FrameTooLong : fit]!++;
      return;
    }
    if (this.queued === QUEUE_FRAMES) this.flush();
    const i = this.queued++;
    this.queue.offs[i] = off;
    this.queue.lens[i] = len;
  }

  private flush(): void {
    const count = this.queued;
    this.queued = 0;
    for (let done = 0; done < count; ) {
      const sent = this.api.writeOffloaded(this.fd, this.queue, done, count - done, this.mtu);
      if (sent > 0) {
        this.stats.txFrames += sent;
        for (let i = done; i < done + sent; i++) this.stats.txBytes += this.queue.lens[i]!;
        done += sent;
      } else {
        // EAGAIN, or the interface is down (EIO): one frame is refused, the next one may not be
        this.drops[sent === 0 ? Drop.TxQueueFull : Drop.TxError]!++;
        done++;
      }
    }
  }

  // ---- receiving

  private receive(): void {
    const { rx, rxBytes } = this;
    for (let round = 0; round < MAX_ROUNDS && !this.closed; round++) {
      const count = this.api.readOffloaded(this.fd, rx, 0, RX_STRIDE, RX_SLOTS);
      if (count < 0) this.lose(count);
      const { sink } = this;
      if (count <= 0 || sink === null) return;
      for (let i = 0; i < count && !this.closed; i++) {
        const len = rx.lens[i]!;
        if (len < MIN_FRAME) {
          this.drops[Drop.FrameTooShort]!++;
          continue;
        }
        this.stats.rxFrames++;
        this.stats.rxBytes += len;
        sink.frame(rxBytes, rx.offs[i]!, len);
      }
      sink.flush();
      if (count < RX_SLOTS) return;
    }
  }

  /** The interface was removed, with its namespace perhaps. While it is only down (EIO) it may come back. */
  private lose(status: number): void {
    if (errnoName(status) !== 'EBADFD' || this.closed) return;
    this.end();
    queueMicrotask(() => this.onState?.(false));
  }
}

/** What the kernel cuts: TCP over IPv4 or IPv6. */
function isTcp(b: Uint8Array, off: number): boolean {
  const type = (b[off + 12]! << 8) | b[off + 13]!;
  return type === 0x0800 ? b[off + 23] === 6 : type === 0x86dd && b[off + 20] === 6;
}
