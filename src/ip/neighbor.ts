// The neighbor cache: which MAC address each guest address has, for both families (RFC 826; RFC 4861 section 7.3).
//
// Entries come from ARP and Neighbor Discovery messages and from packets of guests that never asked for us. They are defended: a station that
// claims an address whose owner was heard of is not believed before the owner has failed to answer three unicast
// probes, a second apart. So a guest cannot take over another's flows, and a guest that came back with a new MAC
// address is served again within about four seconds (at once when the DHCP server bound the address anew: `assign`).
//
//   INCOMPLETE  asked by broadcast, no answer yet; up to 3 packets wait
//   REACHABLE   heard of within REACHABLE_MS
//   PROBE       asked by unicast: silent for too long while we send, or its address is claimed by another MAC
//
// An entry that is silent and not used simply stays REACHABLE in name; it is probed when the next packet is sent to it:
// what RFC 4861 calls STALE, without the wait of DELAY, since everything that a guest sends confirms its entry here.
// A station has any number of addresses (IPv6 ones above all). Entries of one MAC address share a Station, by which the
// router counts what one guest may have; an entry keeps its station while it carries flows.
//
// Bounds: MAX_PER_FAMILY of each family, MAX_PER_STATION of one MAC address (its own oldest makes room), MAX_INCOMPLETE
// unresolved, MAX_WAITING packets each, 100 solicitations per second. A full table evicts the oldest unresolved entry,
// then the entry that was silent for longest and carries no flows.
//
// Nothing here depends on the number of entries. To find who was silent for longest, each family keeps its entries in
// the order in which they were last looked at: who was heard since then goes to the end when it comes up, LOOKS of them
// at most for one new entry.
//
// The cache knows no messages: `solicit` is given by the IP layer and sends ARP requests (or neighbor solicitations).

import { MAPPED } from '../core/address.ts';
import type { Clock } from '../core/clock.ts';
import { Drop, type DropCounters } from '../core/drop.ts';
import { copyBytes } from '../core/frame.ts';
import type { Timer, TimerWheel } from '../core/timer-wheel.ts';
import { TYPE_IPV4, TYPE_IPV6 } from '../wire/ethernet.ts';

export const NeighborState = { Incomplete: 0, Reachable: 1, Probe: 2 } as const;
export type NeighborState = (typeof NeighborState)[keyof typeof NeighborState];

const MAX_PER_FAMILY = 1024;
const MAX_PER_STATION = 64;
const MAX_INCOMPLETE = 256;
const MAX_WAITING = 3;
const REACHABLE_MS = 60_000;
const RETRANS_MS = 1000; // RFC 4861 section 10, RETRANS_TIMER
const MAX_SOLICITS = 3; // RFC 4861 section 10, MAX_MULTICAST_SOLICIT and MAX_UNICAST_SOLICIT
const SOLICITS_PER_SECOND = 100;
const BUCKETS = 1024;
/** Entries looked at for one that may go. */
const LOOKS = 64;

/** What has one or more of the addresses: a MAC address, or something not known yet. */
export class Station {
  /** MAC address as one number; -1: not known. */
  readonly mac: number;
  /** Entries of it, oldest first. */
  readonly entries = new Set<Neighbor>();

  constructor(mac: number) {
    this.mac = mac;
  }
}

/** One guest address and the station that has it. */
export class Neighbor {
  readonly w0: number;
  readonly w1: number;
  readonly w2: number;
  readonly w3: number;
  readonly isIpv4: boolean;
  /** EtherType of packets to it. */
  readonly etherType: number;
  /** MAC address: first two bytes, last four bytes (signed). */
  macHi = 0;
  macLo = 0;
  station: Station = new Station(-1);
  state: NeighborState = NeighborState.Incomplete;
  /** Grows with every change of MAC or state: prepared headers compare it instead of the address. */
  version = 1;
  /** When the station last sent anything, monotonic ms. */
  heardAt = 0;
  /** Flows that the router keeps for this guest: entries with flows are not evicted. */
  flows = 0;
  /** TCP flows among them that are not established yet. */
  halfOpen = 0;
  /** Internal to the cache. */
  solicits = 0;
  solicitAt = 0;
  claimHi = 0;
  claimLo = 0;
  claimed = false;
  waiting: Uint8Array[] = [];
  bucketNext: Neighbor | null = null;
  /** `heardAt` when it was put where it is in the order of age. */
  agedAt = 0;

  constructor(w0: number, w1: number, w2: number, w3: number) {
    this.w0 = w0;
    this.w1 = w1;
    this.w2 = w2;
    this.w3 = w3;
    this.isIpv4 = w2 === MAPPED && (w0 | w1) === 0;
    this.etherType = this.isIpv4 ? TYPE_IPV4 : TYPE_IPV6;
  }

  get resolved(): boolean {
    return this.state !== NeighborState.Incomplete;
  }
}

export interface NeighborCacheOptions {
  wheel: TimerWheel;
  drops: DropCounters;
  /** Seed of the hash: guests choose addresses, so it must not be known to them. */
  seed: number;
  /** Asks who has the address: by unicast to the entry's MAC, or by broadcast. */
  solicit: (n: Neighbor, unicast: boolean) => void;
  /** Sends a frame (MAC filled in by the receiver of this call) that waited for resolution. */
  release: (n: Neighbor, frame: Uint8Array) => void;
  /** Hears of each frame that waited in vain: nobody answers for the address. Counted already. */
  failed?: (frame: Uint8Array) => void;
}

export class NeighborCache {
  /** Entries at most, of both families. */
  readonly capacity = 2 * MAX_PER_FAMILY;
  private readonly buckets: (Neighbor | null)[] = new Array<Neighbor | null>(BUCKETS).fill(null);
  private readonly clock: Clock;
  private readonly drops: DropCounters;
  private readonly seed: number;
  private readonly solicit: (n: Neighbor, unicast: boolean) => void;
  private readonly release: (n: Neighbor, frame: Uint8Array) => void;
  private readonly failed: ((frame: Uint8Array) => void) | null;
  private readonly timer: Timer;
  private readonly stations = new Map<number, Station>();
  /** Entries that are being asked for, INCOMPLETE or PROBE. */
  private readonly pending = new Set<Neighbor>();
  /** Entries whose MAC address is not known, in the order in which they became so. */
  private readonly lacking = new Set<Neighbor>();
  /** All entries of each family, in the order of age. */
  private readonly ages4 = new Set<Neighbor>();
  private readonly ages6 = new Set<Neighbor>();
  private budget = SOLICITS_PER_SECOND;
  private budgetAt = 0;

  constructor(options: NeighborCacheOptions) {
    this.clock = options.wheel.clock;
    this.drops = options.drops;
    this.seed = options.seed | 0;
    this.solicit = options.solicit;
    this.release = options.release;
    this.failed = options.failed ?? null;
    this.timer = options.wheel.timer(() => this.tick());
  }

  get size(): number {
    return this.ages4.size + this.ages6.size;
  }

  private agesOf(n: Neighbor): Set<Neighbor> {
    return n.isIpv4 ? this.ages4 : this.ages6;
  }

  /** Entries whose MAC address is not known yet, and the most of them. */
  readonly maxUnresolved = MAX_INCOMPLETE;

  get unresolved(): number {
    return this.lacking.size;
  }

  private bucket(w0: number, w1: number, w2: number, w3: number): number {
    let h = Math.imul(w3 ^ this.seed, 0x9e3779b1);
    h = Math.imul((h ^ (h >>> 15)) + (w0 ^ Math.imul(w1, 0x85ebca6b)), 0xc2b2ae35);
    h = Math.imul((h ^ (h >>> 13)) + w2, 0x27d4eb2f);
    return (h ^ (h >>> 16)) & (BUCKETS - 1);
  }

  find(w0: number, w1: number, w2: number, w3: number): Neighbor | null {
    let n = this.buckets[this.bucket(w0, w1, w2, w3)] ?? null;
    while (n !== null && (n.w3 !== w3 || n.w2 !== w2 || n.w1 !== w1 || n.w0 !== w0)) n = n.bucketNext;
    return n;
  }

  /** All entries, for management. */
  *[Symbol.iterator](): Iterator<Neighbor> {
    for (const head of this.buckets) for (let n = head; n !== null; n = n.bucketNext) yield n;
  }

  /**
   * A station showed that it has the address: from an ARP message, or from a packet with this source.
   * Returns the entry when it is (or now became) that station's, else null: the claim is being checked.
   */
  heard(w0: number, w1: number, w2: number, w3: number, macHi: number, macLo: number, now: number): Neighbor | null {
    let n = this.find(w0, w1, w2, w3);
    if (n === null) {
      if (!this.makeStationRoom(macHi, macLo)) return null;
      n = this.insert(w0, w1, w2, w3);
    }
    if (n === null) return null;
    if (n.state === NeighborState.Incomplete) {
      this.adopt(n, macHi, macLo, now);
    } else if (n.macHi === macHi && n.macLo === macLo) {
      this.confirm(n, now);
    } else {
      this.claim(n, macHi, macLo);
      return null;
    }
    return n;
  }

  /** An authority (the DHCP server) gave the address to this MAC: believed at once. */
  assign(w0: number, w1: number, w2: number, w3: number, macHi: number, macLo: number): void {
    const n = this.find(w0, w1, w2, w3) ?? this.insert(w0, w1, w2, w3);
    if (n === null) return;
    if (n.resolved && n.macHi === macHi && n.macLo === macLo) this.confirm(n, this.clock.now());
    else this.adopt(n, macHi, macLo, this.clock.now());
  }

  /** The station sent something just now. Cheap: called for every packet. */
  confirm(n: Neighbor, now: number): void {
    n.heardAt = now;
    if (n.state !== NeighborState.Probe) return;
    n.state = NeighborState.Reachable;
    n.claimed = false;
    this.pending.delete(n);
  }

  /** The entry to send to, made and asked for when there is none; null when the table is full. */
  resolve(w0: number, w1: number, w2: number, w3: number): Neighbor | null {
    const found = this.find(w0, w1, w2, w3);
    if (found !== null) return found;
    const n = this.insert(w0, w1, w2, w3);
    if (n !== null) this.ask(n);
    return n;
  }

  /**
   * Called before a frame is sent to an entry that was not heard of for a while: asks again, by unicast, whether it is
   * still there. The frame may be sent meanwhile.
   */
  refresh(n: Neighbor, now: number): void {
    if (n.state !== NeighborState.Reachable || now - n.heardAt < REACHABLE_MS) return;
    n.state = NeighborState.Probe;
    this.ask(n);
  }

  /** Keeps a copy of a frame until the entry is resolved; the oldest goes when too many wait. */
  enqueue(n: Neighbor, b: Uint8Array, off: number, len: number): void {
    if (n.waiting.length >= MAX_WAITING) {
      n.waiting.shift();
      this.drops[Drop.NeighborQueueFull]!++;
    }
    n.waiting.push(copyBytes(b, off, off + len));
    if (!this.pending.has(n)) this.ask(n);
  }

  private insert(w0: number, w1: number, w2: number, w3: number): Neighbor | null {
    const n = new Neighbor(w0, w1, w2, w3);
    const ages = this.agesOf(n);
    const fits = this.lacking.size < MAX_INCOMPLETE || this.evictUnresolved(null);
    if (!fits || (ages.size >= MAX_PER_FAMILY && !this.evictUnresolved(ages) && !this.evictSilent(ages))) {
      this.drops[Drop.NeighborTableFull]!++;
      return null;
    }
    n.station.entries.add(n);
    const bucket = this.bucket(w0, w1, w2, w3);
    n.bucketNext = this.buckets[bucket] ?? null;
    this.buckets[bucket] = n;
    ages.add(n);
    this.lacking.add(n);
    return n;
  }

  /** Room for one more entry of a station, at the cost of its own oldest; false: all of them carry flows. */
  private makeStationRoom(macHi: number, macLo: number): boolean {
    const station = this.stations.get(macNumber(macHi, macLo));
    if (station === undefined || station.entries.size < MAX_PER_STATION) return true;
    let victim: Neighbor | null = null;
    for (const n of station.entries) if (n.flows === 0 && (victim === null || older(n, victim))) victim = n;
    if (victim === null) this.drops[Drop.NeighborTableFull]!++;
    else this.remove(victim);
    return victim !== null;
  }

  /** Moves an entry to another station, or (null) out of its own. */
  private attach(n: Neighbor, station: Station | null): void {
    if (n.station === station) return;
    const { entries, mac } = n.station;
    entries.delete(n);
    if (entries.size === 0) this.stations.delete(mac);
    if (station === null) return;
    n.station = station;
    station.entries.add(n);
  }

  /** The station of a MAC address, made when it is new. */
  private stationOf(macHi: number, macLo: number): Station {
    const mac = macNumber(macHi, macLo);
    let station = this.stations.get(mac);
    if (station === undefined) {
      station = new Station(mac);
      this.stations.set(mac, station);
    }
    return station;
  }

  /** Ends the entry that is unresolved for longest, of one family or (null) of any. */
  private evictUnresolved(ages: Set<Neighbor> | null): boolean {
    let looks = Math.min(LOOKS, this.lacking.size);
    for (const n of this.lacking) {
      if (looks-- === 0) break;
      if (n.flows === 0 && (ages === null || ages.has(n))) {
        this.remove(n);
        return true;
      }
      this.lacking.delete(n);
      this.lacking.add(n);
    }
    return false;
  }

  /** Ends the entry of a family that was silent for longest. */
  private evictSilent(ages: Set<Neighbor>): boolean {
    let victim: Neighbor | null = null;
    let looks = LOOKS;
    for (const n of ages) {
      if (looks-- === 0) break;
      const isFree = n.flows === 0;
      if (isFree && (victim === null || n.heardAt < victim.heardAt)) victim = n;
      if (isFree && n.heardAt === n.agedAt) break; // those behind were heard of later
      this.toYoungEnd(n, ages);
    }
    if (victim !== null) this.remove(victim);
    return victim !== null;
  }

  private toYoungEnd(n: Neighbor, ages: Set<Neighbor>): void {
    n.agedAt = n.heardAt;
    ages.delete(n);
    ages.add(n);
  }

  private remove(n: Neighbor): void {
    const bucket = this.bucket(n.w0, n.w1, n.w2, n.w3);
    let at = this.buckets[bucket] ?? null;
    if (at === n) this.buckets[bucket] = n.bucketNext;
    else {
      while (at !== null && at.bucketNext !== n) at = at.bucketNext;
      if (at !== null) at.bucketNext = n.bucketNext;
    }
    n.bucketNext = null;
    this.agesOf(n).delete(n);
    this.lacking.delete(n);
    this.dropWaiting(n);
    this.pending.delete(n);
    n.version++;
    this.attach(n, null);
  }

  private adopt(n: Neighbor, macHi: number, macLo: number, now: number): void {
    this.lacking.delete(n);
    n.macHi = macHi;
    n.macLo = macLo;
    if (n.flows === 0) this.attach(n, this.stationOf(macHi, macLo));
    n.state = NeighborState.Reachable;
    n.heardAt = now;
    this.toYoungEnd(n, this.agesOf(n));
    n.claimed = false;
    n.version++;
    this.pending.delete(n);
    const frames = n.waiting;
    n.waiting = [];
    for (const frame of frames) this.release(n, frame);
  }

  private claim(n: Neighbor, macHi: number, macLo: number): void {
    if (!n.claimed) {
      n.claimed = true;
      n.claimHi = macHi;
      n.claimLo = macLo;
    }
    if (n.state === NeighborState.Reachable) {
      n.state = NeighborState.Probe;
      this.ask(n);
    }
  }

  private ask(n: Neighbor): void {
    n.solicits = 0;
    this.pending.add(n);
    this.solicitNow(n, this.clock.now());
    if (!this.timer.armed) this.timer.set(RETRANS_MS);
  }

  private solicitNow(n: Neighbor, now: number): void {
    n.solicitAt = now;
    n.solicits++;
    if (now - this.budgetAt >= 1000) {
      this.budgetAt = now;
      this.budget = SOLICITS_PER_SECOND;
    }
    if (this.budget <= 0) return;
    this.budget--;
    this.solicit(n, n.resolved);
  }

  private tick(): void {
    const now = this.clock.now();
    for (const n of this.pending) {
      if (now - n.solicitAt < RETRANS_MS) continue;
      if (n.solicits < MAX_SOLICITS) this.solicitNow(n, now);
      else this.giveUp(n, now);
    }
    if (this.pending.size > 0) this.timer.set(RETRANS_MS);
  }

  private giveUp(n: Neighbor, now: number): void {
    if (n.claimed) {
      this.adopt(n, n.claimHi, n.claimLo, now); // the old owner is gone: the claim holds
      return;
    }
    if (n.resolved) {
      n.state = NeighborState.Incomplete;
      n.version++;
      this.lacking.add(n);
    }
    this.pending.delete(n);
    const frames = n.waiting;
    this.drops[Drop.NeighborUnreachable]! += frames.length;
    n.waiting = [];
    if (n.flows === 0) this.remove(n);
    if (this.failed !== null) for (const frame of frames) this.failed(frame);
  }

  private dropWaiting(n: Neighbor): void {
    this.drops[Drop.NeighborUnreachable]! += n.waiting.length;
    n.waiting.length = 0;
  }
}

const macNumber = (hi: number, lo: number): number => (hi & 0xffff) * 2 ** 32 + (lo >>> 0);

/** Order of eviction: unresolved before resolved, then the one silent for longer. */
const older = (a: Neighbor, b: Neighbor): boolean => (a.resolved !== b.resolved ? !a.resolved : a.heardAt < b.heardAt);
