// Host names that DHCP clients give themselves.
//
// A name is kept when it is one and nobody else has a right to it: not a reserved name, not one that the configuration gave
// to a client, and not the name of a client whose lease is in force, in this pool or (`NameTaken`) in another. A client whose lease has ended loses its name to the
// next one that asks for it.

import { type LeasePool, LeaseState, macNumber } from './lease-pool.ts';

/** Names that would mislead other guests, whatever the configuration. */
const RESERVED = ['gateway', 'router', 'localhost', 'broadcasthost'];

/** Whether another station than this one has a name (lower case) by the leases of the other family. */
export type NameTaken = (name: string, macHi: number, macLo: number) => boolean;

/** The names of the holders in a pool. */
export class HostNames {
  private readonly pool: LeasePool;
  /** Index of the lease that has a name, by the name in lower case; -1: nobody may have it. */
  private readonly owners = new Map<string, number>();
  /** Leases whose name is the configuration's: it neither changes nor ends. */
  private readonly fixed = new Set<number>();
  private readonly isTaken: NameTaken | null;

  constructor(pool: LeasePool, reserved: readonly string[], isTaken: NameTaken | null = null) {
    this.pool = pool;
    this.isTaken = isTaken;
    for (const name of [...RESERVED, ...reserved]) this.owners.set(name.toLowerCase(), -1);
  }

  /** Gives `name` to the holder of address `i` for good. The name is one, and nobody's yet. */
  fix(i: number, name: string): void {
    this.owners.set(name.toLowerCase(), i);
    this.fixed.add(i);
    this.pool.holder(i)!.hostname = name;
  }

  /** True when the holder of address `i` may have `name`, or has it. */
  mayHave(i: number, name: string): boolean {
    if (!isHostname(name)) return false;
    const key = name.toLowerCase();
    const holder = this.pool.holder(i);
    if (holder !== null && this.isTaken?.(key, holder.macHi, holder.macLo) === true) return false;
    const owner = this.owners.get(key);
    if (owner === i) return true;
    if (this.fixed.has(i) || owner === -1) return false;
    return owner === undefined || (!this.fixed.has(owner) && this.pool.state(owner) !== LeaseState.Bound);
  }

  /** Gives `name` to the holder of address `i` instead of the one it had; without a right to it, it has none. */
  give(i: number, name: string): void {
    if (this.fixed.has(i)) return;
    this.drop(i);
    const holder = this.pool.holder(i);
    if (holder === null || !this.mayHave(i, name)) return;
    const key = name.toLowerCase();
    const owner = this.owners.get(key);
    if (owner !== undefined) this.drop(owner);
    this.owners.set(key, i);
    holder.hostname = name;
  }

  /** Takes the name of address `i` away; to be called before its holder changes. */
  drop(i: number): void {
    const holder = this.pool.holder(i);
    if (holder === null || holder.hostname === '' || this.fixed.has(i)) return;
    this.owners.delete(holder.hostname.toLowerCase());
    holder.hostname = '';
  }

  /** Index of the address whose holder has `name` (lower case) now, or -1. */
  find(name: string): number {
    const i = this.owners.get(name) ?? -1;
    return i >= 0 && this.inForce(i) ? i : -1;
  }

  /** Hardware address, as one number, of the holder that has `name` (lower case) now, or -1. */
  ownerOf(name: string): number {
    const holder = this.pool.holder(this.find(name));
    return holder === null ? -1 : macNumber(holder.macHi, holder.macLo);
  }

  /** Name, in force, of the station with this hardware address, or ''. */
  nameOfStation(macHi: number, macLo: number): string {
    if (this.fixed.size === 0 && this.pool.heldBy(macHi, macLo) === 0) return '';
    for (const i of this.owners.values()) {
      const holder = i >= 0 && this.inForce(i) ? this.pool.holder(i) : null;
      if (holder?.macHi === macHi && holder.macLo === macLo) return holder.hostname;
    }
    return '';
  }

  /** Name of the holder of address `i` as it is known to others now, or ''. */
  nameOf(i: number): string {
    return this.inForce(i) ? (this.pool.holder(i)?.hostname ?? '') : '';
  }

  private inForce(i: number): boolean {
    return this.fixed.has(i) || this.pool.state(i) === LeaseState.Bound;
  }
}

/** Letters, digits and hyphens, no hyphen at either end, 1 to 63 characters (RFC 1123 section 2.1). */
export const isHostname = (name: string): boolean => name.length <= 63 && /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/i.test(name);
