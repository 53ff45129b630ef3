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
  /** What frames are lent in, again and again: allocating it anew for each costs more than all else. */
  private loan = Buffer.alloc(2048);
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
      const len = f.length;
      if (this.loan.length < len + 6) this.loan = Buffer.alloc(2 * len);
      const b = this.loan; // foreign memory, with bytes around that must not matter
      b.fill(0xee, 0, 2);
      b.set(f, 2);
      b.fill(0xee, 2 + len, 6 + len);
      this.sink!.frame(b, 2, len);
      b.fill(0xdd, 0, 6 + len); // the loan is over
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
