// One IP packet under way: where its parts are, and the fields that every layer above Ethernet asks for.
//
// The IP layer owns one Packet, fills it for each packet that passed its checks and hands it to the protocol's handler.
// Like the bytes it points into, it is on loan until the handler returns.

import { MAPPED } from './address.ts';

export class Packet {
  /** Frame bytes. */
  b: Uint8Array = new Uint8Array(0);
  /** Offset of the Ethernet header. */
  l2 = 0;
  /** Offset of the IP header. */
  l3 = 0;
  /** Offset of the transport header. */
  l4 = 0;
  /** Offset one past the IP payload (Ethernet padding left out). */
  end = 0;
  /** Protocol number of what starts at `l4` (1 ICMP, 6 TCP, 17 UDP, 58 ICMPv6). */
  protocol = 0;
  /** TTL or hop limit as received. */
  ttl = 0;
  /** DSCP and ECN bits (TOS, traffic class). */
  tos = 0;
  /** Source and destination in the form of address.ts, IPv4 mapped. */
  src0 = 0;
  src1 = 0;
  src2 = 0;
  src3 = 0;
  dst0 = 0;
  dst1 = 0;
  dst2 = 0;
  dst3 = 0;
  /** True when checksums of TCP need no look: the frame did not leave this host's memory (see Link.offload). */
  trusted = false;
  /** True when the frame was sent to a group MAC address (RFC 1122 3.2.2: such packets never cause errors). */
  l2Group = false;

  /** Sets both addresses to IPv4 ones, signed or unsigned. */
  setIpv4(src: number, dst: number): void {
    this.src0 = this.src1 = this.dst0 = this.dst1 = 0;
    this.src2 = this.dst2 = MAPPED;
    this.src3 = src | 0;
    this.dst3 = dst | 0;
  }

  /** False also for an IPv6 packet of which one address is IPv4-mapped: a guest's never is. */
  get isIpv4(): boolean {
    return (
      this.src2 === MAPPED && this.dst2 === MAPPED && (this.src0 | this.src1) === 0 && (this.dst0 | this.dst1) === 0
    );
  }
}

/** What the IP layer calls for the packets of one protocol. */
export interface PacketHandler {
  packet(p: Packet): void;
}
