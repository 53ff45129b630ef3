// Traffic shaping of one interface's output: what stands between the forwarder and the link.
//
//   ufifo   nothing: frames go to the link at once
//   pfifo   at most `limit` frames of one wake-up go out, the others are dropped
//   bfifo   the same in bytes
//   tbf     token bucket: `rate` bytes per second on average; what exceeds it waits, up to `limit` bytes
//
// The bucket holds BURST_MS of the rate, and at least one frame of the largest size. Waiting frames lie in a ring of their
// own and leave when the timer finds enough tokens: a frame costs its bytes, no overhead counted.

import { Drop, type DropCounters } from '../core/drop.ts';
import type { FrameSink } from '../core/frame.ts';
import type { Timer, TimerWheel } from '../core/timer-wheel.ts';
import { FrameRing, plainSlots } from '../link/index.ts';

export type Policy =
  | { readonly kind: 'ufifo' }
  | { readonly kind: 'pfifo' | 'bfifo'; readonly limit: number }
  | { readonly kind: 'tbf'; readonly rate: number; readonly limit: number };

export const MAX_QUEUE_BYTES = 4 << 20;
const MAX_QUEUE_FRAMES = 8192;
const BURST_MS = 10;
const MAX_FRAME = 9234;
/** The ring pads each frame. */
const FRAME_SLACK = 6;

export class Shaper implements FrameSink {
  policy: Policy = { kind: 'ufifo' };
  /** Frames dropped by the policy since it was set. */
  overlimits = 0;
  private readonly tx: FrameSink;
  private readonly wheel: TimerWheel;
  private readonly drops: DropCounters;
  private readonly timer: Timer;
  private ring: FrameRing | null = null;
  /** Bytes in the ring. */
  private waiting = 0;
  /** Frames and bytes of this wake-up (pfifo, bfifo). */
  private batch = 0;
  private tokens = 0;
  private refilledAt = 0;

  constructor(tx: FrameSink, wheel: TimerWheel, drops: DropCounters) {
    this.tx = tx;
    this.wheel = wheel;
    this.drops = drops;
    this.timer = wheel.timer(() => {
      this.drain();
      this.tx.flush();
    });
  }

  /** Changes the policy; frames that wait are dropped. */
  set(policy: Policy): void {
    this.drops[Drop.ShaperFull]! += this.ring?.count ?? 0;
    this.timer.cancel();
    this.policy = policy;
    this.overlimits = 0;
    this.waiting = 0;
    this.batch = 0;
    this.ring = null;
    if (policy.kind !== 'tbf') return;
    const bytes = Math.min(policy.limit, MAX_QUEUE_BYTES);
    this.ring = new FrameRing(new Uint8Array(bytes + 2 * MAX_FRAME), plainSlots(MAX_QUEUE_FRAMES));
    this.tokens = this.bucket;
    this.refilledAt = this.wheel.clock.now();
  }

  /** Bytes that wait. */
  get backlog(): number {
    return this.waiting;
  }

  frame(b: Uint8Array, off: number, len: number): void {
    const { policy } = this;
    if (policy.kind === 'ufifo') this.tx.frame(b, off, len);
    else if (policy.kind === 'tbf') this.police(b, off, len, policy.limit);
    else {
      const cost = policy.kind === 'pfifo' ? 1 : len;
      if (this.batch + cost > policy.limit) this.drop();
      else {
        this.batch += cost;
        this.tx.frame(b, off, len);
      }
    }
  }

  flush(): void {
    this.batch = 0;
    this.tx.flush();
  }

  close(): void {
    this.timer.cancel();
  }

  private police(b: Uint8Array, off: number, len: number, limit: number): void {
    this.refill();
    if (this.waiting === 0 && len <= this.tokens) {
      this.tokens -= len;
      this.tx.frame(b, off, len);
    } else if (this.waiting + len + FRAME_SLACK > limit || !this.ring!.push(b, off, len)) this.drop();
    else {
      this.waiting += len;
      this.schedule();
    }
  }

  private get bucket(): number {
    return this.policy.kind === 'tbf' ? Math.max(MAX_FRAME, (this.policy.rate * BURST_MS) / 1000) : 0;
  }

  private refill(): void {
    if (this.policy.kind !== 'tbf') return;
    const now = this.wheel.clock.now();
    this.tokens = Math.min(this.bucket, this.tokens + ((now - this.refilledAt) * this.policy.rate) / 1000);
    this.refilledAt = now;
  }

  private drain(): void {
    const ring = this.ring;
    if (ring === null) return;
    this.refill();
    while (ring.count > 0) {
      const len = ring.slots.lens[ring.head]!;
      if (len > this.tokens) break;
      this.tokens -= len;
      this.waiting -= len;
      this.tx.frame(ring.bytes, ring.slots.offs[ring.head]!, len);
      ring.shift(1);
    }
    this.schedule();
  }

  /** Wakes up when there are tokens for the oldest frame. */
  private schedule(): void {
    const { ring, policy } = this;
    if (ring === null || ring.count === 0 || policy.kind !== 'tbf' || this.timer.armed) return;
    this.timer.set(((ring.slots.lens[ring.head]! - this.tokens) * 1000) / policy.rate);
  }

  private drop(): void {
    this.overlimits++;
    this.drops[Drop.ShaperFull]!++;
  }
}
