// An Ethernet switch: learns where stations are, forwards frames to their ports, floods the rest.
//
// A frame that comes in from an endpoint goes through
//
//   length and source checks -> learn the source -> group or unknown: flood; known: its port, never the one it came from
//
// and is handed to the links of the output ports at once. Links queue it, by offset when it lies in the shared frame
// memory; an endpoint whose link was handed something is put on the dirty list. `flush`, which ends the wake-up of a
// link, takes endpoints off that list and flushes each until the list is empty. The switch itself queues nothing and
// never waits: a full link drops its newest frame and counts it.
//
// A link may lead straight into a station in this process (the router on a direct memory link). Then `link.tx.frame`
// and `link.tx.flush` run that station, which may answer at once by calling back into `input` and `flush`. Hence:
//
// - `input` keeps its state in locals, and walks lists by index.
// - A nested `flush` empties the dirty list like the outer one: when it returns, what the station built in its own
//   arena has been sent or copied, so the station may use the arena again.
// - An endpoint whose flush is on the stack is not flushed a second time from inside; it is put on the list again when
//   the first one returns. So the depth is bounded by the number of endpoints. Stations that answer each other within
//   the call would keep the loop busy for as long as they talk: only one station, the router, is linked directly.
//
// Time is read once per wake-up, for the first frame after a flush.

import type { Clock } from '../core/clock.ts';
import { Drop } from '../core/drop.ts';
import type { Link } from '../core/frame.ts';
import type { Timer, TimerWheel } from '../core/timer-wheel.ts';
import * as ethernet from '../wire/ethernet.ts';
import { FDB_TICK_MS, Fdb, type FdbEntry, type FdbOptions, Learn } from './fdb.ts';
import { Endpoint, type Ingress, Port } from './port.ts';

/** All untagged traffic; the VLAN of every port. */
const DEFAULT_VLAN = 0;

const SWEEP_SLOTS = 4096;
/** An entry nobody asks for stays at most this share of the age limit too long. */
const SWEEP_SHARE = 1 / 8;
const SWEEP_MIN_MS = 1000;

export interface SwitchOptions {
  wheel: TimerWheel;
  /** Ports are numbered 0 to numPorts - 1 (vde_switch -n); 2 to 65,536, default 32. */
  numPorts?: number;
  fdb?: Omit<FdbOptions, 'ports'>;
}

export interface PlugOptions {
  /** Port number; -1 (the default) for the first free one from 1 up. */
  port?: number;
  /** User the endpoint belongs to; -1 (the default) for none. */
  uid?: number;
  description?: string;
  /** Port name for people. */
  name?: string;
  /** Largest number of stations learned from the port, when it is an uplink or a trunk. */
  fdbShare?: number;
}

/** Why an endpoint was not given a port. */
export type PlugRefusal = 'no such port' | 'no free port' | 'port belongs to another user';

export class Switch implements Ingress {
  readonly numPorts: number;
  readonly fdb: Fdb;
  private readonly clock: Clock;
  private readonly table: (Port | null)[];
  /** Ports with endpoints, in the order in which they became active. */
  private readonly activePorts: Port[] = [];
  private readonly dirty: Endpoint[] = [];
  private dirtyCount = 0;
  /** Present time in fdb ticks; -1 when the clock is to be read. */
  private tick = -1;
  private ageSec: number;
  private readonly sweepTimer: Timer;

  constructor(options: SwitchOptions) {
    this.clock = options.wheel.clock;
    this.numPorts = options.numPorts ?? 32;
    if (!Number.isInteger(this.numPorts) || this.numPorts < 2 || this.numPorts > 65_536)
      throw new RangeError(`a switch has 2 to 65536 ports, not ${this.numPorts}`);
    this.table = new Array<Port | null>(this.numPorts).fill(null);
    this.fdb = new Fdb({ ...options.fdb, ports: this.numPorts });
    this.ageSec = options.fdb?.ageSec ?? 300;
    this.sweepTimer = options.wheel.timer(() => this.sweep());
  }

  // ---- ports

  /** Ports that were ever used, by number. */
  ports(): Port[] {
    return this.table.filter((port) => port !== null);
  }

  /** The port of a number, or null when it was never used. */
  port(number: number): Port | null {
    return this.table[number] ?? null;
  }

  /**
   * Plugs a link into a port and directs its incoming frames here.
   *
   * Port n is given to who asks for it, beside the endpoints it has if they belong to the same user; -1 gets the first
   * port from 1 up that has no endpoint and is allocatable.
   *
   * @returns the endpoint, or why there is none
   */
  plug(link: Link, options: PlugOptions = {}): Endpoint | PlugRefusal {
    const uid = options.uid ?? -1;
    const number = options.port ?? -1;
    const port = number < 0 ? this.freePort() : number < this.numPorts ? this.open(number) : null;
    if (port === null) return number < 0 ? 'no free port' : 'no such port';
    if (port.active && port.uid !== uid) return 'port belongs to another user';
    const endpoint = new Endpoint(this, port, link, uid, options.description ?? '');
    if (!port.active) {
      this.activePorts.push(port);
      port.uid = uid;
    }
    port.endpoints.push(endpoint);
    if (options.name !== undefined) port.name = options.name;
    if (options.fdbShare !== undefined) this.fdb.setShare(port.number, options.fdbShare);
    link.attach(endpoint);
    return endpoint;
  }

  /** Takes an endpoint off its port. The link stays open and its caller's. Safe to call twice. */
  unplug(endpoint: Endpoint): void {
    const port = endpoint.port;
    const at = port.endpoints.indexOf(endpoint);
    if (at < 0) return;
    endpoint.detach();
    port.endpoints.splice(at, 1);
    if (port.active) return;
    this.activePorts.splice(this.activePorts.indexOf(port), 1);
    port.uid = -1;
    this.fdb.flushPort(port.number);
  }

  private open(number: number): Port {
    return (this.table[number] ??= new Port(number));
  }

  private freePort(): Port | null {
    for (let number = 1; number < this.numPorts; number++) {
      const port = this.table[number]!;
      if (port === null) return this.open(number);
      if (!port.active && port.allocatable) return port;
    }
    return null;
  }

  // ---- stations

  /**
   * Ties a station to a port: it is never learned elsewhere and does not age. For the router, whose address guests
   * would otherwise take over by sending from it. Ends when the port becomes inactive.
   *
   * @param macHi  MAC bytes 0 and 1
   * @param macLo  MAC bytes 2 to 5
   */
  protect(endpoint: Endpoint, macHi: number, macLo: number): boolean {
    return this.fdb.pin(DEFAULT_VLAN, macHi, macLo, endpoint.port.number);
  }

  /** Stations known now; for consoles. */
  stations(): Generator<FdbEntry> {
    return this.fdb.list(this.ticks());
  }

  /** Changes after how many seconds without a frame a station is forgotten. */
  setAge(seconds: number): void {
    this.ageSec = seconds;
    this.fdb.setAge(seconds);
    this.sweepTimer.cancel();
    if (this.fdb.size > 0) this.armSweep();
  }

  private ticks(): number {
    return Math.floor(this.clock.now() / FDB_TICK_MS);
  }

  private sweep(): void {
    this.fdb.sweep(Math.min(SWEEP_SLOTS, this.fdb.slots), this.ticks());
    if (this.fdb.size > 0) this.armSweep();
  }

  private armSweep(): void {
    const rounds = Math.max(1, this.fdb.slots / SWEEP_SLOTS);
    this.sweepTimer.set(Math.max(SWEEP_MIN_MS, (this.ageSec * 1000 * SWEEP_SHARE) / rounds));
  }

  // ---- frames

  /** One frame from an endpoint of `port`. `b` is on loan as FrameSink.frame has it. */
  input(port: Port, b: Uint8Array, off: number, len: number): void {
    if (len < ethernet.HEADER_LEN) {
      port.drops[Drop.FrameTooShort]!++;
      return;
    }
    const srcHi = ethernet.srcHi(b, off);
    const srcLo = ethernet.srcLo(b, off);
    if ((srcHi & 0x100) !== 0 || (srcHi === 0 && srcLo === 0)) {
      port.drops[Drop.EthBadSource]!++;
      return;
    }
    const counters = port.counters;
    counters.rxFrames++;
    counters.rxBytes += len;
    if (this.tick < 0) this.tick = this.ticks();
    const tick = this.tick;
    const learned = this.fdb.learn(DEFAULT_VLAN, srcHi, srcLo, port.number, tick);
    if (learned !== Learn.Refreshed) this.noteLearned(learned, port);
    if (!ethernet.isGroupDst(b, off)) {
      const to = this.fdb.lookup(DEFAULT_VLAN, ethernet.dstHi(b, off), ethernet.dstLo(b, off), tick);
      if (to >= 0) {
        if (to === port.number) port.drops[Drop.SwitchSamePort]!++;
        else this.output(this.table[to]!, b, off, len);
        return;
      }
    }
    const ports = this.activePorts;
    for (let i = 0; i < ports.length; i++) {
      const to = ports[i]!;
      if (to !== port) this.output(to, b, off, len);
    }
  }

  private noteLearned(learned: Learn, port: Port): void {
    if (learned === Learn.Added) {
      if (!this.sweepTimer.armed) this.armSweep();
    } else if (learned === Learn.Moved) port.counters.moves++;
    else if (learned === Learn.Held) port.counters.movesHeld++;
    else port.drops[Drop.FdbFull]!++;
  }

  private output(port: Port, b: Uint8Array, off: number, len: number): void {
    const counters = port.counters;
    counters.txFrames++;
    counters.txBytes += len;
    const endpoints = port.endpoints;
    for (let i = 0; i < endpoints.length; i++) {
      const endpoint = endpoints[i]!;
      if (!endpoint.dirty) {
        endpoint.dirty = true;
        // While its flush runs it is not listed: the flush puts it there when it returns.
        if (!endpoint.flushing) this.list(endpoint);
      }
      endpoint.link.tx.frame(b, off, len);
    }
  }

  private list(endpoint: Endpoint): void {
    this.dirty[this.dirtyCount++] = endpoint;
  }

  /** Ends a wake-up: flushes the links that were handed frames, and those that get some meanwhile. */
  flush(): void {
    this.tick = -1;
    while (this.dirtyCount > 0) {
      const endpoint = this.dirty[--this.dirtyCount]!;
      endpoint.dirty = false;
      endpoint.flushing = true;
      try {
        endpoint.link.tx.flush();
      } finally {
        endpoint.flushing = false;
        if (endpoint.dirty) this.list(endpoint);
      }
    }
  }
}
