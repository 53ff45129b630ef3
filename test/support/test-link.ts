import { newDropCounters } from '../../src/core/drop.ts';
import { copyBytes, type FrameSink, type Link, newLinkStats } from '../../src/core/frame.ts';
import { frameSummary } from '../../src/wire/summary.ts';

/** A link that keeps what is sent and lets the test play the far end. */
export class TestLink implements Link {
  readonly name = 'test';
  readonly mtu: number;
  readonly stats = newLinkStats();
  readonly drops = newDropCounters();
  onState: ((up: boolean) => void) | null = null;
  /** Frames that left (flushed), oldest first. */
  readonly sent: Uint8Array[] = [];
  private readonly queued: Uint8Array[] = [];
  private sink: FrameSink | null = null;
  readonly tx: FrameSink = {
    frame: (b, off, len) => {
      this.queued.push(copyBytes(b, off, off + len));
    },
    flush: () => {
      this.sent.push(...this.queued.splice(0));
    },
  };

  constructor(mtu = 1500) {
    this.mtu = mtu;
  }

  attach(sink: FrameSink): void {
    this.sink = sink;
  }

  /** One wake-up with these frames. */
  receive(...frames: Uint8Array[]): void {
    for (const f of frames) {
      const b = Buffer.alloc(f.length + 6, 0xee); // foreign memory, with bytes around that must not matter
      b.set(f, 2);
      this.sink!.frame(b, 2, f.length);
      b.fill(0xdd); // the loan is over
    }
    this.sink!.flush();
  }

  /** Takes all frames that were sent so far. */
  take(): Uint8Array[] {
    return this.sent.splice(0);
  }

  /** Summaries of the frames sent so far, which are then forgotten. */
  takeSummaries(): string[] {
    return this.take().map((f) => frameSummary(f, 0, f.length));
  }

  async close(): Promise<void> {}
}
