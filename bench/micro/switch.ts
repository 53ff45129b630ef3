// The switch alone: frames from port to port, with links that take frames and do nothing. A trunk adds or takes off a tag,
// which moves the frame in shared memory.

import { SystemClock } from '../../src/core/clock.ts';
import { newDropCounters } from '../../src/core/drop.ts';
import { FrameMemory, type FrameSink, type Link, newLinkStats } from '../../src/core/frame.ts';
import { TimerWheel } from '../../src/core/timer-wheel.ts';
import { Switch } from '../../src/switch/switch.ts';
import type { Case } from './case.ts';

const BATCH = 64;
const STRIDE = 9264;

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

/** A switch with links that do nothing, and frames for them in each slot of a batch. */
class Bench {
  private readonly memory = new FrameMemory();
  readonly switch = new Switch({ wheel: new TimerWheel(new SystemClock()), memory: this.memory });
  readonly links: NullLink[];

  constructor(ports: number) {
    this.links = Array.from({ length: ports }, (_, i) => new NullLink(`port ${i}`));
    for (const link of this.links) this.switch.plug(link, {});
  }

  private at(slot: number): number {
    return this.memory.rxBase + slot * STRIDE;
  }

  /** Writes a frame into each slot; stations are the last byte of an address, 255 is everybody, `tag` a VLAN id or -1. */
  write(dst: number, src: number, tag = -1): void {
    for (let slot = 0; slot < BATCH; slot++) {
      const b = this.memory.bytes.subarray(this.at(slot), this.at(slot) + 1600).fill(0);
      b.set([2, 0, 0, 0, 0, dst, 2, 0, 0, 0, 0, src], 0);
      if (dst === 255) b.fill(255, 0, 6);
      b.set(tag < 0 ? [0x08, 0x00] : [0x81, 0x00, tag >> 8, tag & 255, 0x08, 0x00], 12);
    }
  }

  /** Makes a station known at a port. */
  learn(port: number, station: number, tag = -1): void {
    this.write(1, station, tag);
    this.links[port]!.sink!.frame(this.memory.bytes, this.at(0), 64);
  }

  /** The operation: one frame of `len` bytes into a port, in full batches. */
  into(port: number, len: number): (n: number) => void {
    const sink = this.links[port]!.sink!;
    const { bytes } = this.memory;
    return (n) => {
      for (let i = 0; i < n; i += BATCH) {
        for (let slot = 0; slot < BATCH; slot++) sink.frame(bytes, this.at(slot), len);
        sink.flush();
      }
    };
  }
}

function known(len: number): (n: number) => void {
  const bench = new Bench(2);
  bench.learn(1, 2);
  bench.write(2, 1);
  return bench.into(0, len);
}

function flood(): (n: number) => void {
  const bench = new Bench(17);
  bench.write(255, 1);
  return bench.into(0, 60);
}

/** Port 1 is in VLAN 10 untagged, port 2 is its trunk. */
function vlan(): Bench {
  const bench = new Bench(2);
  bench.switch.vlans.create(10);
  bench.switch.admin.setVlan(1, 10);
  bench.switch.vlans.addPort(10, 2);
  bench.learn(0, 1);
  bench.learn(1, 2, 10);
  return bench;
}

function toTrunk(len: number): (n: number) => void {
  const bench = vlan();
  bench.write(2, 1);
  return bench.into(0, len);
}

function fromTrunk(len: number): (n: number) => void {
  const bench = vlan();
  bench.write(1, 2, 10);
  return bench.into(1, len + 4);
}

const SWITCH: readonly Case[] = [
  { name: 'switch: a frame to a known station', prepare: () => known(60) },
  { name: 'switch: a frame to 16 ports', prepare: flood },
  { name: 'switch: access to trunk, 60 bytes', prepare: () => toTrunk(60) },
  { name: 'switch: access to trunk, 1514 bytes', prepare: () => toTrunk(1514) },
  { name: 'switch: trunk to access, 1518 bytes', prepare: () => fromTrunk(1514) },
];

export default SWITCH;
