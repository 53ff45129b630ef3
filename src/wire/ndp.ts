// Neighbor Discovery messages, RFC 4861 section 4: solicitations and advertisements of neighbors, solicitations of
// routers, and the options that all five kinds share. The ICMPv6 header and checksum are icmpv6.ts's.
//
//    0      1      2             4                           8              24
//   +------+------+-------------+---------------------------+--------------+---------------------
//   | type | code | checksum    | R S O, reserved           | target       | options: type, length in units of 8 bytes
//   +------+------+-------------+---------------------------+--------------+---------------------
//                                  (router solicitations have no target: their options start at 8)

import { Drop } from '../core/drop.ts';
import { i32, putU16, putU32, u16 } from './bytes.ts';
import * as icmpv6 from './icmpv6.ts';

/** Hop limit of every message: what came through a router is not believed (RFC 4861 section 6.1, 7.1). */
export const HOP_LIMIT = 255;

export const OPTION_SOURCE_LINK_ADDRESS = 1;
export const OPTION_TARGET_LINK_ADDRESS = 2;

/** Flags of an advertisement. */
export const FLAG_ROUTER = 0x80;
export const FLAG_SOLICITED = 0x40;
export const FLAG_OVERRIDE = 0x20;

/** Neighbor solicitation or advertisement with the link-layer address of its sender, bytes. */
export const MESSAGE_LEN = 32;
/** Neighbor solicitation without options, bytes. */
export const PLAIN_LEN = 24;

const TARGET_AT = 8;

/**
 * Tells whether a message is as long as its type needs and its options fill the rest: none of length 0, none past the
 * end (RFC 4861 sections 6.1 and 7.1). Code and hop limit are the caller's.
 *
 * @param b    frame bytes
 * @param o    offset of the ICMPv6 header, bytes
 * @param end  offset one past the message, bytes
 */
export function check(b: Uint8Array, o: number, end: number): Drop {
  let at = options(b, o);
  while (at < end) {
    const len = end - at < 8 ? 0 : b[at + 1]! << 3;
    if (len === 0 || len > end - at) return Drop.NdMalformed;
    at += len;
  }
  return at === end ? Drop.None : Drop.NdMalformed;
}

/** Offset of the options. */
export function options(b: Uint8Array, o: number): number {
  switch (icmpv6.type(b, o)) {
    case icmpv6.TYPE_ROUTER_SOLICITATION:
      return o + 8;
    case icmpv6.TYPE_ROUTER_ADVERTISEMENT:
      return o + 16;
    case icmpv6.TYPE_REDIRECT:
      return o + 40;
    default:
      return o + PLAIN_LEN;
  }
}

/** Offset of the first option of a type in a message that passed `check`, or -1. */
export function option(b: Uint8Array, o: number, end: number, type: number): number {
  for (let at = options(b, o); at < end; at += b[at + 1]! << 3) if (b[at] === type) return at;
  return -1;
}

/** Word `i`, 0 to 3, of the target address, signed. */
export const target = (b: Uint8Array, o: number, i: number): number => i32(b, o + TARGET_AT + 4 * i);
/** Flags of an advertisement. */
export const flags = (b: Uint8Array, o: number): number => b[o + 4]!;
/** Link-layer address of an option: its first two bytes, and the other four, signed. */
export const linkHi = (b: Uint8Array, option: number): number => u16(b, option + 2);
export const linkLo = (b: Uint8Array, option: number): number => i32(b, option + 4);

/**
 * Writes a solicitation or advertisement with one link-layer address option, MESSAGE_LEN bytes, but for its checksum.
 *
 * @param type   TYPE_NEIGHBOR_SOLICITATION (source option) or TYPE_NEIGHBOR_ADVERTISEMENT (target option)
 * @param flags  of an advertisement, else 0
 */
export function write(
  b: Uint8Array,
  o: number,
  type: number,
  flags: number,
  t0: number,
  t1: number,
  t2: number,
  t3: number,
  macHi: number,
  macLo: number,
): void {
  b[o] = type;
  b[o + 1] = 0;
  putU32(b, o + 4, flags << 24);
  putU32(b, o + TARGET_AT, t0);
  putU32(b, o + TARGET_AT + 4, t1);
  putU32(b, o + TARGET_AT + 8, t2);
  putU32(b, o + TARGET_AT + 12, t3);
  const isSolicitation = type === icmpv6.TYPE_NEIGHBOR_SOLICITATION;
  b[o + PLAIN_LEN] = isSolicitation ? OPTION_SOURCE_LINK_ADDRESS : OPTION_TARGET_LINK_ADDRESS;
  b[o + PLAIN_LEN + 1] = 1;
  putU16(b, o + PLAIN_LEN + 2, macHi);
  putU32(b, o + PLAIN_LEN + 4, macLo);
}
