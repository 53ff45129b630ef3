// null://: takes every frame and never gives one.

import { newDropCounters } from '../core/drop.ts';
import { type FrameSink, type Link, newLinkStats } from '../core/frame.ts';

export class NullLink implements Link, FrameSink {
  readonly name = 'null';
  readonly mtu: number;
  readonly tx: FrameSink = this;
  readonly stats = newLinkStats();
  readonly drops = newDropCounters();
  onState: ((up: boolean) => void) | null = null;
  private closed = false;

  constructor(mtu: number) {
    this.mtu = mtu;
  }

  attach(): void {}

  frame(_b: Uint8Array, _off: number, len: number): void {
    this.stats.txFrames++;
    this.stats.txBytes += len;
  }

  flush(): void {}

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    this.onState?.(false);
  }
}
