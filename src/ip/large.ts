// Payloads larger than the link takes: built in memory of their own, sent as fragments (RFC 791 section 3.2).
//
// Only datagrams of UDP and ICMP become that large (TCP segments fit by design). All fragments but the last carry a
// multiple of 8 bytes, as much as the link takes; DF is clear.
//
// The identification is a counter under a keyed permutation of 16 bits (a Feistel network of HalfSipHash rounds): nobody
// can foresee it (RFC 7739), and no value comes again within 65,536 packets (RFC 6864 section 4.3).

import { halfSipHash } from '../core/siphash.ts';
import * as ipv4 from '../wire/ipv4.ts';
import type { IpLayer } from './ip-layer.ts';
import type { Neighbor } from './neighbor.ts';

const ROUNDS = 4;

export class LargePayloads {
  /** Where a large payload is built, at offset 0. */
  readonly bytes = new Uint8Array(ipv4.MAX_LEN - ipv4.HEADER_LEN + 1);
  private readonly layer: IpLayer;
  private readonly k0: number;
  private readonly k1: number;
  private readonly input = new Int32Array(1);
  private counter: number;

  /** @param random  a uniform unpredictable number, 0 to 2^32 - 1 */
  constructor(layer: IpLayer, random: () => number) {
    this.layer = layer;
    this.k0 = random() | 0;
    this.k1 = random() | 0;
    this.counter = random() & 0xffff;
  }

  /** Sends the payload of `len` bytes in `bytes` to `n`. Addresses signed or unsigned. */
  send(n: Neighbor, len: number, src: number, dst: number, protocol: number, ttl: number): void {
    const { layer } = this;
    const most = layer.maxPayload & ~7;
    const id = this.nextId();
    for (let from = 0; from < len; from += most) {
      const part = Math.min(most, len - from);
      const o = layer.reserve(part);
      layer.bytes.set(this.bytes.subarray(from, from + part), o);
      const l3 = o - ipv4.HEADER_LEN;
      const total = ipv4.HEADER_LEN + part;
      ipv4.writeHeader(layer.bytes, l3, total, id, ttl, protocol, src >>> 0, dst >>> 0, 0, false);
      ipv4.setFragment(layer.bytes, l3, from, from + part < len);
      layer.sendPacket(n, l3, total);
    }
  }

  private nextId(): number {
    this.counter = (this.counter + 1) & 0xffff;
    let left = this.counter >>> 8;
    let right = this.counter & 0xff;
    for (let round = 0; round < ROUNDS; round++) {
      this.input[0] = (round << 8) | right;
      const mixed = left ^ (halfSipHash(1, 3, this.k0, this.k1, this.input, 1) & 0xff);
      left = right;
      right = mixed;
    }
    return (left << 8) | right;
  }
}
