// One received segment, its header fields read once. One object serves all segments of an engine.

import type { Packet } from '../core/packet.ts';
import { i32 } from '../wire/bytes.ts';
import { pseudoIpv4, pseudoWords } from '../wire/checksum.ts';
import * as tcp from '../wire/tcp.ts';

const PROTOCOL_TCP = 6;

export class Segment {
  b: Uint8Array = new Uint8Array(0);
  /** Offset and length of the payload. */
  off = 0;
  len = 0;
  /** Sequence and acknowledgment numbers, signed 32-bit. */
  seq = 0;
  ack = 0;
  flags = 0;
  /** Window field, not scaled. */
  window = 0;
  readonly options = new tcp.TcpOptions();

  /** Reads the segment whose header is at `o`; it has passed `tcp.check`. */
  parse(b: Uint8Array, o: number, end: number): void {
    this.b = b;
    this.off = tcp.payload(b, o);
    this.len = end - this.off;
    // tcp.seq() and tcp.ack() as signed integers at once: above 2^31 unsigned ones can cost an allocation.
    this.seq = i32(b, o + 4);
    this.ack = i32(b, o + 8);
    this.flags = tcp.flags(b, o);
    this.window = tcp.window(b, o);
    this.options.parse(b, o);
  }

  get isSyn(): boolean {
    return (this.flags & tcp.SYN) !== 0;
  }

  get isFin(): boolean {
    return (this.flags & tcp.FIN) !== 0;
  }

  get isRst(): boolean {
    return (this.flags & tcp.RST) !== 0;
  }

  get hasAck(): boolean {
    return (this.flags & tcp.ACK) !== 0;
  }

  /** SEG.LEN of RFC 9293 section 3.3.1: payload, SYN and FIN. */
  get span(): number {
    return this.len + ((this.flags & tcp.SYN) >> 1) + (this.flags & tcp.FIN);
  }
}

/** Partial sum of the pseudo-header of a received packet, without the length. */
export function pseudoSum(p: Packet): number {
  if (p.isIpv4) return pseudoIpv4(p.src3, p.dst3, PROTOCOL_TCP);
  return pseudoWords(p.src0, p.src1, p.src2, p.src3, p.dst0, p.dst1, p.dst2, p.dst3, PROTOCOL_TCP);
}
