// Ethernet II header, RFC 894, IEEE 802.3 clause 3.
//
//    0                 6                 12       14
//   +-----------------+-----------------+--------+---------
//   | destination     | source          | type   | payload      no FCS: links carry frames without it
//   +-----------------+-----------------+--------+---------
//
// A MAC address is handled as two numbers: `hi`, its first two bytes (0 to 0xffff), and `lo`, the other four as a signed
// 32-bit integer.

import { formatMac } from '../core/address.ts';
import { Drop, dropLabel } from '../core/drop.ts';
import { i32, putU16, putU32, u16 } from './bytes.ts';

export const HEADER_LEN = 14;
/** Shortest frame on a real Ethernet without FCS, bytes; shorter ones are padded with zeros where that matters. */
export const MIN_FRAME_LEN = 60;

export const TYPE_IPV4 = 0x0800;
export const TYPE_ARP = 0x0806;
export const TYPE_VLAN = 0x8100;
export const TYPE_IPV6 = 0x86dd;

/** Both halves of ff:ff:ff:ff:ff:ff. */
export const BROADCAST_HI = 0xffff;
export const BROADCAST_LO = -1;

/**
 * Tells whether an Ethernet header lies inside the frame.
 *
 * @param b    frame bytes
 * @param o    offset of the frame, bytes
 * @param end  offset one past the frame, bytes
 */
export const check = (_b: Uint8Array, o: number, end: number): Drop =>
  end - o < HEADER_LEN ? Drop.FrameTooShort : Drop.None;

export const dstHi = (b: Uint8Array, o: number): number => u16(b, o);
export const dstLo = (b: Uint8Array, o: number): number => i32(b, o + 2);
export const srcHi = (b: Uint8Array, o: number): number => u16(b, o + 6);
export const srcLo = (b: Uint8Array, o: number): number => i32(b, o + 8);
export const type = (b: Uint8Array, o: number): number => u16(b, o + 12);

/** True for multicast and broadcast destinations (802.3 clause 3.2.3: the first bit on the wire). */
export const isGroupDst = (b: Uint8Array, o: number): boolean => (b[o]! & 1) !== 0;
/** True for a source that no station can have. */
export const isGroupSrc = (b: Uint8Array, o: number): boolean => (b[o + 6]! & 1) !== 0;
export const isBroadcastDst = (b: Uint8Array, o: number): boolean =>
  dstHi(b, o) === BROADCAST_HI && dstLo(b, o) === BROADCAST_LO;

/** Writes the 14 bytes of a header. */
export function write(
  b: Uint8Array,
  o: number,
  dstHi: number,
  dstLo: number,
  srcHi: number,
  srcLo: number,
  type: number,
): void {
  putU16(b, o, dstHi);
  putU32(b, o + 2, dstLo);
  putU16(b, o + 6, srcHi);
  putU32(b, o + 8, srcLo);
  putU16(b, o + 12, type);
}

const TYPE_NAMES: Readonly<Record<number, string>> = {
  [TYPE_IPV4]: 'IPv4',
  [TYPE_ARP]: 'ARP',
  [TYPE_VLAN]: '802.1Q',
  [TYPE_IPV6]: 'IPv6',
};

/** `52:54:00:12:34:56 > ff:ff:ff:ff:ff:ff ARP len 42`. Any bytes. */
export function summary(b: Uint8Array, o: number, end: number): string {
  const why = check(b, o, end);
  if (why !== Drop.None) return `Ethernet [${dropLabel(why)}] len ${Math.max(0, end - o)}`;
  const t = type(b, o);
  const name = TYPE_NAMES[t] ?? (t < 0x0600 ? `802.3 length ${t}` : `type 0x${t.toString(16).padStart(4, '0')}`);
  return `${formatMac(b, o + 6)} > ${formatMac(b, o)} ${name} len ${end - o}`;
}
