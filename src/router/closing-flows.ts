// Connections of which one side has ended: they may be ended to make room once they carried nothing for a while.
//
// Each call looks at LOOKS of them at most, in turns, so that a SYN that finds no room costs the same however many there
// are; the guest's next try looks at the next ones.

import type { Station } from '../ip/index.ts';
import type { TcpFlow } from './tcp-flow.ts';

const IDLE_MS = 10_000;
const LOOKS = 16;

export class ClosingFlows {
  private readonly flows = new Set<TcpFlow>();

  add(flow: TcpFlow): void {
    this.flows.add(flow);
  }

  delete(flow: TcpFlow): void {
    this.flows.delete(flow);
  }

  /** One that is idle, of `guest` or (null) of any; null when none was found. */
  idle(guest: Station | null, now: number): TcpFlow | null {
    let looks = Math.min(LOOKS, this.flows.size);
    for (const flow of this.flows) {
      if (looks-- === 0) break;
      if (now - flow.usedAt >= IDLE_MS && (guest === null || flow.guest.station === guest)) return flow;
      this.flows.delete(flow); // to the end: it is looked at again after the others
      this.flows.add(flow);
    }
    return null;
  }
}
