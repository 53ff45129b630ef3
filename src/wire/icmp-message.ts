// What ICMP (RFC 792) and ICMPv6 (RFC 4443) messages have in common: the header, the place of echo's fields, and errors
// that quote the packet they are about. Types, codes, checksums and sizes are in icmpv4.ts and icmpv6.ts.
//
//    0      1      2             4                           8
//   +------+------+-------------+---------------------------+------------------------
//   | type | code | checksum    | echo: id, sequence        | echo: data
//   |      |      |             | error: 0, MTU or pointer  | error: quoted packet, IP header first
//   +------+------+-------------+---------------------------+------------------------

import { putU16, putU32, u16, u32 } from './bytes.ts';

export const HEADER_LEN = 8;

export const type = (b: Uint8Array, o: number): number => b[o]!;
export const code = (b: Uint8Array, o: number): number => b[o + 1]!;
export const checksum = (b: Uint8Array, o: number): number => u16(b, o + 2);
/** Echo and echo reply: identifier and sequence number. */
export const echoId = (b: Uint8Array, o: number): number => u16(b, o + 4);
export const echoSeq = (b: Uint8Array, o: number): number => u16(b, o + 6);
/** The second word of the header as it is, unsigned: MTU, pointer, or 0. */
export const rest = (b: Uint8Array, o: number): number => u32(b, o + 4);
/** Offset of the echo data or of the quoted packet. */
export const payload = (_b: Uint8Array, o: number): number => o + HEADER_LEN;

/** Writes the header of an echo or echo reply, but for its checksum, before data that is in place. */
export function putEcho(b: Uint8Array, o: number, type: number, id: number, seq: number): void {
  b[o] = type;
  b[o + 1] = 0;
  putU16(b, o + 4, id);
  putU16(b, o + 6, seq);
}

/**
 * Writes an error of `len` bytes but for its checksum: header, and what fits of the packet at `from`.
 *
 * @param rest      second word of the header
 * @param original  array that holds the offending packet; may be `b` if the packet is outside what is written
 */
export function putError(
  b: Uint8Array,
  o: number,
  len: number,
  type: number,
  code: number,
  rest: number,
  original: Uint8Array,
  from: number,
): void {
  b[o] = type;
  b[o + 1] = code;
  putU32(b, o + 4, rest);
  for (let i = HEADER_LEN; i < len; i++) b[o + i] = original[from + i - HEADER_LEN]!;
}

/** What both print of an echo: `echo id 7 seq 1 len 56`. */
export const echoText = (word: string, b: Uint8Array, o: number, end: number): string =>
  `${word} id ${echoId(b, o)} seq ${echoSeq(b, o)} len ${end - o - HEADER_LEN}`;
