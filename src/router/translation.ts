// IPv4 for guests that speak IPv6: which of their addresses stand for IPv4 ones, and back.
//
// A flow to such an address is a flow to the IPv4 endpoint: the policy sees that one, the host's socket is an IPv4 one, and
// only what the guest sees keeps the IPv6 form. `via` names the prefix: answers must come from the same one.
//
// ::ffff:a.b.c.d on the wire (slirpvde6's way) is one more prefix. It is not meant for the wire (RFC 4291 section 2.5.5.2)
// and never told to guests: addresses that we choose (clients of forwards) have the first prefix of NAT64.

import type { Endpoint } from '../core/address.ts';
import { embed, extract, holds, MAPPED_PREFIX, type Nat64Prefix } from '../wire/nat64.ts';

/** The address is what it says. */
export const VIA_NONE = 0;
/** Not a prefix: an IPv6 gateway's address, whose IPv6 loopback did not have the service that 127.0.0.1 may have. */
export const VIA_LOOPBACK = -1;

export class Translation {
  /** The prefix for addresses that we choose; VIA_NONE when NAT64 is off. */
  readonly preferred: number;
  private readonly prefixes: readonly Nat64Prefix[];

  /** @param mappedV4  whether ::ffff:a.b.c.d is taken */
  constructor(nat64: readonly Nat64Prefix[], mappedV4: boolean) {
    this.prefixes = mappedV4 ? [...nat64, MAPPED_PREFIX] : nat64;
    this.preferred = nat64.length > 0 ? 1 : VIA_NONE;
  }

  /** The prefix that an IPv6 destination lies in, by number from 1, or VIA_NONE. */
  via(w0: number, w1: number, w2: number): number {
    const { prefixes } = this;
    for (let i = 0; i < prefixes.length; i++) if (holds(prefixes[i]!, w0, w1, w2)) return i + 1;
    return VIA_NONE;
  }

  /** The IPv4 address, signed, behind an address of prefix `via`. */
  toIpv4(via: number, w1: number, w2: number, w3: number): number {
    return extract(this.prefixes[via - 1]!, w1, w2, w3);
  }

  /** Sets `out` to the address of prefix `via` for an IPv4 one. */
  toIpv6(via: number, v4: number, port: number, out: Endpoint): Endpoint {
    return embed(this.prefixes[via - 1]!, v4, port, out);
  }
}
