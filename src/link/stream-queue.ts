// Frames on their way into a byte stream: each behind its length, in network order, in a bounded queue.
//
//     push() --> [filling] --pump()--> stream.write() --all taken at once--> the buffer is free again
//                                           |
//                                     the reader is slow: [in flight] until the kernel has taken it; push fills
//                                     the other buffer, and drops the newest frame when that is full
//
// There are two buffers of equal bound, so at most twice the bound waits here. A write never cuts a frame. For the plug
// stream (2 bytes of length) a write has no more whole frames than a pipe takes in one piece, and a longer frame goes
// alone: VDE's classic tools keep a part of a frame between two reads, but not a part of its length.

import type { Writable } from 'node:stream';
import { copyFrame } from './frame-ring.ts';

const FIRST_BYTES = 16 << 10;
/** Bound of each buffer, bytes. Behind it the kernel holds another 200 KiB or so. */
const MAX_BYTES = 1 << 20;
const PIPE_BUF = 4096; // POSIX: what a pipe takes whole or not at all, on Linux

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
  private readonly stream: Writable;
  private readonly headerLen: 2 | 4;
  /** Frames are put into `filling`, and leave from `leaving`, which is filled no more until it is empty. */
  private filling = new Pending();
  private leaving = new Pending();
  /** The stream holds on to a part of `leaving`. */
  private inFlight = false;
  private closed = false;
  private readonly written: (error?: Error | null) => void;

  constructor(stream: Writable, headerLen: 2 | 4) {
    this.stream = stream;
    this.headerLen = headerLen;
    this.written = (error) => {
      if (error || !this.inFlight || this.stream.writableLength > 0) return;
      this.inFlight = false;
      this.pump();
    };
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
    copyFrame(q.bytes, at, b, off, len);
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
      q.at = this.headerLen === 2 ? pieceEnd(q) : q.end;
      this.stream.write(q.bytes.subarray(from, q.at), this.written);
      this.inFlight = this.stream.writableLength > 0;
    }
  }

  /** Writes no more; what waits is lost. */
  close(): void {
    this.closed = true;
  }
}

/** The end of the longest run of whole frames of a plug stream that a pipe takes in one piece, or of one frame. */
function pieceEnd(q: Pending): number {
  let end = q.at;
  for (;;) {
    const next = end + 2 + ((q.bytes[end]! << 8) | q.bytes[end + 1]!);
    if (end > q.at && next - q.at > PIPE_BUF) return end;
    end = next;
    if (end >= q.end) return end;
  }
}
