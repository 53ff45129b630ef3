// A bounded queue of frames in a byte ring of its own: for frames that must outlive the call that brought them.
//
// Frames lie whole, one after the other, at offsets = 2 (mod 4); one that does not fit before the end of the bytes
// starts over at 2. Their offsets and lengths are kept in a second ring of slots, which may be the arrays of a native
// batch, so that queued frames are sent where they lie.
//
//   bytes   |  newest |  (free)  | oldest | ... | ... |
//                     ^at        ^offs[head]

import { copyInto } from '../core/copy.ts';
import type { FrameSlots } from '../core/frame.ts';

/** Slots for a ring whose frames are not sent by the native addon. */
export const plainSlots = (capacity: number): FrameSlots => ({
  capacity,
  offs: new Uint32Array(capacity),
  lens: new Uint32Array(capacity),
});

export class FrameRing {
  readonly bytes: Uint8Array;
  readonly slots: FrameSlots;
  /** Frames queued. */
  count = 0;
  /** Slot of the oldest frame. */
  head = 0;
  /** First byte behind the newest frame. */
  private at = 0;

  constructor(bytes: Uint8Array, slots: FrameSlots) {
    this.bytes = bytes;
    this.slots = slots;
  }

  /** Copies a frame behind the newest one. False when there is no slot or no room. */
  push(b: Uint8Array, off: number, len: number): boolean {
    const { offs, lens, capacity } = this.slots;
    if (this.count === capacity) return false;
    if (this.count === 0) this.at = 0;
    let start = ((this.at + 1) & ~3) + 2;
    const oldest = this.count === 0 ? -1 : offs[this.head]!;
    if (this.at > oldest) {
      if (start + len > this.bytes.length) {
        start = 2;
        if (start + len > oldest) return false;
      }
    } else if (start + len > oldest) return false;
    copyInto(b, off, len, this.bytes, start);
    const slot = (this.head + this.count) % capacity;
    offs[slot] = start;
    lens[slot] = len;
    this.count++;
    this.at = start + len;
    return true;
  }

  /** How many of the oldest frames lie in slots one after the other from `head`. */
  get run(): number {
    return Math.min(this.count, this.slots.capacity - this.head);
  }

  /** Forgets the `n` oldest frames. */
  shift(n: number): void {
    this.head = (this.head + n) % this.slots.capacity;
    this.count -= n;
  }

  /** Moves all frames of a smaller ring to the end of this one. */
  take(other: FrameRing): void {
    for (; other.count > 0; other.shift(1))
      this.push(other.bytes, other.slots.offs[other.head]!, other.slots.lens[other.head]!);
  }

  clear(): void {
    this.head = this.count = 0;
  }
}
