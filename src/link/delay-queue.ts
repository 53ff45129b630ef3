// Frames that wait for their time, in any order of times, bounded in bytes and frames.
//
// A binary heap of slots, ordered by time and then by age. The bytes of a slot lie in a chunk of one of four sizes; slots of
// each size are carved out of larger blocks when they are first needed, and used again for ever: once a queue has been as
// full as it gets, a frame costs one copy and no allocation.

import { copyInto } from '../core/copy.ts';
import { MAX_RX_FRAME } from './limits.ts';

/** Bytes of slots, smallest first. */
const SIZES = [128, 512, 1536, (MAX_RX_FRAME + 63) & ~63] as const;
const BLOCK = 1 << 16;

interface Slot {
  readonly bytes: Uint8Array;
  readonly offset: number;
  readonly size: number;
  len: number;
  timeMs: number;
  serial: number;
}

export class DelayQueue {
  private readonly heap: Slot[] = [];
  private readonly free: Slot[][] = SIZES.map(() => []);
  private readonly maxFrames: number;
  private readonly maxBytes: number;
  private held = 0;
  private serial = 0;

  /** @param maxBytes  of frames and the slots they lie in */
  constructor(maxFrames: number, maxBytes: number) {
    this.maxFrames = maxFrames;
    this.maxBytes = maxBytes;
  }

  get count(): number {
    return this.heap.length;
  }

  /** When the first frame is due, monotonic milliseconds; `Infinity` when none waits. */
  get nextMs(): number {
    return this.heap.length === 0 ? Number.POSITIVE_INFINITY : this.heap[0]!.timeMs;
  }

  /** Copies a frame that is due at `timeMs`; false at the bound. */
  push(b: Uint8Array, off: number, len: number, timeMs: number): boolean {
    const size = SIZES.findIndex((bytes) => len <= bytes);
    if (size < 0 || this.heap.length >= this.maxFrames || this.held + SIZES[size]! > this.maxBytes) return false;
    const slot = this.free[size]!.pop() ?? this.carve(size);
    this.held += SIZES[size]!;
    copyInto(b, off, len, slot.bytes, slot.offset);
    slot.len = len;
    slot.timeMs = timeMs;
    slot.serial = this.serial++;
    this.up(slot);
    return true;
  }

  /** Takes the first frame out and lends it to `deliver`. There must be one. */
  shift(deliver: (b: Uint8Array, off: number, len: number) => void): void {
    const slot = this.heap[0]!;
    const last = this.heap.pop()!;
    if (this.heap.length > 0) this.down(last);
    deliver(slot.bytes, slot.offset, slot.len);
    this.held -= SIZES[slot.size]!;
    this.free[slot.size]!.push(slot);
  }

  private carve(size: number): Slot {
    const bytes = new Uint8Array(BLOCK);
    const step = SIZES[size]!;
    const list = this.free[size]!;
    for (let offset = 0; offset + step <= BLOCK; offset += step)
      list.push({ bytes, offset, size, len: 0, timeMs: 0, serial: 0 });
    return list.pop()!;
  }

  private up(slot: Slot): void {
    const { heap } = this;
    let i = heap.length;
    heap.push(slot);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!before(slot, heap[parent]!)) break;
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = slot;
  }

  /** Puts a slot where the first one was. */
  private down(slot: Slot): void {
    const { heap } = this;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, slot)) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = slot;
  }
}

const before = (a: Slot, b: Slot): boolean => a.timeMs < b.timeMs || (a.timeMs === b.timeMs && a.serial < b.serial);
