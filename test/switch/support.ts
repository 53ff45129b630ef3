import { newDropCounters } from '../../src/core/drop.ts';
import { type FrameSink, type Link, newLinkStats } from '../../src/core/frame.ts';
import { TimerWheel } from '../../src/core/timer-wheel.ts';
import type { Endpoint } from '../../src/switch/port.ts';
import { type PlugOptions, Switch, type SwitchOptions } from '../../src/switch/switch.ts';
import { FakeClock } from '../support/fake-clock.ts';

/** A link whose far end is the test: frames that left are kept, those handed in but not flushed apart. */
export class FakeLink implements Link {
  readonly name: string;
  readonly mtu = 1500;
  readonly stats = newLinkStats();
  readonly drops = newDropCounters();
  onState: ((up: boolean) => void) | null = null;
  readonly queued: Uint8Array[] = [];
  readonly sent: Uint8Array[] = [];
  flushes = 0;
  sink: FrameSink | null = null;
  readonly tx: FrameSink = {
    frame: (b, off, len) => void this.queued.push(b.slice(off, off + len)),
    flush: () => {
      this.flushes++;
      this.sent.push(...this.queued.splice(0));
    },
  };

  constructor(name: string) {
    this.name = name;
  }

  attach(sink: FrameSink): void {
    this.sink = sink;
  }

  /** One wake-up with these frames. */
  receive(...frames: Uint8Array[]): void {
    for (const frame of frames) this.sink!.frame(frame, 0, frame.length);
    this.sink!.flush();
  }

  /** Number in each frame that left (see `frame`), which are then forgotten. */
  take(): number[] {
    return this.sent.splice(0).map((f) => f[14]!);
  }

  async close(): Promise<void> {
    this.onState?.(false);
  }
}

const BROADCAST = 0xff;

/** A frame between stations 1 to 254 (255: broadcast), with a number to know it by. */
export function frame(src: number, dst: number, number = 0, len = 60): Uint8Array {
  const bytes = new Uint8Array(len);
  if (dst === BROADCAST) bytes.fill(0xff, 0, 6);
  else bytes.set([0x02, 0, 0, 0, 0, dst], 0);
  bytes.set([0x02, 0, 0, 0, 0, src, 0x88, 0xb5, number], 6);
  return bytes;
}

export const ALL = BROADCAST;

export function setUp(links = 0, options: Partial<SwitchOptions> = {}) {
  const clock = new FakeClock();
  const wheel = new TimerWheel(clock);
  const sw = new Switch({ wheel, ...options });
  const made = Array.from({ length: links }, (_, i) => new FakeLink(`link ${i + 1}`));
  const endpoints = made.map((link) => plugged(sw, link));
  return { clock, wheel, sw, links: made, endpoints };
}

/** Plugs a link in; the test fails when it is refused. */
export function plugged(sw: Switch, link: Link, options: PlugOptions = {}): Endpoint {
  const endpoint = sw.plug(link, options);
  if (typeof endpoint === 'string') throw new Error(endpoint);
  return endpoint;
}
