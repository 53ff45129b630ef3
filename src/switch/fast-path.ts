// The fast path: lets a forwarder (core/forward-table.ts) do what it can with a batch, and keeps its table.
//
// The table is a function of ports, VLANs, their states and the links plugged in. Whatever changes one of those says so
// (`changed`), and the table is made anew before the next batch. Stations are read and refreshed where they are.
//
// What the forwarder did is counted by itself, and added to the counters of ports and links here (`settle`), when a
// wake-up ends or somebody looks: each frame that it forwards counts as if `Forwarding.input` had seen it.
//
// The links of plain ports are told to hand their frames to the forwarder without asking (`FrameSink.pump`).

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
    fdb.onSettings = () => this.changed();
    fdb.onRoom = () => {
      this.table.words[Header.FullPort] = -1;
    };
  }

  /** What the table says may not be so any more. */
  changed(): void {
    this.stale = true;
    this.table.words[Header.Live] = 0;
  }

  /** Frames of a port, as FrameSink.take has it; `tick` is the present time of the station table. */
  take(port: Port, batch: FrameSlots, start: number, count: number, tick: number): number {
    if (this.stale) this.renew();
    const { number } = port;
    const { words } = this.table;
    if (number >= this.table.ports || words[HEADER_WORDS + PORT_WORDS * number + PortWord.In]! < 0) return start;
    words[Header.Tick] = tick;
    const full = this.fdb.isFull(number);
    words[Header.Full] = full ? 1 : 0;
    if (full) words[Header.FullPort] = number;
    return this.forwarder!.forward(number, batch, start, count);
  }

  /** Adds what was done to the counters, and has the endpoints flushed whose queues hold frames. */
  settle(): void {
    const { words, touched } = this.table;
    const count = words[Header.Touched]!;
    if (count === 0) return;
    words[Header.Touched] = 0;
    for (let i = 0; i < count; i++) this.settlePort(this.ports[words[touched + i]!]!);
  }

  private settlePort({ number, counters, drops, endpoints }: Port): void {
    const { sums } = this.table;
    const at = PORT_SUMS * number;
    counters.rxFrames += sums[at + PortSum.RxFrames]!;
    counters.rxBytes += sums[at + PortSum.RxBytes]!;
    counters.txFrames += sums[at + PortSum.TxFrames]!;
    counters.txBytes += sums[at + PortSum.TxBytes]!;
    drops[Drop.FdbFull]! += sums[at + PortSum.NotLearned]!;
    const endpoint = endpoints[0];
    if (endpoint !== undefined) {
      const { stats, tx } = endpoint.link;
      stats.rxFrames += sums[at + PortSum.PumpedFrames]!;
      stats.rxBytes += sums[at + PortSum.PumpedBytes]!;
      stats.txFrames += sums[at + PortSum.SentFrames]!;
      stats.txBytes += sums[at + PortSum.SentBytes]!;
      if (tx.txQueue !== undefined && tx.txQueue.slots.used[0]! > 0) this.mark(endpoint);
    }
    sums.fill(0, at, at + PORT_SUMS);
  }

  private renew(): void {
    this.settle();
    const vlans = this.vlans.list();
    let ports = 1;
    for (const { flood } of vlans) for (const { port } of flood) ports = Math.max(ports, port.number + 1);
    if (this.forwarder === null || ports > this.table.ports || this.stations !== this.fdb.cells) {
      this.table = new ForwardTable(Math.max(ports, this.table.ports));
      this.stations = this.fdb.cells;
      this.forwarder = this.make(this.table, this.stations);
      this.table.words[Header.SeedHi] = this.fdb.seedHi;
      this.table.words[Header.SeedLo] = this.fdb.seedLo;
    }
    this.table.words.fill(-1, HEADER_WORDS);
    let at = this.table.lists;
    for (const vlan of vlans) at = this.describe(vlan, at);
    this.table.words[Header.AgeTicks] = this.fdb.ageTicks;
    this.table.words[Header.FullPort] = -1;
    this.table.words[Header.Live] = 1;
    this.stale = false;
  }

  /** What comes in by an endpoint's link goes through the forwarder, as its port stands, or is asked about here. */
  private pump({ link }: Endpoint, port: Port): void {
    const alone = port.endpoints.length === 1 && port.screens === 0;
    link.tx.pump?.(alone ? this.forwarder : null, port.number);
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
      for (const endpoint of port.endpoints) this.pump(endpoint, port);
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
