// Some switches, cables between them and a station on each, under one fake clock.
import { TimerWheel } from '../../src/core/timer-wheel.ts';
import { type MemoryLink, memoryPair } from '../../src/link/memory.ts';
import { Switch, type SwitchEvent } from '../../src/switch/index.ts';
import type { Endpoint } from '../../src/switch/port.ts';
import type { TreeMode } from '../../src/switch/spanning-tree.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { ALL, FakeLink, frame, plugged } from './support.ts';

export interface Cable {
  readonly ends: readonly [MemoryLink, MemoryLink];
  /** Frames that have left each end. */
  readonly sent: readonly [Uint8Array[], Uint8Array[]];
  cut(): void;
  /** Nothing comes out of one end any more, which the other does not notice. */
  mute(end: 0 | 1): void;
}

/** More frames than this in one pump are a storm. */
const STORM = 5000;

export class Bridges {
  readonly clock = new FakeClock();
  private readonly wheel = new TimerWheel(this.clock);
  readonly switches: Switch[] = [];
  readonly stations: FakeLink[] = [];
  readonly events: SwitchEvent[][] = [];
  private readonly cables: Cable[] = [];
  private number = 0;

  /** @param priorities  of the bridges; their MACs end in 0a, 0b and so on */
  constructor(mode: TreeMode, priorities: readonly number[], withStations = true) {
    for (const [i, priority] of priorities.entries()) {
      const sw = new Switch({
        wheel: this.wheel,
        mac: Uint8Array.of(0, 0xff, 0, 0, 0, 0x0a + i),
        priority,
        fdb: { seed: [1, 2] },
      });
      const events: SwitchEvent[] = [];
      sw.observe((event) => void events.push(event));
      sw.setTree(mode);
      this.switches.push(sw);
      this.events.push(events);
      if (withStations) this.addStation(i);
    }
  }

  addStation(sw: number): void {
    const station = new FakeLink(`station ${sw}`);
    plugged(this.switches[sw]!, station, { port: 30 });
    this.stations[sw] = station;
  }

  cable(a: number, aPort: number, b: number, bPort: number): Cable {
    const ends = memoryPair(`${a}.${aPort}-${b}.${bPort}`, { delivery: 'manual' }) as [MemoryLink, MemoryLink];
    const sent: [Uint8Array[], Uint8Array[]] = [[], []];
    for (const i of [0, 1] as const) {
      const { tx } = ends[i];
      const original = tx.frame;
      ends[i].attach({ frame: () => {}, flush: () => {} }); // what is sent before the other end is plugged in waits
      tx.frame = (bytes, off, len) => {
        sent[i].push(bytes.slice(off, off + len));
        original(bytes, off, len);
      };
    }
    const endpoints: [Endpoint, Endpoint] = [
      plugged(this.switches[a]!, ends[0], { port: aPort }),
      plugged(this.switches[b]!, ends[1], { port: bPort }),
    ];
    const cable: Cable = {
      ends,
      sent,
      cut: () => {
        this.cables.splice(this.cables.indexOf(cable), 1);
        this.switches[a]!.unplug(endpoints[0]);
        this.switches[b]!.unplug(endpoints[1]);
      },
      mute: (end) => this.switches[end === 0 ? a : b]!.unplug(endpoints[end]),
    };
    this.cables.push(cable);
    return cable;
  }

  /** Delivers what is on the cables until they are quiet. Throws when they do not become so. */
  pump(): number {
    let total = 0;
    for (;;) {
      let moved = 0;
      for (const cable of [...this.cables]) for (const end of cable.ends) moved += end.pump();
      total += moved;
      if (moved === 0) return total;
      if (total > STORM) throw new Error(`a storm: more than ${STORM} frames`);
    }
  }

  advance(seconds: number): void {
    for (let i = 0; i < seconds * 10; i++) {
      this.clock.advance(100);
      this.pump();
    }
  }

  /** How many copies of a broadcast from one station each of the others hears. */
  broadcast(from = 0): number[] {
    const n = (this.number = (this.number + 1) % 250);
    for (const station of this.stations) station.sent.length = 0;
    this.stations[from]!.receive(frame(from + 1, ALL, n));
    this.pump();
    return this.stations.map((s) => s.sent.filter((f) => f[13] === 0xb5 && f[14] === n).length);
  }

  /** Every station's broadcast arrives once at all others, and not at itself. */
  get isTree(): boolean {
    return this.stations.every((_, from) =>
      this.broadcast(from).every((copies, to) => copies === (from === to ? 0 : 1)),
    );
  }

  /** Seconds until `isTree`, in steps of 0.1 s. */
  secondsToTree(limit: number): number {
    for (let tenths = 0; tenths <= limit * 10; tenths++) {
      if (this.isTree) return tenths / 10;
      this.advance(0.1);
    }
    throw new Error(`no tree within ${limit} s`);
  }
}
