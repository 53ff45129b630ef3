// Internet Protocol version 6 header and extension headers, RFC 8200; fragment header, section 4.5.
//
//    0        1        2        3        4                 6        7        8
//   +--------+--------+--------+--------+-----------------+--------+--------+-----------------
//   | 6, traffic class, flow label      | payload length  | next   | hops   | source, destination: 16 bytes each
//   +--------+--------+--------+--------+-----------------+--------+--------+-----------------
//
//   fragment header
//   +--------+--------+--------------+-+-----------------------------------+
//   | next   | 0      | offset       |M| identification                    |      offset in units of 8 bytes
//   +--------+--------+--------------+-+-----------------------------------+
//
// `walk` goes through the extension headers to the upper-layer header or to a fragment header, whichever comes first. It
// is bounded (MAX_HEADERS headers, MAX_OPTION_BYTES bytes of them) and says what a destination must do about what it does
// not like: drop, or answer with a parameter problem. Routing headers, of whatever type, are passed over when they have no
// segments left and refused when they have (RFC 5095 section 3, RFC 8200 section 4.4); authentication headers are not
// understood.

import { formatAddress } from '../core/address.ts';
import { Drop, dropLabel } from '../core/drop.ts';
import { i32, putU16, putU32, u16, u32 } from './bytes.ts';

export const HEADER_LEN = 40;
export const FRAGMENT_HEADER_LEN = 8;
/** Largest payload without the jumbo option, which is not understood, bytes. */
export const MAX_PAYLOAD = 65535;
/** Every link carries packets of this size (RFC 8200 section 5). */
export const MIN_MTU = 1280;

export const NEXT_HOP_BY_HOP = 0;
export const NEXT_ROUTING = 43;
export const NEXT_FRAGMENT = 44;
export const NEXT_ICMPV6 = 58;
export const NEXT_NONE = 59;
export const NEXT_DESTINATION = 60;

/** Extension headers of one packet, and bytes that they may have together. */
export const MAX_HEADERS = 8;
export const MAX_OPTION_BYTES = 256;

const NEXT_AT = 6;
/** Offset of the payload length, which a parameter problem points at. */
export const PAYLOAD_LEN_AT = 4;
const OPTION_PAD1 = 0;
const OPTION_PADN = 1;
const OPTION_ROUTER_ALERT = 5;

/** Codes of a parameter problem (RFC 4443 section 3.4), as `HeaderChain.problem` has them. */
export const PROBLEM_NONE = -1;
export const PROBLEM_FIELD = 0;
export const PROBLEM_NEXT_HEADER = 1;
export const PROBLEM_OPTION = 2;

/**
 * Tells whether there is an IPv6 header at `o` and the packet it claims lies in the frame. After `Drop.None` every
 * accessor is safe, and the packet ends at `o + HEADER_LEN + payloadLen(b, o)`; what follows it is Ethernet padding.
 *
 * @param b    frame bytes
 * @param o    offset of the IPv6 header, bytes
 * @param end  offset one past the frame, bytes
 */
export function check(b: Uint8Array, o: number, end: number): Drop {
  if (end - o < HEADER_LEN) return Drop.Ipv6Truncated;
  if (b[o]! >>> 4 !== 6) return Drop.Ipv6BadVersion;
  return payloadLen(b, o) > end - o - HEADER_LEN ? Drop.Ipv6BadLength : Drop.None;
}

/** DSCP (upper six bits) and ECN. */
export const trafficClass = (b: Uint8Array, o: number): number => ((b[o]! & 15) << 4) | (b[o + 1]! >>> 4);
/** What follows the header, extension headers included, bytes. */
export const payloadLen = (b: Uint8Array, o: number): number => u16(b, o + 4);
export const nextHeader = (b: Uint8Array, o: number): number => b[o + NEXT_AT]!;
export const hopLimit = (b: Uint8Array, o: number): number => b[o + 7]!;
/** Word `i`, 0 to 3, of the addresses, signed. */
export const src = (b: Uint8Array, o: number, i: number): number => i32(b, o + 8 + 4 * i);
export const dst = (b: Uint8Array, o: number, i: number): number => i32(b, o + 24 + 4 * i);

/** Where the fragment whose header is at `o` belongs in the original payload, bytes, a multiple of 8. */
export const fragOffset = (b: Uint8Array, o: number): number => u16(b, o + 2) & 0xfff8;
export const moreFragments = (b: Uint8Array, o: number): boolean => (b[o + 3]! & 1) !== 0;
/** Identification of the packet, signed. */
export const fragId = (b: Uint8Array, o: number): number => i32(b, o + 4);

/** What `walk` found. One object serves all packets. */
export class HeaderChain {
  /** Protocol of what the chain leads to: an upper layer, NEXT_FRAGMENT or NEXT_NONE. */
  protocol = 0;
  /** Its offset, and that of the next-header field which names it. */
  at = 0;
  namedAt = 0;
  /** When the packet is refused: code of the parameter problem that says so, PROBLEM_NONE for silence. */
  problem = PROBLEM_NONE;
  /** What the problem is about, bytes from the IPv6 header. */
  pointer = 0;
  /** The problem is told although the packet was sent to a group (RFC 4443 section 2.4 (e.3)). */
  evenToGroup = false;
  private headers = 0;
  private bytes = 0;

  /**
   * Goes through the extension headers of a packet.
   *
   * @param b         frame bytes
   * @param o         offset of the IPv6 header, bytes
   * @param protocol  type of the header at `at`; NEXT_HOP_BY_HOP is only taken directly behind the IPv6 header
   * @param at        offset of the first header to look at, bytes
   * @param namedAt   offset of the field that gave `protocol`, bytes
   * @param end       offset one past the payload, bytes
   * @returns         `Drop.None`, or why the packet is refused: see `problem`
   */
  walk(b: Uint8Array, o: number, protocol: number, at: number, namedAt: number, end: number): Drop {
    this.protocol = protocol;
    this.at = at;
    this.namedAt = namedAt;
    this.problem = PROBLEM_NONE;
    this.evenToGroup = false;
    this.headers = this.bytes = 0;
    for (;;) {
      switch (this.protocol) {
        case NEXT_HOP_BY_HOP:
          if (this.at !== o + HEADER_LEN)
            return this.refuse(Drop.Ipv6BadExtension, PROBLEM_NEXT_HEADER, this.namedAt - o);
          break;
        case NEXT_DESTINATION:
        case NEXT_ROUTING:
          break;
        case NEXT_FRAGMENT:
          return end - this.at < FRAGMENT_HEADER_LEN ? Drop.Ipv6BadExtension : Drop.None;
        default:
          return Drop.None;
      }
      const why = this.step(b, o, end);
      if (why !== Drop.None) return why;
    }
  }

  private step(b: Uint8Array, o: number, end: number): Drop {
    const { at } = this;
    if (end - at < 8) return Drop.Ipv6BadExtension;
    const len = (b[at + 1]! + 1) << 3;
    this.bytes += len;
    if (++this.headers > MAX_HEADERS || this.bytes > MAX_OPTION_BYTES) return Drop.Ipv6TooManyExtensions;
    if (len > end - at) return Drop.Ipv6BadExtension;
    const why = this.protocol === NEXT_ROUTING ? this.routing(b, o) : this.options(b, o, at + 2, at + len);
    if (why !== Drop.None) return why;
    this.protocol = b[at]!;
    this.namedAt = at;
    this.at = at + len;
    return Drop.None;
  }

  private routing(b: Uint8Array, o: number): Drop {
    const { at } = this;
    return b[at + 3] !== 0 ? this.refuse(Drop.Ipv6RoutingHeader, PROBLEM_FIELD, at + 2 - o) : Drop.None;
  }

  private options(b: Uint8Array, o: number, from: number, end: number): Drop {
    for (let at = from; at < end; ) {
      const type = b[at]!;
      if (type === OPTION_PAD1) {
        at++;
        continue;
      }
      const len = at + 1 < end ? 2 + b[at + 1]! : end + 1;
      if (len > end - at) return Drop.Ipv6BadExtension;
      if (type !== OPTION_PADN && type !== OPTION_ROUTER_ALERT && type >>> 6 !== 0) {
        // The upper two bits say what to do about an option that is not known (RFC 8200 section 4.2).
        if (type >>> 6 === 1) return Drop.Ipv6UnknownOption;
        this.evenToGroup = type >>> 6 === 2;
        return this.refuse(Drop.Ipv6UnknownOption, PROBLEM_OPTION, at - o);
      }
      at += len;
    }
    return Drop.None;
  }

  private refuse(why: Drop, problem: number, pointer: number): Drop {
    this.problem = problem;
    this.pointer = pointer;
    return why;
  }
}

/** Writes the 40 bytes of a header; traffic class and flow label are 0. Addresses signed or unsigned. */
export function writeHeader(
  b: Uint8Array,
  o: number,
  payloadLen: number,
  next: number,
  hopLimit: number,
  s0: number,
  s1: number,
  s2: number,
  s3: number,
  d0: number,
  d1: number,
  d2: number,
  d3: number,
): void {
  putU32(b, o, 0x60000000);
  putU16(b, o + 4, payloadLen);
  b[o + NEXT_AT] = next;
  b[o + 7] = hopLimit;
  putU32(b, o + 8, s0);
  putU32(b, o + 12, s1);
  putU32(b, o + 16, s2);
  putU32(b, o + 20, s3);
  putU32(b, o + 24, d0);
  putU32(b, o + 28, d1);
  putU32(b, o + 32, d2);
  putU32(b, o + 36, d3);
}

/**
 * Writes a fragment header.
 *
 * @param offset  place in the original payload, bytes, a multiple of 8, below 65536
 * @param more    false for the last fragment
 */
export function writeFragment(b: Uint8Array, o: number, next: number, offset: number, more: boolean, id: number): void {
  b[o] = next;
  b[o + 1] = 0;
  putU16(b, o + 2, offset | (more ? 1 : 0));
  putU32(b, o + 4, id);
}

const text = (b: Uint8Array, o: number): string =>
  formatAddress(i32(b, o), i32(b, o + 4), i32(b, o + 8), i32(b, o + 12));

/** `IPv6 2001:db8::15 > ::1 next 17 hops 64 len 60`. Any bytes. */
export function summary(b: Uint8Array, o: number, end: number): string {
  const why = check(b, o, end);
  if (why === Drop.Ipv6Truncated) return `IPv6 [${dropLabel(why)}]`;
  const line =
    `IPv6 ${text(b, o + 8)} > ${text(b, o + 24)} next ${nextHeader(b, o)} hops ${hopLimit(b, o)} ` +
    `len ${HEADER_LEN + payloadLen(b, o)}`;
  return why === Drop.None ? line : `${line} [${dropLabel(why)}]`;
}

/** `frag 1a2b3c4d:1232+`, for the fragment header at `o`. */
export const fragmentSummary = (b: Uint8Array, o: number): string =>
  `frag ${u32(b, o + 4).toString(16)}:${fragOffset(b, o)}${moreFragments(b, o) ? '+' : ''}`;
