// A ring of three switches with FSTP, a station at each, and cables that the test holds: each cable is two plugs in this
// process, whatever make the switches are of. So all notice a change in the same way and at the same moment, and the
// test sees every BPDU.
//
// The ring has healed when ten numbered broadcasts in a row arrived at each station exactly once. How long that took is
// counted from the end of the change (both plugs have joined, or left) to the first of the ten, in steps of PROBE_MS.
import { setTimeout as delay } from 'node:timers/promises';
import type { VdeClient } from '../../../src/link/index.ts';
import type { NetSwitch, Station, VdeNet } from './vde-net.ts';

const PROBE_MS = 2;
const IN_A_ROW = 10;
const LIMIT_MS = 20_000;

export class FstpRing {
  /** BPDUs that crossed the cables, newest last: `CABLE> hex` on the way of the ring, `CABLE< hex` against it. */
  readonly words: string[] = [];
  /** Most copies of one broadcast that a station has heard. */
  mostCopies = 0;
  private readonly net: VdeNet;
  private readonly switches: readonly NetSwitch[];
  private readonly stations: Station[] = [];
  private readonly cables: VdeClient[][] = [[], [], []];
  private number = 0;

  constructor(net: VdeNet, switches: readonly NetSwitch[]) {
    this.net = net;
    this.switches = switches;
  }

  /** Plugs stations and cables in, and waits for the first tree. */
  async start(): Promise<number> {
    for (const sw of this.switches) this.stations.push(await this.net.station(sw, 1));
    await this.join(0);
    await this.join(1);
    return this.healed(() => this.join(2));
  }

  /** Lays cable `i` between switch i and the next one, in port 10 + i of both. */
  async join(i: number): Promise<void> {
    const [a, b] = [
      await this.net.plug(this.switches[i]!, 10 + i),
      await this.net.plug(this.switches[(i + 1) % 3]!, 10 + i),
    ];
    this.pass(a, b, `${i}>`);
    this.pass(b, a, `${i}<`);
    this.cables[i] = [a, b];
  }

  async cut(i: number): Promise<void> {
    await Promise.all(this.cables[i]!.splice(0).map((end) => end.close()));
  }

  /** Makes a change and waits until the ring has healed; how long that took, ms. */
  async healed(change: () => Promise<void>): Promise<number> {
    await change();
    const start = performance.now();
    const sent: number[] = [];
    const first = this.number + 1;
    for (let good = 0; ; ) {
      if (performance.now() - start > LIMIT_MS) throw new Error(`not healed within ${LIMIT_MS} ms`);
      sent.push(performance.now());
      this.stations[0]!.send(++this.number);
      await delay(PROBE_MS);
      good = 0;
      for (let n = this.number; n >= first && this.arrivedOnce(n); n--) good++;
      if (good < IN_A_ROW) continue;
      this.countCopies(first);
      return sent[sent.length - good]! - start;
    }
  }

  /** Whether each of `count` broadcasts of each station arrives once at the two others. */
  async steady(count: number): Promise<boolean> {
    for (const from of this.stations) {
      const others = this.stations.filter((station) => station !== from);
      for (let i = 0; i < count; i++) {
        const n = ++this.number;
        from.send(n);
        for (let ms = 0; ms < LIMIT_MS && !others.every((other) => other.copies(n) > 0); ms += PROBE_MS)
          await delay(PROBE_MS);
        if (!others.every((other) => other.copies(n) === 1)) return false;
      }
    }
    return true;
  }

  private arrivedOnce(n: number): boolean {
    return this.stations.every((station, i) => station.copies(n) === (i === 0 ? 0 : 1));
  }

  private countCopies(first: number): void {
    for (const station of this.stations)
      for (let n = first; n <= this.number; n++) this.mostCopies = Math.max(this.mostCopies, station.copies(n));
  }

  private pass(from: VdeClient, to: VdeClient, what: string): void {
    from.attach({
      frame: (b, off, len) => {
        if (b[off] === 0x01 && b[off + 1] === 0x80)
          this.words.push(`${what} ${Buffer.from(b.slice(off, off + len)).toString('hex')}`);
        to.tx.frame(b, off, len);
      },
      flush: () => to.tx.flush(),
    });
  }
}
