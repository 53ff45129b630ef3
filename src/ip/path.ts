// A prepared route: the Ethernet and IPv4 headers of one flow towards a guest, written by copying a template.
//
// Only total length, header checksum and, when the neighbor's MAC changed, the destination MAC differ from packet to
// packet. TCP packets are sent with DF and id 0 (RFC 6864: atomic datagrams need no id).

import * as checksum from '../wire/checksum.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as ipv4 from '../wire/ipv4.ts';
import { DEFAULT_TTL, HEADROOM, type IpLayer } from './ip-layer.ts';
import type { Neighbor } from './neighbor.ts';

export class IpPath {
  readonly bytes: Uint8Array;
  readonly pseudoSum: number;
  /** The guest at the far end. */
  readonly neighbor: Neighbor;
  /** Largest transport unit that fits, bytes. */
  maxSegment: number;
  private readonly layer: IpLayer;
  private readonly template = new Uint8Array(HEADROOM);
  /** Partial checksum of the header with a total length of 0. */
  private readonly headerSum: number;
  private version = 0;

  constructor(layer: IpLayer, neighbor: Neighbor, src3: number, dst3: number, protocol: number) {
    this.layer = layer;
    this.neighbor = neighbor;
    this.bytes = layer.bytes;
    this.maxSegment = layer.mtu - ipv4.HEADER_LEN;
    this.pseudoSum = checksum.pseudoIpv4(src3 >>> 0, dst3 >>> 0, protocol);
    const t = this.template;
    ethernet.write(t, 0, 0, 0, layer.macHi, layer.macLo, ethernet.TYPE_IPV4);
    ipv4.writeHeader(t, ethernet.HEADER_LEN, 0, 0, DEFAULT_TTL, protocol, src3 >>> 0, dst3 >>> 0, 0, true);
    t[ethernet.HEADER_LEN + 10] = t[ethernet.HEADER_LEN + 11] = 0;
    this.headerSum = checksum.partial(t, ethernet.HEADER_LEN, ipv4.HEADER_LEN, 0);
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
      ethernet.write(t, 0, n.macHi, n.macLo, this.layer.macHi, this.layer.macLo, ethernet.TYPE_IPV4);
    }
    const off = o - HEADROOM;
    for (let i = 0; i < HEADROOM; i++) b[off + i] = t[i]!;
    const l3 = off + ethernet.HEADER_LEN;
    const totalLen = ipv4.HEADER_LEN + len;
    b[l3 + 2] = totalLen >>> 8;
    b[l3 + 3] = totalLen;
    const sum = checksum.finish(checksum.partialAdd(this.headerSum, totalLen));
    b[l3 + 10] = sum >>> 8;
    b[l3 + 11] = sum;
    this.layer.sendFrame(n, off, HEADROOM + len);
  }
}
