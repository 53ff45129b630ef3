// Payloads larger than the link takes: built in memory of their own, sent as fragments (RFC 791 section 3.2, RFC 8200
// section 4.5).
//
// Only datagrams of UDP and ICMP become that large (TCP segments fit by design). All fragments but the last carry a
// multiple of 8 bytes, as much as the link takes; DF is clear.
//
// The identification is a counter under a keyed permutation (a Feistel network of HalfSipHash rounds) of 16 bits, or of
// 32 for IPv6: nobody can foresee it (RFC 7739), and no value comes again within 65,536 packets (RFC 6864 section 4.3).

import { halfSipHash } from '../core/siphash.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import type { IpLayer } from './ip-layer.ts';
import type { Neighbor } from './neighbor.ts';

const ROUNDS = 4;

export class LargePayloads {
  /** Where a large payload is built, at offset 0. */
  readonly bytes = new Uint8Array(ipv6.MAX_PAYLOAD + 1);
  private readonly layer: IpLayer;
  private readonly k0: number;
  private readonly k1: number;
  private readonly input = new Int32Array(2);
  private counter: number;

  /** @param random  a uniform unpredictable number, 0 to 2^32 - 1 */
  constructor(layer: IpLayer, random: () => number) {
    this.layer = layer;
    this.k0 = random() | 0;
    this.k1 = random() | 0;
    this.counter = random() | 0;
  }

  /** Sends the payload of `len` bytes in `bytes` to `n`, from s0..s3. */
  send(n: Neighbor, len: number, s0: number, s1: number, s2: number, s3: number, protocol: number, hops: number): void {
    const { layer } = this;
    const { isIpv4 } = n;
    const extra = isIpv4 ? 0 : ipv6.FRAGMENT_HEADER_LEN;
    const most = (layer.maxPayload(n) - extra) & ~7;
    this.counter = (this.counter + 1) | 0;
    const id = this.permute(isIpv4 ? 8 : 16);
    for (let from = 0; from < len; from += most) {
      const part = Math.min(most, len - from);
      const o = layer.reserve(extra + part);
      const more = from + part < len;
      layer.bytes.set(this.bytes.subarray(from, from + part), o + extra);
      if (isIpv4) {
        const l3 = o - ipv4.HEADER_LEN;
        const total = ipv4.HEADER_LEN + part;
        ipv4.writeHeader(layer.bytes, l3, total, id, hops, protocol, s3, n.w3, 0, false);
        ipv4.setFragment(layer.bytes, l3, from, more);
        layer.sendPacket(n, l3, total);
      } else {
        ipv6.writeFragment(layer.bytes, o, protocol, from, more, id);
        layer.send(n, o, extra + part, s0, s1, s2, s3, ipv6.NEXT_FRAGMENT, hops);
      }
    }
  }

  /** The counter's place in a permutation of numbers of twice `half` bits. */
  private permute(half: number): number {
    const mask = (1 << half) - 1;
    let left = (this.counter >>> half) & mask;
    let right = this.counter & mask;
    for (let round = 0; round < ROUNDS; round++) {
      this.input[0] = (half << 8) | round;
      this.input[1] = right;
      const mixed = left ^ (halfSipHash(1, 3, this.k0, this.k1, this.input, 2) & mask);
      left = right;
      right = mixed;
    }
    return (left << half) | right;
  }
}
