// Two link ends in one process, joined by a cable.
//
// A direct pair hands each frame to the other end's sink inside `tx.frame`, and `tx.flush` becomes the other end's
// `flush`: nothing is copied, no time passes. It joins the router and the switch of one process. The sinks of both ends
// must cope with being called back from inside their own calls.
//
// A queued pair copies frames into a bounded ring and delivers them later, from the event loop or when `pump` is called
// (tests). It joins stations that talk to each other: direct pairs would let them recurse, or talk without end in one
// turn of the loop.

import { Drop, newDropCounters } from '../core/drop.ts';
import { type FrameSink, type Link, newLinkStats } from '../core/frame.ts';
import { FrameRing, plainSlots } from './frame-ring.ts';
import { FRAME_OVERHEAD, MIN_FRAME } from './limits.ts';

const QUEUE_FRAMES = 1024;
const QUEUE_BYTES = 2 << 20;

export interface MemoryPairOptions {
  /** Largest packet carried, bytes; default 1500. */
  mtu?: number;
  /** `direct`: delivered inside the call. `loop`: from the event loop, after `tx.flush`. `manual`: by `pump`. */
  delivery: 'direct' | 'loop' | 'manual';
}

/** A pair of joined links, named `NAME:a` and `NAME:b`. Closing one end closes both. */
export function memoryPair(name: string, options: MemoryPairOptions): [MemoryLink, MemoryLink] {
  const a = new MemoryLink(`${name}:a`, options);
  const b = new MemoryLink(`${name}:b`, options);
  a.join(b);
  b.join(a);
  return [a, b];
}

export class MemoryLink implements Link {
  readonly name: string;
  readonly mtu: number;
  readonly tx: FrameSink;
  readonly stats = newLinkStats();
  readonly drops = newDropCounters();
  onState: ((up: boolean) => void) | null = null;
  private readonly delivery: MemoryPairOptions['delivery'];
  private readonly maxFrame: number;
  private sink: FrameSink | null = null;
  private peer: MemoryLink | null = null;
  /** Frames on the way to this end. */
  private incoming: FrameRing | null = null;
  private scheduled = false;

  /** Used by memoryPair. */
  constructor(name: string, options: MemoryPairOptions) {
    this.name = name;
    this.mtu = options.mtu ?? 1500;
    this.delivery = options.delivery;
    this.maxFrame = this.mtu + FRAME_OVERHEAD;
    this.tx = {
      frame: (b, off, len) => this.send(b, off, len),
      flush: () => this.peer?.flushed(),
    };
  }

  /** Used by memoryPair. */
  join(peer: MemoryLink): void {
    this.peer = peer;
  }

  attach(sink: FrameSink): void {
    this.sink = sink;
  }

  async close(): Promise<void> {
    const { peer } = this;
    if (peer === null) return;
    for (const end of [this, peer]) {
      end.peer = null;
      end.incoming?.clear();
    }
    this.onState?.(false);
    peer.onState?.(false);
  }

  /** Delivers the frames that are on the way to this end now, and flushes; how many there were. */
  pump(): number {
    const ring = this.incoming;
    if (ring === null) return 0;
    const due = ring.count;
    // A frame leaves the ring after its delivery: the sink may send meanwhile, and must not overwrite it.
    for (let i = 0; i < due && ring.count > 0; i++) {
      this.receive(ring.bytes, ring.slots.offs[ring.head]!, ring.slots.lens[ring.head]!);
      if (ring.count > 0) ring.shift(1);
    }
    if (due > 0) this.sink?.flush();
    return due;
  }

  private send(b: Uint8Array, off: number, len: number): void {
    const { peer } = this;
    if (len < MIN_FRAME || len > this.maxFrame) this.drops[len < MIN_FRAME ? Drop.FrameTooShort : Drop.FrameTooLong]!++;
    else if (peer === null || peer.sink === null) this.drops[Drop.LinkDown]!++;
    else if (this.delivery !== 'direct' && !peer.enqueue(b, off, len)) this.drops[Drop.TxQueueFull]!++;
    else {
      this.stats.txFrames++;
      this.stats.txBytes += len;
      if (this.delivery === 'direct') peer.receive(b, off, len);
    }
  }

  private enqueue(b: Uint8Array, off: number, len: number): boolean {
    this.incoming ??= new FrameRing(new Uint8Array(QUEUE_BYTES), plainSlots(QUEUE_FRAMES));
    return this.incoming.push(b, off, len);
  }

  private receive(b: Uint8Array, off: number, len: number): void {
    this.stats.rxFrames++;
    this.stats.rxBytes += len;
    this.sink?.frame(b, off, len);
  }

  /** The other end has flushed. */
  private flushed(): void {
    if (this.delivery === 'direct') this.sink?.flush();
    else if (this.delivery === 'loop' && !this.scheduled && this.incoming !== null) {
      this.scheduled = true;
      setImmediate(() => {
        this.scheduled = false;
        this.pump();
      });
    }
  }
}
