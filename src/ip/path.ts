// A prepared route: the Ethernet and IP headers of one flow towards a guest, written by copying a template.
//
// Only the length, the header checksum of IPv4 and, when the neighbor's MAC changed, the destination MAC differ from
// packet to packet. IPv4 packets are sent with DF and id 0 (RFC 6864: atomic datagrams need no id).

import * as checksum from '../wire/checksum.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import { DEFAULT_TTL, type IpLayer } from './ip-layer.ts';
import type { Neighbor } from './neighbor.ts';

const L3 = ethernet.HEADER_LEN;

export class IpPath {
  readonly bytes: Uint8Array;
  readonly pseudoSum: number;
  /** The guest at the far end. */
  readonly neighbor: Neighbor;
  /** Largest transport unit that fits, bytes. */
  readonly maxSegment: number;
  /** True when the link cuts longer segments, and computes the checksums of TCP. */
  readonly offload: boolean;
  private readonly layer: IpLayer;
  private readonly isIpv4: boolean;
  /** Ethernet and IP header, bytes. */
  private readonly headersLen: number;
  private readonly template: Uint8Array;
  /** IPv4: partial checksum of the header with a total length of 0. */
  private readonly headerSum: number;
  private version = 0;

  /** @param s0..s3  whom the packets come from, in the neighbor's family (or mapped, to an IPv6 neighbor) */
  constructor(layer: IpLayer, neighbor: Neighbor, s0: number, s1: number, s2: number, s3: number, protocol: number) {
    this.layer = layer;
    this.neighbor = neighbor;
    this.bytes = layer.bytes;
    this.isIpv4 = neighbor.isIpv4;
    const headerLen = this.isIpv4 ? ipv4.HEADER_LEN : ipv6.HEADER_LEN;
    this.maxSegment = layer.maxPayload(neighbor);
    this.offload = layer.offload && protocol === ipv4.PROTO_TCP;
    this.headersLen = L3 + headerLen;
    this.template = new Uint8Array(this.headersLen);
    this.pseudoSum = layer.pseudoSum(neighbor, s0, s1, s2, s3, protocol);
    const t = this.template;
    this.writeLink();
    if (this.isIpv4) {
      ipv4.writeHeader(t, L3, 0, 0, DEFAULT_TTL, protocol, s3, neighbor.w3, 0, true);
      t[L3 + 10] = t[L3 + 11] = 0;
      this.headerSum = checksum.partial(t, L3, ipv4.HEADER_LEN, 0);
    } else {
      const { w0, w1, w2, w3 } = neighbor;
      ipv6.writeHeader(t, L3, 0, protocol, DEFAULT_TTL, s0, s1, s2, s3, w0, w1, w2, w3);
      this.headerSum = 0;
    }
  }

  private writeLink(): void {
    const { layer, neighbor: n } = this;
    ethernet.write(this.template, 0, n.macHi, n.macLo, layer.macHi, layer.macLo, n.etherType);
  }

  /** Room for `len` bytes of transport header and payload; their offset in `bytes`, = 0 (mod 4). */
  reserve(len: number): number {
    return this.layer.reserve(len);
  }

  /** Completes and sends what was reserved at `o`. */
  commit(o: number, len: number): void {
    const b = this.bytes;
    const t = this.template;
    const n = this.neighbor;
    if (this.version !== n.version) {
      this.version = n.version;
      this.writeLink();
    }
    const headers = this.headersLen;
    const off = o - headers;
    for (let i = 0; i < headers; i++) b[off + i] = t[i]!;
    const l3 = off + L3;
    if (this.isIpv4) {
      const totalLen = ipv4.HEADER_LEN + len;
      b[l3 + 2] = totalLen >>> 8;
      b[l3 + 3] = totalLen;
      const sum = checksum.finish(checksum.partialAdd(this.headerSum, totalLen));
      b[l3 + 10] = sum >>> 8;
      b[l3 + 11] = sum;
    } else {
      b[l3 + 4] = len >>> 8;
      b[l3 + 5] = len;
    }
    this.layer.sendFrame(n, off, headers + len);
  }
}
