// Frames out of a byte stream, in which each is preceded by its length in network order.
//
//   plug stream   00 3c ff ff ff ff ff ff 02 00 ...        2 bytes
//   QEMU          00 00 00 3c ff ff ff ff ff ff 02 00 ...  4 bytes
//
// The stream has no other mark, so a length that cannot be one means that both sides are out of step for good: the
// decoder then stops. A chunk may begin and end anywhere. A frame that lies whole in one chunk is lent where it lies;
// only one that is cut by the end of a chunk is copied, into a buffer that is made when it is first needed. A length of
// zero is skipped: VDE's tools allow it.

import { copyInto } from '../core/copy.ts';

export class FrameDecoder {
  /** Bytes of the length. */
  private readonly headerLen: 2 | 4;
  /** Longest frame, bytes. */
  private readonly maxFrame: number;
  private readonly deliver: (b: Uint8Array, off: number, len: number) => void;
  /** Header and frame that the end of a chunk has cut. */
  private partial: Uint8Array | null = null;
  /** Bytes of it. */
  private have = 0;
  private stopped = false;

  constructor(headerLen: 2 | 4, maxFrame: number, deliver: (b: Uint8Array, off: number, len: number) => void) {
    this.headerLen = headerLen;
    this.maxFrame = maxFrame;
    this.deliver = deliver;
  }

  /** Makes `push` deliver nothing more, from inside `deliver` too. */
  stop(): void {
    this.stopped = true;
  }

  /**
   * Takes the next bytes of the stream, [off, end), and delivers the frames that are complete with them; they are on loan.
   *
   * @returns false when a length is over the limit: the stream is of no use any more
   */
  push(b: Uint8Array, off = 0, end = b.length): boolean {
    const { headerLen } = this;
    let at = this.have > 0 ? this.complete(b, off, end) : off;
    while (at >= 0 && !this.stopped && end - at >= headerLen) {
      const len = this.length(b, at);
      if (len > this.maxFrame) at = -1;
      else if (end - at < headerLen + len) break;
      else {
        at += headerLen + len;
        if (len > 0) this.deliver(b, at - len, len);
      }
    }
    if (at < 0) this.stopped = true;
    else if (!this.stopped && at < end) this.keep(b, at, end - at);
    return at >= 0;
  }

  /** Goes on with the frame that was cut; the offset behind it in `b`, or -1 when its length is over the limit. */
  private complete(b: Uint8Array, off: number, end: number): number {
    const { headerLen } = this;
    const partial = this.partial!;
    let at = off;
    while (this.have < headerLen) {
      if (at === end) return at;
      partial[this.have++] = b[at++]!;
    }
    const len = this.length(partial, 0);
    if (len > this.maxFrame) return -1;
    const n = Math.min(headerLen + len - this.have, end - at);
    this.keep(b, at, n);
    if (this.have < headerLen + len) return end;
    this.have = 0;
    if (len > 0) this.deliver(partial, headerLen, len);
    return at + n;
  }

  private keep(b: Uint8Array, off: number, len: number): void {
    this.partial ??= new Uint8Array(this.headerLen + this.maxFrame);
    copyInto(b, off, len, this.partial, this.have);
    this.have += len;
  }

  /** The length at `at`, unsigned. */
  private length(b: Uint8Array, at: number): number {
    const low = (b[at + this.headerLen - 2]! << 8) | b[at + this.headerLen - 1]!;
    return this.headerLen === 2 ? low : ((b[at]! << 24) | (b[at + 1]! << 16) | low) >>> 0;
  }
}
