// Host names that DHCP clients give themselves.
//
// A name is kept when it is one and nobody else has a right to it: not a reserved name, and not the name of a client whose
// lease is in force. A client whose lease has ended loses its name to the next one that asks for it.

import { type LeasePool, LeaseState } from './lease-pool.ts';

/** Names that would mislead other guests, whatever the configuration. */
const RESERVED = ['gateway', 'router', 'localhost', 'broadcasthost'];

/** The names of the holders in a pool. */
export class HostNames {
  private readonly pool: LeasePool;
  /** Index of the lease that has a name, by the name in lower case; -1: nobody may have it. */
  private readonly owners = new Map<string, number>();

  constructor(pool: LeasePool, reserved: readonly string[]) {
    this.pool = pool;
    for (const name of [...RESERVED, ...reserved]) this.owners.set(name.toLowerCase(), -1);
  }

  /** Gives `name` to the holder of address `i` instead of the one it had; without a right to it, it has none. */
  give(i: number, name: string): void {
    this.drop(i);
    const holder = this.pool.holder(i);
    if (holder === null || !isHostname(name)) return;
    const key = name.toLowerCase();
    const owner = this.owners.get(key);
    if (owner !== undefined) {
      if (owner === -1 || this.pool.state(owner) === LeaseState.Bound) return;
      this.drop(owner);
    }
    this.owners.set(key, i);
    holder.hostname = name;
  }

  /** Index of the lease that has a name, or -1. */
  find(name: string): number {
    return this.owners.get(name.toLowerCase()) ?? -1;
  }

  /** Takes the name of address `i` away; to be called before its holder changes. */
  drop(i: number): void {
    const holder = this.pool.holder(i);
    if (holder === null || holder.hostname === '') return;
    this.owners.delete(holder.hostname.toLowerCase());
    holder.hostname = '';
  }
}

/** Letters, digits and hyphens, no hyphen at either end, 1 to 63 characters (RFC 1123 section 2.1). */
const isHostname = (name: string): boolean => name.length <= 63 && /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/i.test(name);
