// Frames on their way into a byte stream: each behind its length, in network order, in a bounded queue.
//
//     push() --> [filling] --pump()--> target.write() --all taken at once--> the buffer is free again
//                                           |
//                                     the reader is slow: [in flight] until the kernel has taken it; push fills
//                                     the other buffer, and drops the newest frame when that is full
//
// There are two buffers of equal bound, so at most twice the bound waits here. A write never cuts a frame. Where the
// target asks for pieces (the plug stream), a write has no more whole frames than fit into a piece, and a longer frame
// goes alone: VDE's own tools keep a part of a frame between two reads, but not a part of its length.

import type { Writable } from 'node:stream';
import { copyInto } from '../core/copy.ts';

const FIRST_BYTES = 16 << 10;
/** Bound of each buffer, bytes. Behind it the kernel holds another 200 KiB or so. */
const MAX_BYTES = 1 << 20;

/** What takes the bytes of a queue. */
export interface ByteTarget {
  /** Most bytes of one write that has several frames; Infinity for no bound. */
  readonly pieceBytes: number;
  /**
   * Writes bytes [from, to) of `b`. True when they are done with; otherwise they must not change until the target calls
   * `resume` of the queue.
   */
  write(b: Buffer, from: number, to: number): boolean;
}

/** A Writable of Node as target. */
export class WritableTarget implements ByteTarget {
  readonly pieceBytes: number;
  private readonly stream: Writable;
  private readonly written: (error?: Error | null) => void;
  private inFlight = false;

  /** @param taken  called when what was in flight has been taken */
  constructor(stream: Writable, pieceBytes: number, taken: () => void) {
    this.stream = stream;
    this.pieceBytes = pieceBytes;
    this.written = (error) => {
      if (error || !this.inFlight || this.stream.writableLength > 0) return;
      this.inFlight = false;
      taken();
    };
  }

  write(b: Buffer, from: number, to: number): boolean {
    this.stream.write(b.subarray(from, to), this.written);
    this.inFlight = this.stream.writableLength > 0;
    return !this.inFlight;
  }
}

class Pending {
  bytes: Buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
  /** Bytes in it, and how many of them have been handed on. */
  end = 0;
  at = 0;

  /** Makes room for `len` bytes behind the others. False at the bound. */
  reserve(len: number): boolean {
    const need = this.end + len;
    if (need > MAX_BYTES) return false;
    let size = this.bytes.length;
    if (need <= size) return true;
    while (size < need) size *= 2;
    const grown = Buffer.allocUnsafeSlow(size);
    this.bytes.copy(grown, 0, 0, this.end);
    this.bytes = grown;
    return true;
  }
}

export class StreamQueue {
  private readonly target: ByteTarget;
  private readonly headerLen: 2 | 4;
  /** Frames are put into `filling`, and leave from `leaving`, which is filled no more until it is empty. */
  private filling = new Pending();
  private leaving = new Pending();
  /** The target holds on to a part of `leaving`. */
  private inFlight = false;
  private closed = false;

  constructor(target: ByteTarget, headerLen: 2 | 4) {
    this.target = target;
    this.headerLen = headerLen;
  }

  /** Bytes that wait or are in flight. */
  get waiting(): number {
    return this.filling.end + (this.inFlight ? this.leaving.end - this.leaving.at + 1 : 0);
  }

  /** Puts a frame behind the others; false when the queue is full. The bytes are copied. */
  push(b: Uint8Array, off: number, len: number): boolean {
    const q = this.filling;
    const { headerLen } = this;
    if (!q.reserve(headerLen + len)) return false;
    let at = q.end;
    if (headerLen === 4) {
      q.bytes[at++] = len >>> 24;
      q.bytes[at++] = len >>> 16;
    }
    q.bytes[at++] = len >>> 8;
    q.bytes[at++] = len;
    copyInto(b, off, len, q.bytes, at);
    q.end = at + len;
    return true;
  }

  /** Hands on what has been pushed, as far as the stream takes it. */
  pump(): void {
    while (!this.inFlight && !this.closed) {
      let q = this.leaving;
      if (q.at === q.end) {
        q.at = q.end = 0;
        if (this.filling.end === 0) return;
        this.leaving = this.filling;
        this.filling = q;
        q = this.leaving;
      }
      const from = q.at;
      q.at = q.end - from <= this.target.pieceBytes ? q.end : this.pieceEnd(q);
      this.inFlight = !this.target.write(q.bytes, from, q.at);
    }
  }

  /** The target has done with what was in flight. */
  resume(): void {
    this.inFlight = false;
    this.pump();
  }

  /** Writes no more; what waits is lost. */
  close(): void {
    this.closed = true;
  }

  /** The end of the longest run of whole frames that fits into one piece, or of one frame. */
  private pieceEnd(q: Pending): number {
    const { headerLen } = this;
    let end = q.at;
    for (;;) {
      let len = 0;
      for (let i = 0; i < headerLen; i++) len = len * 256 + q.bytes[end + i]!;
      const next = end + headerLen + len;
      if (end > q.at && next - q.at > this.target.pieceBytes) return end;
      end = next;
      if (end >= q.end) return end;
    }
  }
}
