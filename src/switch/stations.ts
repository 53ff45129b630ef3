// The stations that a switch knows: the forwarding database with its ageing, and addresses that are tied to a port.
//
// The settings have the names and meanings of vde_switch's `hash/` menu. Its "size" was the number of buckets of a table
// without bound; here it is a number that is shown, rounded up to a power of two, and the table takes at least that many
// stations. "GC interval" is in how many seconds a sweep gets round the table; an entry that is too old is not used
// before, whatever the interval.

import type { Timer, TimerWheel } from '../core/timer-wheel.ts';
import { FDB_TICK_MS, Fdb, type FdbEntry, type FdbOptions } from './fdb.ts';
import type { Endpoint, Port } from './port.ts';

const SWEEP_SLOTS = 4096;
/** Without an interval of its own, an entry nobody asks for stays at most this share of the age limit too long. */
const SWEEP_SHARE = 1 / 8;
const SWEEP_MIN_MS = 1000;
const DEFAULT_SIZE = 128;

export interface StationOptions extends Omit<FdbOptions, 'ports'> {
  /** Size as consoles show it; default 128. */
  hashSize?: number;
  /** In how many seconds a sweep gets round the table; default an eighth of the age limit. */
  gcIntervalSec?: number;
}

/** Settings, for consoles. */
export interface StationInfo {
  readonly hashSize: number;
  readonly gcIntervalSec: number;
  readonly ageSec: number;
  readonly minPersistenceSec: number;
  /** Stations known, and how many there may be. */
  readonly stations: number;
  readonly capacity: number;
}

interface Protected {
  readonly endpoint: Endpoint;
  readonly macHi: number;
  readonly macLo: number;
}

export class Stations {
  readonly fdb: Fdb;
  private readonly wheel: TimerWheel;
  private readonly timer: Timer;
  private readonly maxEntries: number;
  private hashSize: number;
  private gcIntervalSec: number;
  private ageSec: number;
  private minPersistenceSec: number;
  private readonly tied: Protected[] = [];

  constructor(wheel: TimerWheel, ports: number, options: StationOptions = {}) {
    this.wheel = wheel;
    this.hashSize = powerOfTwo(options.hashSize ?? DEFAULT_SIZE);
    this.maxEntries = options.maxEntries ?? 8192;
    this.fdb = new Fdb({ ...options, ports, maxEntries: Math.max(this.maxEntries, this.hashSize) });
    this.ageSec = options.ageSec ?? 300;
    this.minPersistenceSec = options.minPersistenceSec ?? 3;
    this.gcIntervalSec = options.gcIntervalSec ?? 0;
    this.timer = wheel.timer(() => this.sweep());
  }

  /** Present time, ticks of the table. */
  now(): number {
    return Math.floor(this.wheel.clock.now() / FDB_TICK_MS);
  }

  get info(): StationInfo {
    const { hashSize, ageSec, minPersistenceSec, fdb } = this;
    const gcIntervalSec = this.gcIntervalSec === 0 ? Math.round(ageSec * SWEEP_SHARE) : this.gcIntervalSec;
    return { hashSize, gcIntervalSec, ageSec, minPersistenceSec, stations: fdb.size, capacity: fdb.capacity };
  }

  /** Forgets all stations and takes at least `size` from now on. False: not a positive number. */
  setSize(size: number): boolean {
    if (!(size > 0)) return false;
    this.hashSize = powerOfTwo(size);
    this.fdb.resize(Math.max(this.maxEntries, this.hashSize));
    this.tieAll();
    return true;
  }

  /** Seconds in which a sweep gets round the table; 0 for an eighth of the age limit. */
  setGcInterval(seconds: number): void {
    this.gcIntervalSec = Math.max(0, seconds);
    this.rearm();
  }

  /** After how many seconds without a frame a station is forgotten. */
  setAge(seconds: number): void {
    this.ageSec = Math.max(0, seconds);
    this.fdb.setAge(this.ageSec);
    this.rearm();
  }

  /** For how many seconds a station must have been silent before it moves to another port. */
  setMinPersistence(seconds: number): void {
    this.minPersistenceSec = Math.max(0, seconds);
    this.fdb.setMinPersistence(this.minPersistenceSec);
  }

  /** Stations known now. */
  list(): Generator<FdbEntry> {
    return this.fdb.list(this.now());
  }

  /** The entry of a station; null when it is not known. */
  find(vlan: number, macHi: number, macLo: number): FdbEntry | null {
    return this.fdb.get(vlan, macHi, macLo, this.now());
  }

  /** Forgets every station that was learned. */
  flush(): void {
    this.fdb.flush();
  }

  /**
   * Ties a station to a port: it is never learned elsewhere and does not age. False when there is no room, or the port
   * has no untagged VLAN.
   */
  protect(endpoint: Endpoint, macHi: number, macLo: number): boolean {
    const tie = { endpoint, macHi, macLo };
    if (!this.tie(tie)) return false;
    this.tied.push(tie);
    return true;
  }

  /** The port is in another untagged VLAN: the addresses tied to it go with it. */
  moved(port: Port): void {
    for (const tie of this.tied) if (tie.endpoint.port === port) this.tie(tie);
  }

  /** A port is inactive: its stations, and the addresses tied to it, are forgotten. */
  portDown(port: Port): void {
    for (let i = this.tied.length - 1; i >= 0; i--) if (this.tied[i]!.endpoint.port === port) this.tied.splice(i, 1);
    this.fdb.flushPort(port.number);
  }

  /** A port has left a VLAN. */
  left(port: Port, vlan: number): void {
    this.fdb.flushVlan(vlan, port.number);
    for (const tie of this.tied)
      if (tie.endpoint.port === port) this.fdb.unpin(vlan, tie.macHi, tie.macLo, port.number);
  }

  /** A station was added: there is something to sweep. */
  added(): void {
    if (!this.timer.armed) this.arm();
  }

  private tieAll(): void {
    for (const tie of this.tied) this.tie(tie);
  }

  private tie({ endpoint: { port }, macHi, macLo }: Protected): boolean {
    return port.native !== null && this.fdb.pin(port.native.vlan.id, macHi, macLo, port.number);
  }

  private sweep(): void {
    this.fdb.sweep(Math.min(SWEEP_SLOTS, this.fdb.slots), this.now());
    if (this.fdb.size > 0) this.arm();
  }

  private rearm(): void {
    this.timer.cancel();
    if (this.fdb.size > 0) this.arm();
  }

  private arm(): void {
    const rounds = Math.max(1, this.fdb.slots / SWEEP_SLOTS);
    if (this.gcIntervalSec > 0) this.timer.set(Math.max(SWEEP_MIN_MS / 10, (this.gcIntervalSec * 1000) / rounds));
    else this.timer.set(Math.max(SWEEP_MIN_MS, (this.ageSec * 1000 * SWEEP_SHARE) / rounds));
  }
}

function powerOfTwo(size: number): number {
  let power = 1;
  while (power < size && power < 1 << 20) power *= 2;
  return power;
}
