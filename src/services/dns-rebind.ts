// Protection against DNS rebinding: a public name that answers with an address of the private networks lets a web page
// talk to services that are not the world's. Such an answer is refused as a whole, unless the name lies in an exempt zone.
//
// Addresses that are refused: this host, loopback, private and shared networks, link-local, the guest network; the same
// written as IPv4-mapped or NAT64 addresses; unique local and link-local IPv6.

import { ipv4Mask, MAPPED } from '../core/address.ts';
import * as dns from '../wire/dns.ts';

const PRIVATE: readonly (readonly [number, number])[] = [
  [0x00000000, 8],
  [0x0a000000, 8],
  [0x64400000, 10],
  [0x7f000000, 8],
  [0xa9fe0000, 16],
  [0xac100000, 12],
  [0xc0a80000, 16],
];
const NAT64_PREFIX = 0x0064ff9b; // RFC 6052 section 2.1

export interface RebindOptions {
  /** Zones whose names may have private addresses, lower case, without final dot. */
  readonly exempt: readonly string[];
  /** The guest network, unsigned. */
  readonly network: number;
  readonly mask: number;
}

export class RebindGuard {
  private readonly options: RebindOptions;
  private readonly isBad = (w0: number, w1: number, w2: number, w3: number): boolean => this.isPrivate(w0, w1, w2, w3);

  constructor(options: RebindOptions) {
    this.options = options;
  }

  /** True when an answer that passed `dns.check` must not reach a guest. */
  refuses(b: Uint8Array, off: number, end: number): boolean {
    if (!dns.someAddress(b, off, end, this.isBad)) return false;
    const name = dns.questionName(b, off).toLowerCase();
    return !this.options.exempt.some((zone) => name === zone || name.endsWith(`.${zone}`));
  }

  private isPrivate(w0: number, w1: number, w2: number, w3: number): boolean {
    if (w0 === 0 && w1 === 0 && (w2 === MAPPED || w2 === 0)) return this.isPrivateIpv4(w3);
    if (w0 === NAT64_PREFIX && w1 === 0 && w2 === 0) return this.isPrivateIpv4(w3);
    const top = w0 >>> 24;
    return (top & 0xfe) === 0xfc || w0 >>> 22 === 0x3fa; // fc00::/7, fe80::/10
  }

  private isPrivateIpv4(w3: number): boolean {
    const { network, mask } = this.options;
    if ((w3 & mask) >>> 0 === network) return true;
    return PRIVATE.some(([net, len]) => (w3 & ipv4Mask(len)) >>> 0 === net);
  }
}
