// The addresses that this host has now, of both families, for policies that keep guests away from them.
//
// There is no notice of changes in Node, so they are looked at when somebody asks, at most every two seconds: an address
// that is added is refused to guests that long after at the latest.

import { networkInterfaces } from 'node:os';
import { parseAddress } from '../core/address.ts';
import type { Clock } from '../core/clock.ts';

const LOOK_MS = 2000;

export class OwnAddresses {
  private readonly clock: Clock;
  private readonly look: () => readonly string[];
  private lookAt = Number.NEGATIVE_INFINITY;
  private text = '';
  private words = new Int32Array(0);

  /** @param look  the addresses in force, as text; default: those of the system's interfaces */
  constructor(clock: Clock, look: () => readonly string[] = systemAddresses) {
    this.clock = clock;
    this.look = look;
  }

  /** All addresses, four words each in the form of core/address.ts; the same array until they change. */
  readonly list = (): Int32Array => {
    const now = this.clock.now();
    if (now < this.lookAt) return this.words;
    this.lookAt = now + LOOK_MS;
    const found = this.look();
    const text = found.join(' ');
    if (text !== this.text) {
      this.text = text;
      this.words = Int32Array.from(found.flatMap((address) => parseAddress(address) ?? []));
    }
    return this.words;
  };
}

const systemAddresses = (): string[] =>
  Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .map((each) => each.address.replace(/%.*$/, ''))
    .sort();
