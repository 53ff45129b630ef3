// Multicast Listener Discovery, RFC 3810 (version 2) and RFC 2710 (version 1): the listener's side.
//
//   query   | 130 | 0 | checksum | max response | 0 | group, 16 bytes | version 2: S, QRV, QQIC, sources ...
//   report  | 143 | 0 | checksum | 0            | n | n records of 20 bytes: type, 0, 0 sources, group
//
// Every message has hop limit 1 and a hop-by-hop header with the router alert option (RFC 3810 section 5).

import { Drop } from '../core/drop.ts';
import { i32, putU16, putU32, u16 } from './bytes.ts';
import * as icmpv6 from './icmpv6.ts';
import { NEXT_ICMPV6 } from './ipv6.ts';

export const HOP_LIMIT = 1;
/** Hop-by-hop header with the router alert option, bytes. */
export const ALERT_LEN = 8;
export const RECORD_LEN = 20;
/** A version 1 query, report or done message, bytes. */
export const V1_LEN = 24;
const V2_QUERY_LEN = 28;

/** Kinds of records: how things are (answers to queries), and changes. */
export const MODE_IS_EXCLUDE = 2;
export const CHANGE_TO_INCLUDE = 3;
export const CHANGE_TO_EXCLUDE = 4;

/** Tells whether a query has its fixed part: 24 bytes (version 1) or at least 28 (RFC 3810 section 8.1). */
export function check(_b: Uint8Array, o: number, end: number): Drop {
  return end - o === V1_LEN || end - o >= V2_QUERY_LEN ? Drop.None : Drop.MldMalformed;
}

export const isVersion1 = (o: number, end: number): boolean => end - o === V1_LEN;
/** Word `i`, 0 to 3, of the group asked for, signed; all 0: for all groups. */
export const group = (b: Uint8Array, o: number, i: number): number => i32(b, o + 8 + 4 * i);

/** Longest time until the answer, ms (RFC 3810 section 5.1.3). */
export function maxResponseMs(b: Uint8Array, o: number, end: number): number {
  const v = u16(b, o + 4);
  if (v < 32768 || isVersion1(o, end)) return v;
  return ((v & 0xfff) | 0x1000) << (((v >>> 12) & 7) + 3);
}

/** Writes the hop-by-hop header in front of a message: router alert with value 0, and padding. */
export function writeAlert(b: Uint8Array, o: number): void {
  b[o] = NEXT_ICMPV6;
  b[o + 1] = 0;
  putU32(b, o + 2, 0x05020000);
  putU16(b, o + 6, 0x0100);
}

export const reportLen = (records: number): number => icmpv6.HEADER_LEN + records * RECORD_LEN;

/** Writes the first 8 bytes of a report of `records` records, but for its checksum. */
export function writeReport(b: Uint8Array, o: number, records: number): void {
  b[o] = icmpv6.TYPE_MLD_REPORT;
  b[o + 1] = 0;
  putU16(b, o + 4, 0);
  putU16(b, o + 6, records);
}

/** Writes the record of one group without sources at place `i` of the report at `o`. */
export function writeRecord(
  b: Uint8Array,
  o: number,
  i: number,
  kind: number,
  g0: number,
  g1: number,
  g2: number,
  g3: number,
): void {
  const at = o + reportLen(i);
  putU32(b, at, kind << 24);
  putU32(b, at + 4, g0);
  putU32(b, at + 8, g1);
  putU32(b, at + 12, g2);
  putU32(b, at + 16, g3);
}

/** Writes a version 1 report or done message, V1_LEN bytes, but for its checksum. */
export function writeV1(b: Uint8Array, o: number, type: number, g0: number, g1: number, g2: number, g3: number): void {
  b[o] = type;
  b[o + 1] = 0;
  putU32(b, o + 4, 0);
  putU32(b, o + 8, g0);
  putU32(b, o + 12, g1);
  putU32(b, o + 16, g2);
  putU32(b, o + 20, g3);
}
