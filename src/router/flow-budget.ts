// The descriptors that flows may use, shared by TCP, UDP and ICMP, and shared fairly between guests.
//
//   all flows    at most `total`; the process keeps the rest of its descriptors for DNS, forwards and guests' connections
//   one guest    at most a quarter of it while other guests have flows too; a guest is a station, whatever its addresses
//
// When a new flow has no room, the flow without an end of its own (ICMP echo, UDP) that was idle for longest makes room:
// one of the same guest when that guest is over its share, else one of the guest that has most of them.
// Connections never make room: a new flow is refused when there is nothing else to end.

import type { Neighbor, Station } from '../ip/index.ts';

/** A table whose flows may be ended to make room. */
export interface FlowDonor {
  /** Ends the flow that was idle for longest, of `guest`, or (null) of the guest with most. False: there is none. */
  give(guest: Station | null): boolean;
}

export class FlowBudget {
  readonly total: number;
  /** Descriptors of one guest while others are active. */
  readonly share: number;
  private readonly counts = new Map<Station, number>();
  private readonly donors: FlowDonor[] = [];
  private open = 0;

  /** @param total  descriptors for all flows together */
  constructor(total: number) {
    this.total = total;
    this.share = Math.ceil(total / 4);
  }

  /** Descriptors in use. */
  get used(): number {
    return this.open;
  }

  /** Guests that have flows. */
  get guests(): number {
    return this.counts.size;
  }

  /** Adds a table to those asked to make room, behind the others. */
  addDonor(donor: FlowDonor): void {
    this.donors.push(donor);
  }

  /** Room for one more flow of `guest`, perhaps at the cost of another; false: the flow must be refused. */
  makeRoom({ station: guest }: Neighbor): boolean {
    const own = this.counts.get(guest) ?? 0;
    const others = this.counts.size - (own > 0 ? 1 : 0);
    if (own >= this.share && others > 0) return this.take(guest);
    return this.open < this.total || this.take(null);
  }

  /** A flow of `guest` has a descriptor from now on. */
  add({ station: guest }: Neighbor): void {
    this.open++;
    this.counts.set(guest, (this.counts.get(guest) ?? 0) + 1);
  }

  remove({ station: guest }: Neighbor): void {
    this.open--;
    const left = this.counts.get(guest)! - 1;
    if (left > 0) this.counts.set(guest, left);
    else this.counts.delete(guest);
  }

  private take(guest: Station | null): boolean {
    for (const donor of this.donors) if (donor.give(guest)) return true;
    return false;
  }
}
