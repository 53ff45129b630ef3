// ICMP errors towards guests (RFC 792, RFC 1122 3.2.2, RFC 1812 4.3).
//
// One comes from the first of our addresses unless the true offender is known, quotes the packet it is about (as much
// as fits 576 bytes, RFC 1812 4.3.2.3), and is never sent about: another ICMP error, a fragment that is not the first,
// a packet to a group address or in a group frame, or a sender that is not a single host. A token bucket bounds them.

import { MAPPED } from '../core/address.ts';
import type { Clock } from '../core/clock.ts';
import { Drop } from '../core/drop.ts';
import type { Packet } from '../core/packet.ts';
import * as icmp from '../wire/icmpv4.ts';
import * as ipv4 from '../wire/ipv4.ts';
import { DEFAULT_TTL, type IpLayer } from './ip-layer.ts';

const PER_SECOND = 100;
const BURST = 50;

export class IcmpErrors {
  private readonly layer: IpLayer;
  private readonly clock: Clock;
  private tokens = BURST;
  private refilledAt: number;

  constructor(layer: IpLayer, clock: Clock) {
    this.layer = layer;
    this.clock = clock;
    this.refilledAt = clock.now();
  }

  /** Sends an error about `p` to its sender. `rest` is the second word of the ICMP header (next-hop MTU for 3/4). */
  send(p: Packet, type: number, code: number, rest: number): void {
    if (p.l2Group || !mayCauseError(p.b, p.l3, p.end)) return;
    this.about(p.b, p.l3, p.end, type, code, rest);
  }

  /**
   * As `send`, about an IPv4 packet kept from earlier: `o` to `end` is its header and at least 8 bytes of payload.
   * `source` is whom the error comes from, unsigned.
   */
  about(
    b: Uint8Array,
    o: number,
    end: number,
    type: number,
    code: number,
    rest: number,
    source = this.layer.addresses[0]!,
  ): void {
    const layer = this.layer;
    const guest = ipv4.src(b, o);
    const n = layer.neighbors.find(0, 0, MAPPED, guest | 0);
    if (n === null) return;
    if (!this.takeToken()) {
      layer.drops[Drop.IcmpRateLimited]!++;
      return;
    }
    const len = icmp.errorLen(end - o);
    const at = layer.reserve(len);
    icmp.writeError(layer.bytes, at, type, code, rest, b, o, end);
    layer.send(n, at, len, source, guest, ipv4.PROTO_ICMP, DEFAULT_TTL, true);
  }

  /** Tells the sender that the packet whose first fragment is [o, end) was never completed (RFC 792, time exceeded). */
  aboutFragment(b: Uint8Array, o: number, end: number): void {
    if (mayCauseError(b, o, end)) this.about(b, o, end, icmp.TYPE_TIME_EXCEEDED, icmp.CODE_REASSEMBLY, 0);
  }

  private takeToken(): boolean {
    const now = this.clock.now();
    this.tokens = Math.min(BURST, this.tokens + ((now - this.refilledAt) * PER_SECOND) / 1000);
    this.refilledAt = now;
    if (this.tokens < 1) return false;
    this.tokens--;
    return true;
  }
}

/** The rules of RFC 1122 section 3.2.2 that can be told from the packet. */
function mayCauseError(b: Uint8Array, o: number, end: number): boolean {
  if (ipv4.fragOffset(b, o) !== 0) return false;
  const dst = ipv4.dst(b, o);
  if (dst >>> 28 >= 14 || ipv4.src(b, o) === 0) return false;
  if (ipv4.protocol(b, o) !== ipv4.PROTO_ICMP) return true;
  const l4 = o + ipv4.headerLen(b, o);
  return l4 < end && !icmp.isError(icmp.type(b, l4));
}
