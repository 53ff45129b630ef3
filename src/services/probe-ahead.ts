// Probes of addresses that the DHCP server will give next, made before anybody asks for them, so that the OFFER to a
// newcomer need not wait for one.
//
//   look(addresses)      asks for each of them once: at start, and when a lease has taken one of those known
//   reset, then look     when stations may have come that did not hear the earlier probes: the link is back, or
//                        something was plugged into the switch of this process
//   probe(address)       silent, not long ago, and not heard of since   -> "free" at once
//                        still being asked for                           -> when that ends
//                        else                                            -> asked for now
//
// What is known grows old: a cable may be plugged in where we do not see it. Nothing is asked anew for that, so an idle
// network stays silent; the next newcomer waits for a probe as if there had been none.
//
// Bounds: AHEAD_MAX addresses are known, ASKING_MAX are being asked for. However often
// stations are plugged in, no more probes leave than that for each time that a probe takes; meanwhile every DISCOVER has one
// of its own.

import type { Clock } from '../core/clock.ts';
import type { AddressProbe } from './dhcp-setup.ts';

/** Addresses that are kept known: two guests started at once are usual. */
export const AHEAD_MAX = 2;
/** Probes ahead under way. */
export const ASKING_MAX = 4;
/**
 * Age at which silence proves nothing any more. An OFFER stands for as long on the strength of the probe before it
 * (OFFER_MS), and guests ask for their address within seconds of being plugged in.
 */
export const AHEAD_MS = 10_000;

type Done = (inUse: boolean) => void;

interface Asked {
  /** When it was asked: who is heard after that with the address has it. */
  readonly at: number;
  /** Nobody answered; else it is being asked for. */
  silent: boolean;
  /** Who waits for the answer. */
  waiting: Done[];
}

export interface ProbeAheadOptions {
  readonly clock: Clock;
  readonly probe: AddressProbe;
  readonly waitMs: number;
  /** True when a station was heard with this address at `since` or later. */
  readonly heardSince: (address: number, since: number) => boolean;
}

export class ProbeAhead {
  private readonly clock: Clock;
  private readonly ask: AddressProbe;
  private readonly waitMs: number;
  private readonly heardSince: ProbeAheadOptions['heardSince'];
  private readonly asked = new Map<number, Asked>();
  private asking = 0;
  /** What to look at when a probe has ended, since too many were under way. */
  private later: readonly number[] = [];

  constructor(options: ProbeAheadOptions) {
    this.clock = options.clock;
    this.ask = options.probe;
    this.waitMs = options.waitMs;
    this.heardSince = options.heardSince;
  }

  /** Nothing is known any more; who waits for a probe is told its end still. */
  reset(): void {
    this.asked.clear();
    this.later = [];
  }

  /** Asks for the addresses that are not known or being asked for, AHEAD_MAX at most, and forgets all others. */
  look(addresses: readonly number[]): void {
    const next = addresses.slice(0, AHEAD_MAX);
    for (const address of this.asked.keys()) if (!next.includes(address)) this.asked.delete(address);
    this.later = [];
    for (const address of next) {
      const known = this.asked.get(address);
      if (known !== undefined && (!known.silent || this.holds(address, known))) continue;
      if (this.asking < ASKING_MAX) this.begin(address);
      else this.later = next;
    }
  }

  /** Tells whether an address is in use, as AddressProbe. */
  readonly probe: AddressProbe = (address, waitMs, done) => {
    const known = this.asked.get(address);
    if (known === undefined || (known.silent && !this.holds(address, known))) this.ask(address, waitMs, done);
    else if (known.silent) done(false);
    else known.waiting.push(done);
  };

  private holds(address: number, { at }: Asked): boolean {
    return this.clock.now() - at < AHEAD_MS && !this.heardSince(address, at);
  }

  private begin(address: number): void {
    const asked: Asked = { at: this.clock.now(), silent: false, waiting: [] };
    this.asked.set(address, asked);
    this.asking++;
    let waited = false;
    this.ask(address, this.waitMs, (inUse) => {
      this.asking--;
      // What is said at once was not found out. Who has an address answers at once: a newcomer loses no time by it.
      if (this.asked.get(address) === asked && (inUse || !waited)) this.asked.delete(address);
      asked.silent = true;
      for (const done of asked.waiting.splice(0)) done(inUse);
      if (this.later.length > 0) this.look(this.later);
    });
    waited = true;
  }
}
