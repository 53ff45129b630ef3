// The switch alone: nanoseconds for one frame from port to port, with links that take frames and do nothing.
//
//   node --import=tsx bench/micro/switch.ts
//
// The second group needs VLANs: a trunk adds or takes off a tag, which copies the frame in shared memory.

import { SystemClock } from '../../src/core/clock.ts';
import { newDropCounters } from '../../src/core/drop.ts';
import { FrameMemory, type FrameSink, type Link, newLinkStats } from '../../src/core/frame.ts';
import { TimerWheel } from '../../src/core/timer-wheel.ts';
import { Switch } from '../../src/switch/switch.ts';

const FRAMES = 3_000_000;
const BATCH = 64;
const ROUNDS = 5;

class NullLink implements Link {
  readonly mtu = 1500;
  readonly stats = newLinkStats();
  readonly drops = newDropCounters();
  onState = null;
  sink: FrameSink | null = null;
  frames = 0;
  readonly tx: FrameSink = { frame: () => void this.frames++, flush: () => {} };
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
  attach(sink: FrameSink): void {
    this.sink = sink;
  }
  async close(): Promise<void> {}
}

const memory = new FrameMemory();
const at = (slot: number) => memory.rxBase + slot * 9264;

function setUp(ports: number, prepare: (sw: Switch) => void = () => {}) {
  const sw = new Switch({ wheel: new TimerWheel(new SystemClock()), memory });
  const links = Array.from({ length: ports }, (_, i) => new NullLink(`port ${i}`));
  for (const link of links) sw.plug(link, {});
  prepare(sw);
  return links;
}

/** Writes a frame into each slot of a batch; `tag` is a VLAN id or -1. */
function write(dst: number, src: number, tag = -1): void {
  for (let slot = 0; slot < BATCH; slot++) {
    const b = memory.bytes.subarray(at(slot), at(slot) + 1600).fill(0);
    b.set([2, 0, 0, 0, 0, dst, 2, 0, 0, 0, 0, src], 0);
    if (dst === 255) b.fill(255, 0, 6);
    b.set(tag < 0 ? [0x08, 0x00] : [0x81, 0x00, tag >> 8, tag & 255, 0x08, 0x00], 12);
  }
}

function measure(name: string, from: NullLink, len: number, frames = FRAMES): void {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    for (let n = 0; n < frames; n += BATCH) {
      for (let slot = 0; slot < BATCH; slot++) from.sink!.frame(memory.bytes, at(slot), len);
      from.sink!.flush();
    }
    best = Math.min(best, ((performance.now() - start) * 1e6) / frames);
  }
  console.log(`${name.padEnd(44)} ${best.toFixed(1).padStart(7)} ns per frame`);
}

{
  const [a, b] = setUp(2) as [NullLink, NullLink];
  write(1, 2);
  b.sink!.frame(memory.bytes, at(0), 60);
  write(2, 1);
  measure('untagged, known station', a, 60);
}
{
  const [a] = setUp(17) as [NullLink];
  write(255, 1);
  measure('untagged, flood to 16 ports', a, 60, FRAMES / 8);
}
if (process.argv[2] !== 'plain') {
  const trunk = (sw: Switch) => {
    sw.vlans.create(10);
    sw.admin.setVlan(1, 10);
    sw.vlans.addPort(10, 2);
  };
  for (const len of [60, 1514]) {
    const [a, b] = setUp(2, trunk) as [NullLink, NullLink];
    write(1, 2, 10);
    b.sink!.frame(memory.bytes, at(0), 64);
    write(2, 1);
    measure(`access to trunk, tag inserted, ${len} B`, a, len);
    write(1, 2, 10);
    measure(`trunk to access, tag taken off, ${len + 4} B`, b, len + 4);
  }
}
