// The binding table: which address belongs to which station on which port.
//
// Entries come from DHCP acknowledgements, from duplicate address detection (IPv6), from what trusted ports say of
// themselves, and by hand. An address has one entry for each VLAN; whoever is bound first keeps it until the entry expires.
// Bounds: 1024 entries for each IP version, 64 for each port; beyond them nothing new is bound. Look-ups touch a hash
// table under a secret key and cost the same whatever is in it.

import { randomFillSync } from 'node:crypto';
import { MAPPED } from '../../core/address.ts';
import type { Clock } from '../../core/clock.ts';
import { TupleTable } from '../../core/tuple-table.ts';

export const MAX_BINDINGS = 1024;
export const MAX_PORT_BINDINGS = 64;

/** How an entry came about. `trusted`: an address that a trusted port's station claims. */
export type BindingSource = 'dhcp' | 'nd' | 'trusted' | 'static';

export interface Binding {
  readonly vlan: number;
  /** The address in the form of address.ts, IPv4 mapped. */
  readonly a0: number;
  readonly a1: number;
  readonly a2: number;
  readonly a3: number;
  macHi: number;
  macLo: number;
  port: number;
  source: BindingSource;
  /** When the entry ends, monotonic ms; Infinity for static ones. */
  expiresAt: number;
}

/** What is bound to an address: a station on a port. */
export interface Owner {
  readonly macHi: number;
  /** Signed. */
  readonly macLo: number;
  readonly port: number;
  readonly source: BindingSource;
  /** Seconds; ignored for static entries. */
  readonly lifetimeSec: number;
}

export class BindingTable {
  private readonly clock: Clock;
  private readonly table: TupleTable;
  private readonly entries: (Binding | null)[] = [];
  private readonly free: number[] = [];
  private readonly perPort = new Map<number, number>();
  private readonly counts = { ipv4: 0, ipv6: 0 };

  constructor(clock: Clock) {
    const [k0, k1] = randomFillSync(new Int32Array(2));
    this.clock = clock;
    this.table = new TupleTable(k0!, k1!);
  }

  get size(): number {
    return this.table.size;
  }

  /** The entry of an address, null when there is none or it has expired. */
  find(vlan: number, a0: number, a1: number, a2: number, a3: number): Binding | null {
    const index = this.table.find(a0, a1, a2, a3, 0, 0, a2, vlan, 0);
    if (index < 0) return null;
    const entry = this.entries[index]!;
    if (entry.expiresAt > this.clock.now()) return entry;
    this.remove(entry);
    return null;
  }

  /**
   * Binds an address, or renews the entry when it belongs to the same station. An entry by hand replaces any other, and a
   * DHCP lease replaces what was only observed; otherwise an address that is another's stays that. False when it is, or
   * when there is no room.
   */
  bind(vlan: number, a0: number, a1: number, a2: number, a3: number, owner: Owner): boolean {
    const expiresAt =
      owner.source === 'static' ? Number.POSITIVE_INFINITY : this.clock.now() + owner.lifetimeSec * 1000;
    const known = this.find(vlan, a0, a1, a2, a3);
    if (known !== null) {
      const same = known.macHi === owner.macHi && known.macLo === owner.macLo && known.port === owner.port;
      if (!same && rank(owner.source) <= rank(known.source)) return false;
      if (known.source !== 'static') known.expiresAt = expiresAt;
      if (same) return true;
      this.remove(known);
    }
    if (!this.hasRoom(owner.port, a2)) return false;
    const { macHi, macLo, port, source } = owner;
    const entry: Binding = { vlan, a0, a1, a2, a3, macHi, macLo, port, source, expiresAt };
    const index = this.free.pop() ?? this.entries.length;
    this.entries[index] = entry;
    this.table.set(a0, a1, a2, a3, 0, 0, a2, vlan, 0, index);
    this.count(entry, 1);
    return true;
  }

  /** Ends the entry of an address; false when there is none. */
  unbind(vlan: number, a0: number, a1: number, a2: number, a3: number): boolean {
    const entry = this.find(vlan, a0, a1, a2, a3);
    if (entry !== null) this.remove(entry);
    return entry !== null;
  }

  /** Ends the entries that `ended` picks. */
  drop(ended: (entry: Binding) => boolean): void {
    for (const entry of this.entries) if (entry !== null && ended(entry)) this.remove(entry);
  }

  /** The entries in force, for consoles. */
  list(): Binding[] {
    const now = this.clock.now();
    return this.entries.filter((entry) => entry !== null && entry.expiresAt > now) as Binding[];
  }

  private hasRoom(port: number, a2: number): boolean {
    if (this.fits(port, a2)) return true;
    const now = this.clock.now();
    this.drop((entry) => entry.expiresAt <= now);
    return this.fits(port, a2);
  }

  private fits(port: number, a2: number): boolean {
    const count = a2 === MAPPED ? this.counts.ipv4 : this.counts.ipv6;
    return count < MAX_BINDINGS && (this.perPort.get(port) ?? 0) < MAX_PORT_BINDINGS;
  }

  private remove(entry: Binding): void {
    const { vlan, a0, a1, a2, a3 } = entry;
    const index = this.table.find(a0, a1, a2, a3, 0, 0, a2, vlan, 0);
    this.table.delete(a0, a1, a2, a3, 0, 0, a2, vlan, 0);
    this.entries[index] = null;
    this.free.push(index);
    this.count(entry, -1);
  }

  private count({ a2, port }: Binding, by: number): void {
    if (a2 === MAPPED) this.counts.ipv4 += by;
    else this.counts.ipv6 += by;
    const left = (this.perPort.get(port) ?? 0) + by;
    if (left === 0) this.perPort.delete(port);
    else this.perPort.set(port, left);
  }
}

/** Which word counts more about whose an address is. */
const RANKS: Readonly<Record<BindingSource, number>> = { nd: 0, trusted: 1, dhcp: 1, static: 2 };
const rank = (source: BindingSource): number => RANKS[source];
