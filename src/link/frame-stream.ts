// A link over byte streams: frames behind their lengths, both ways. What carries it is given: a Unix socket to QEMU
// (qemu-stream.ts), or standard input and output (plug-stream.ts).
//
// A chunk that is read is one wake-up: its frames go to the sink, then one `flush`. What is sent leaves at `tx.flush` in
// one write, or waits in a bounded queue (stream-queue.ts) whose newest frame is dropped and counted. The reader of a
// stream cannot find its way back once a length is wrong, so such a length ends the link (StreamBadLength).
//
// The link is over when either stream ends or fails; it does not come back. `onState(false)` tells so, once, never from
// inside `frame` or `flush`.

import type { Readable, Writable } from 'node:stream';
import { Drop, newDropCounters } from '../core/drop.ts';
import { type FrameSink, type Link, newLinkStats } from '../core/frame.ts';
import type { Paced } from './cable.ts';
import { FrameDecoder } from './frame-decoder.ts';
import { FRAME_OVERHEAD, MIN_FRAME } from './limits.ts';
import { StreamQueue, WritableTarget } from './stream-queue.ts';

/** Bytes that wait to be written when the link counts as congested. */
const CONGESTED_BYTES = 256 << 10;
const PIPE_BUF = 4096; // POSIX: what a pipe takes whole or not at all, on Linux

export interface FrameStreamOptions {
  readonly name: string;
  /** Bytes of the length in front of each frame. */
  readonly headerLen: 2 | 4;
  /** Longest frame taken from the stream, bytes. */
  readonly maxRxFrame: number;
  /** Largest packet sent, bytes. */
  readonly mtu: number;
}

/** Why a link over streams has ended. */
export type StreamEnd = 'closed' | 'ended' | 'out of step' | Error;

export class FrameStream implements Link, Paced {
  readonly name: string;
  readonly mtu: number;
  readonly tx: FrameSink;
  readonly stats = newLinkStats();
  readonly drops = newDropCounters();
  onState: ((up: boolean) => void) | null = null;
  onRoom: (() => void) | null = null;
  /** Hears why the link is over, before `onState`; for whoever made it. Not called after close(). */
  onEnd: ((why: StreamEnd) => void) | null = null;
  private readonly input: Readable;
  private readonly output: Writable;
  private readonly maxTxFrame: number;
  private readonly decoder: FrameDecoder;
  private readonly queue: StreamQueue;
  private sink: FrameSink | null = null;
  private over = false;

  /** @param input, output  may be one duplex stream; the link owns them from now on */
  constructor(input: Readable, output: Writable, options: FrameStreamOptions) {
    this.name = options.name;
    this.mtu = options.mtu;
    this.maxTxFrame = options.mtu + FRAME_OVERHEAD;
    this.input = input;
    this.output = output;
    this.decoder = new FrameDecoder(options.headerLen, options.maxRxFrame, (b, off, len) => this.receive(b, off, len));
    const taken = (): void => {
      this.queue.resume();
      if (!this.congested) this.onRoom?.();
    };
    const pieceBytes = options.headerLen === 2 ? PIPE_BUF : Infinity;
    this.queue = new StreamQueue(new WritableTarget(output, pieceBytes, taken), options.headerLen);
    this.tx = { frame: (b, off, len) => this.send(b, off, len), flush: () => this.queue.pump() };
    const ended = () => this.end('ended');
    const failed = (error: Error) => this.end(error);
    input.on('end', ended).on('close', ended).on('error', failed);
    if (output !== (input as unknown)) output.on('close', ended).on('error', failed);
  }

  /** True until the link is over. */
  get up(): boolean {
    return !this.over;
  }

  get congested(): boolean {
    return !this.over && this.queue.waiting > CONGESTED_BYTES;
  }

  hold(on: boolean): void {
    if (on) this.input.pause();
    else if (this.sink !== null) this.input.resume();
  }

  attach(sink: FrameSink): void {
    const first = this.sink === null;
    this.sink = sink;
    if (first && !this.over) this.input.on('data', (chunk: Uint8Array) => this.chunk(chunk));
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

  private chunk(b: Uint8Array): void {
    if (this.over) return;
    // Not a Buffer from here on: its slice() would not copy, as that of every other array of bytes does.
    const inStep = this.decoder.push(new Uint8Array(b.buffer, b.byteOffset, b.byteLength));
    this.sink!.flush();
    if (inStep) return;
    this.drops[Drop.StreamBadLength]!++;
    this.end('out of step');
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

  private end(why: StreamEnd): void {
    if (this.over) return;
    this.over = true;
    this.decoder.stop();
    this.queue.close();
    this.input.destroy();
    this.output.destroy();
    if (why !== 'closed') this.onEnd?.(why);
    this.onState?.(false);
  }
}
