// Internet Protocol version 4 header, RFC 791, RFC 1122 section 3.2.1, RFC 1812 section 4.2.2, RFC 3168 (ECN).
//
//    0        1        2                 4                 6
//   +--------+--------+-----------------+-----------------+--+--------------+
//   | 4, IHL | TOS    | total length    | identification  |DM| fragment off |    D dont-fragment, M more-fragments
//   +--------+--------+-----------------+-----------------+--+--------------+
//   | TTL    | proto  | checksum        | source                             |
//   +--------+--------+-----------------+------------------------------------+
//   | destination                       | options, 0 to 40 bytes ...
//   +-----------------------------------+
//
// Options are walked for their lengths. Source routes are refused: they would let a guest choose the path of a packet
// behind the back of the policy (RFC 7126 sections 4.3 and 4.4). All others are ignored.

import { formatIpv4 } from '../core/address.ts';
import { Drop, dropLabel } from '../core/drop.ts';
import { putU16, putU32, u16, u32 } from './bytes.ts';
import { combine, finish, partial, partialAdd, updateU16 } from './checksum.ts';

/** Header without options, bytes: what `writeHeader` writes. */
export const HEADER_LEN = 20;
/** Largest packet, bytes. */
export const MAX_LEN = 65535;
/** Every link carries packets of this size, and hosts receive them whole (RFC 791, RFC 1122 section 3.3.2). */
export const MIN_REASSEMBLY = 576;

export const PROTO_ICMP = 1;
export const PROTO_TCP = 6;
export const PROTO_UDP = 17;

const FLAG_DF = 0x4000;
const FLAG_MF = 0x2000;
const OFFSET_MASK = 0x1fff;

const OPTION_END = 0;
const OPTION_NOP = 1;
const OPTION_LSRR = 131;
const OPTION_SSRR = 137;

/**
 * Tells whether the header at `o` is sound and the packet it claims lies in the frame. After `Drop.None` every accessor
 * is safe, and the packet ends at `o + totalLen(b, o)`; what follows it is Ethernet padding.
 *
 * @param b    frame bytes
 * @param o    offset of the IPv4 header, bytes
 * @param end  offset one past the frame, bytes
 */
export function check(b: Uint8Array, o: number, end: number): Drop {
  const room = end - o;
  if (room < HEADER_LEN) return Drop.Ipv4Truncated;
  const first = b[o]!;
  if (first >>> 4 !== 4) return Drop.Ipv4BadVersion;
  const hl = (first & 15) << 2;
  if (hl < HEADER_LEN || hl > room) return Drop.Ipv4BadHeaderLength;
  const total = totalLen(b, o);
  if (total < hl || total > room) return Drop.Ipv4BadLength;
  if (partial(b, o, hl, 0) !== 0xffff) return Drop.Ipv4BadChecksum;
  return hl === HEADER_LEN ? Drop.None : checkOptions(b, o + HEADER_LEN, o + hl);
}

function checkOptions(b: Uint8Array, from: number, end: number): Drop {
  let o = from;
  while (o < end) {
    const kind = b[o]!;
    if (kind === OPTION_END) return Drop.None;
    if (kind === OPTION_NOP) {
      o++;
      continue;
    }
    if (kind === OPTION_LSRR || kind === OPTION_SSRR) return Drop.Ipv4SourceRoute;
    const len = o + 1 < end ? b[o + 1]! : 0;
    if (len < 2 || len > end - o) return Drop.Ipv4BadOption;
    o += len;
  }
  return Drop.None;
}

/** Header length with options, 20 to 60 bytes. */
export const headerLen = (b: Uint8Array, o: number): number => (b[o]! & 15) << 2;
/** DSCP (upper six bits) and ECN. */
export const tos = (b: Uint8Array, o: number): number => b[o + 1]!;
/** Header and payload, bytes. */
export const totalLen = (b: Uint8Array, o: number): number => u16(b, o + 2);
export const id = (b: Uint8Array, o: number): number => u16(b, o + 4);
export const dontFragment = (b: Uint8Array, o: number): boolean => (b[o + 6]! & 0x40) !== 0;
export const moreFragments = (b: Uint8Array, o: number): boolean => (b[o + 6]! & 0x20) !== 0;
/** Where the payload belongs in the original one, bytes, a multiple of 8. */
export const fragOffset = (b: Uint8Array, o: number): number => (u16(b, o + 6) & OFFSET_MASK) << 3;
/** True for any part of a fragmented packet, the first and last included. */
export const isFragment = (b: Uint8Array, o: number): boolean => (u16(b, o + 6) & (FLAG_MF | OFFSET_MASK)) !== 0;
export const ttl = (b: Uint8Array, o: number): number => b[o + 8]!;
export const protocol = (b: Uint8Array, o: number): number => b[o + 9]!;
export const checksum = (b: Uint8Array, o: number): number => u16(b, o + 10);
/** Addresses, unsigned. */
export const src = (b: Uint8Array, o: number): number => u32(b, o + 12);
export const dst = (b: Uint8Array, o: number): number => u32(b, o + 16);

/**
 * Writes a header of 20 bytes with its checksum.
 *
 * @param totalLen  header and payload, bytes, 20 to 65535
 * @param id        identification; 0 for atomic packets with DF (RFC 6864 section 4.1)
 * @param src       addresses, signed or unsigned
 * @param df        sets don't-fragment
 */
export function writeHeader(
  b: Uint8Array,
  o: number,
  totalLen: number,
  id: number,
  ttl: number,
  protocol: number,
  src: number,
  dst: number,
  tos: number,
  df: boolean,
): void {
  const first = 0x4500 | tos;
  const flags = df ? FLAG_DF : 0;
  const life = (ttl << 8) | protocol;
  b[o] = 0x45;
  b[o + 1] = tos;
  putU16(b, o + 2, totalLen);
  putU16(b, o + 4, id);
  putU16(b, o + 6, flags);
  putU16(b, o + 8, life);
  putU32(b, o + 12, src);
  putU32(b, o + 16, dst);
  const sum = combine(combine(combine(combine(first, totalLen), id), flags), life);
  putU16(b, o + 10, finish(partialAdd(partialAdd(sum, src), dst)));
}

/**
 * Makes the packet written at `o` a fragment and adjusts its checksum (RFC 1624).
 *
 * @param offset  place in the original payload, bytes, a multiple of 8, below 65536
 * @param more    false for the last fragment
 */
export function setFragment(b: Uint8Array, o: number, offset: number, more: boolean): void {
  const old = u16(b, o + 6);
  const now = (old & FLAG_DF) | (more ? FLAG_MF : 0) | (offset >>> 3);
  putU16(b, o + 6, now);
  putU16(b, o + 10, updateU16(checksum(b, o), old, now));
}

/** `IPv4 10.0.2.15 > 1.1.1.1 proto 17 ttl 64 len 60`. Any bytes. */
export function summary(b: Uint8Array, o: number, end: number): string {
  const why = check(b, o, end);
  if (why !== Drop.None && end - o < HEADER_LEN) return `IPv4 [${dropLabel(why)}]`;
  let text = `IPv4 ${formatIpv4(src(b, o))} > ${formatIpv4(dst(b, o))}`;
  text += ` proto ${protocol(b, o)} ttl ${ttl(b, o)} len ${totalLen(b, o)}`;
  if (dontFragment(b, o)) text += ' DF';
  if (isFragment(b, o)) text += ` frag ${id(b, o)}:${fragOffset(b, o)}${moreFragments(b, o) ? '+' : ''}`;
  return why === Drop.None ? text : `${text} [${dropLabel(why)}]`;
}
