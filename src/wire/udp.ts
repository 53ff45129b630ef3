// User Datagram Protocol header, RFC 768, RFC 1122 section 4.1.
//
//    0           2           4           6           8
//   +-----------+-----------+-----------+-----------+---------
//   | src port  | dst port  | length    | checksum  | payload      length counts the header too
//   +-----------+-----------+-----------+-----------+---------

import { Drop, dropLabel } from '../core/drop.ts';
import { putU16, u16 } from './bytes.ts';
import { partial, partialAdd, udpFinish } from './checksum.ts';

export const HEADER_LEN = 8;

/**
 * Tells whether the UDP header at `o`, and the payload it claims, lie inside the packet, and whether it goes to a port.
 * After `Drop.None` every accessor below is safe for the same `b` and `o`. A source port of 0 means that no answer is
 * expected (RFC 768) and passes.
 *
 * @param b    frame bytes
 * @param o    offset of the UDP header, bytes
 * @param end  offset one past the IP payload, bytes
 * @returns    `Drop.None`, or the reason to drop (RFC 768, "Length")
 */
export function check(b: Uint8Array, o: number, end: number): Drop {
  if (end - o < HEADER_LEN) return Drop.UdpTruncated;
  const len = length(b, o);
  if (len < HEADER_LEN || len > end - o) return Drop.UdpBadLength;
  return dstPort(b, o) === 0 ? Drop.UdpBadPort : Drop.None;
}

export const srcPort = (b: Uint8Array, o: number): number => u16(b, o);
export const dstPort = (b: Uint8Array, o: number): number => u16(b, o + 2);
/** Header and payload, bytes. */
export const length = (b: Uint8Array, o: number): number => u16(b, o + 4);
/** Checksum field; 0 when the sender made none (IPv4 only). */
export const checksum = (b: Uint8Array, o: number): number => u16(b, o + 6);
/** Offset of the payload. */
export const payload = (_b: Uint8Array, o: number): number => o + HEADER_LEN;

/**
 * Verifies the checksum of a datagram that passed `check`. A field of 0 passes: over IPv6 the caller refuses that first.
 *
 * @param pseudoSum  partial sum of the pseudo-header without the length, see checksum.ts
 */
export function checksumOk(b: Uint8Array, o: number, pseudoSum: number): boolean {
  if (checksum(b, o) === 0) return true;
  const len = length(b, o);
  return partial(b, o, len, partialAdd(pseudoSum, len)) === 0xffff;
}

/** Writes a header without checksum. `len` counts header and payload, bytes, 8 to 65535. */
export function write(b: Uint8Array, o: number, srcPort: number, dstPort: number, len: number): void {
  putU16(b, o, srcPort);
  putU16(b, o + 2, dstPort);
  putU16(b, o + 4, len);
  putU16(b, o + 6, 0);
}

/** Sums the datagram whose header `write` wrote and whose payload is in place, and fills in the checksum. */
export function writeChecksum(b: Uint8Array, o: number, pseudoSum: number): void {
  const len = length(b, o);
  putU16(b, o + 6, udpFinish(partial(b, o, len, partialAdd(pseudoSum, len))));
}

/** `UDP 5353 > 53 len 33` (payload bytes). Any bytes. */
export function summary(b: Uint8Array, o: number, end: number): string {
  const why = check(b, o, end);
  if (why === Drop.UdpTruncated) return `UDP [${dropLabel(why)}]`;
  const text = `UDP ${srcPort(b, o)} > ${dstPort(b, o)} len ${length(b, o) - HEADER_LEN}`;
  return why === Drop.None ? text : `${text} [${dropLabel(why)}]`;
}
