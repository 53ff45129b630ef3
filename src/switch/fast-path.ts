// The fast path: lets a forwarder (core/forward-table.ts) do what it can with a batch, and keeps its table.
//
// The table is a function of ports, VLANs, their states and the links plugged in. Whatever changes one of those says so
// (`changed`), and the table is made anew before the next batch. Stations are read and refreshed where they are.
//
// What the forwarder did is counted by itself, and added to the counters of the ports here, once for a batch: each
// frame that it forwards counts as if `Forwarding.input` had seen it.

import { Drop } from '../core/drop.ts';
import {
  type Forwarder,
  ForwardTable,
  HEADER_WORDS,
  Header,
  type NewForwarder,
  PORT_SUMS,
  PORT_WORDS,
  PortSum,
  PortWord,
  SUM_HEADER,
  Sum,
} from '../core/forward-table.ts';
import type { FrameQueue, FrameSlots } from '../core/frame.ts';
import type { Fdb } from './fdb.ts';
import type { Endpoint, Port } from './port.ts';
import type { Vlan, VlanTable } from './vlan-table.ts';

export class FastPath {
  private readonly make: NewForwarder;
  private readonly fdb: Fdb;
  private readonly vlans: VlanTable;
  private readonly mark: (endpoint: Endpoint) => void;
  private stale = true;
  private table = new ForwardTable(1);
  private stations: Int32Array | null = null;
  private forwarder: Forwarder | null = null;
  /** The ports of the table, by number. */
  private readonly ports: Port[] = [];

  /** @param mark  told of each endpoint whose link was given frames */
  constructor(make: NewForwarder, fdb: Fdb, vlans: VlanTable, mark: (endpoint: Endpoint) => void) {
    this.make = make;
    this.fdb = fdb;
    this.vlans = vlans;
    this.mark = mark;
    vlans.onChange = () => this.changed();
  }

  /** What the table says may not be so any more. */
  changed(): void {
    this.stale = true;
  }

  /** Frames of a port, as FrameSink.take has it; `tick` is the present time of the station table. */
  take(port: Port, batch: FrameSlots, start: number, count: number, tick: number): number {
    if (this.stale || this.stations !== this.fdb.cells) this.renew();
    const { number } = port;
    const { words } = this.table;
    if (number >= this.table.ports || words[HEADER_WORDS + PORT_WORDS * number + PortWord.In]! < 0) return start;
    words[Header.Tick] = tick;
    words[Header.AgeTicks] = this.fdb.ageTicks;
    words[Header.Full] = this.fdb.isFull(number) ? 1 : 0;
    const end = this.forwarder!.forward(number, batch, start, count);
    if (end > start) this.settle(port);
    return end;
  }

  /** Adds up what was done, and forgets it. */
  private settle({ counters, drops }: Port): void {
    const { words, sums, touched } = this.table;
    counters.rxFrames += sums[Sum.RxFrames]!;
    counters.rxBytes += sums[Sum.RxBytes]!;
    drops[Drop.FdbFull]! += sums[Sum.Full]!;
    sums[Sum.RxFrames] = sums[Sum.RxBytes] = sums[Sum.Full] = 0;
    const count = words[Header.Touched]!;
    words[Header.Touched] = 0;
    for (let i = 0; i < count; i++) {
      const number = words[touched + i]!;
      const at = SUM_HEADER + PORT_SUMS * number;
      const to = this.ports[number]!;
      to.counters.txFrames += sums[at + PortSum.TxFrames]!;
      to.counters.txBytes += sums[at + PortSum.TxBytes]!;
      sums[at + PortSum.TxFrames] = sums[at + PortSum.TxBytes] = 0;
      this.mark(to.endpoints[0]!);
    }
  }

  private renew(): void {
    const vlans = this.vlans.list();
    let ports = 1;
    for (const { flood } of vlans) for (const { port } of flood) ports = Math.max(ports, port.number + 1);
    if (this.forwarder === null || ports > this.table.ports || this.stations !== this.fdb.cells) {
      if (ports > this.table.ports) this.table = new ForwardTable(ports);
      this.stations = this.fdb.cells;
      this.forwarder = this.make(this.table, this.stations);
      this.table.words[Header.SeedHi] = this.fdb.seedHi;
      this.table.words[Header.SeedLo] = this.fdb.seedLo;
    }
    this.table.words.fill(-1, HEADER_WORDS);
    let at = this.table.lists;
    for (const vlan of vlans) at = this.describe(vlan, at);
    this.stale = false;
  }

  /** Writes the ports of a VLAN, and their list from `start`; where the next list begins. */
  private describe(vlan: Vlan, start: number): number {
    const { words } = this.table;
    let end = start;
    let plain = vlan.trunks === 0;
    for (const { port, tagged } of vlan.flood) {
      if (tagged) continue;
      const w = HEADER_WORDS + PORT_WORDS * port.number;
      const queue = queueOf(port);
      const id = queue === null ? -1 : this.forwarder!.idOf(queue.slots);
      this.ports[port.number] = port;
      words[end++] = port.number;
      if (port.screens === 0) words[w + PortWord.In] = vlan.id;
      if (id < 0) {
        plain = false;
        continue;
      }
      words[w + PortWord.Out] = vlan.id;
      words[w + PortWord.Queue] = id;
      words[w + PortWord.MaxFrame] = queue!.maxFrame;
    }
    for (let i = start; plain && i < end; i++) {
      const w = HEADER_WORDS + PORT_WORDS * words[i]!;
      words[w + PortWord.List] = start;
      words[w + PortWord.ListLength] = end - start;
    }
    return end;
  }
}

/** The queue by which frames leave a port, when that is all there is to it. */
function queueOf(port: Port): FrameQueue | null {
  const { endpoints } = port;
  return port.watched || endpoints.length !== 1 ? null : (endpoints[0]!.link.tx.txQueue ?? null);
}
