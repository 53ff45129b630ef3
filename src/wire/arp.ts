// Address Resolution Protocol for IPv4 over Ethernet, RFC 826; announcements and probes, RFC 5227.
//
//    0      2      4    5    6    8             14            18            24            28
//   +------+------+----+----+----+-------------+-------------+-------------+-------------+
//   | 1    | 0800 | 6  | 4  | op | sender MAC  | sender IP   | target MAC  | target IP   |
//   +------+------+----+----+----+-------------+-------------+-------------+-------------+

import { formatIpv4, formatMac } from '../core/address.ts';
import { Drop, dropLabel } from '../core/drop.ts';
import { i32, putU16, putU32, u16, u32 } from './bytes.ts';

export const MESSAGE_LEN = 28;
export const OP_REQUEST = 1;
export const OP_REPLY = 2;

const HARDWARE_ETHERNET = 1;
const PROTOCOL_IPV4 = 0x0800;
const LENGTHS = 0x0604; // hardware address 6 bytes, protocol address 4

/** Tells whether a whole Ethernet/IPv4 message lies in [o, end); what follows it is padding. */
export function check(b: Uint8Array, o: number, end: number): Drop {
  if (end - o < MESSAGE_LEN) return Drop.ArpMalformed;
  const known = u16(b, o) === HARDWARE_ETHERNET && u16(b, o + 2) === PROTOCOL_IPV4 && u16(b, o + 4) === LENGTHS;
  return known ? Drop.None : Drop.ArpMalformed;
}

export const op = (b: Uint8Array, o: number): number => u16(b, o + 6);
/** MAC addresses in two parts, as in ethernet.ts. */
export const senderMacHi = (b: Uint8Array, o: number): number => u16(b, o + 8);
export const senderMacLo = (b: Uint8Array, o: number): number => i32(b, o + 10);
/** IPv4 addresses, unsigned. */
export const senderIp = (b: Uint8Array, o: number): number => u32(b, o + 14);
export const targetMacHi = (b: Uint8Array, o: number): number => u16(b, o + 18);
export const targetMacLo = (b: Uint8Array, o: number): number => i32(b, o + 20);
export const targetIp = (b: Uint8Array, o: number): number => u32(b, o + 24);

/** Writes the 28 bytes of a message: operation, sender (MAC, IPv4), target (MAC, IPv4). */
export function write(
  b: Uint8Array,
  o: number,
  op: number,
  shaHi: number,
  shaLo: number,
  spa: number,
  thaHi: number,
  thaLo: number,
  tpa: number,
): void {
  putU16(b, o, HARDWARE_ETHERNET);
  putU16(b, o + 2, PROTOCOL_IPV4);
  putU16(b, o + 4, LENGTHS);
  putU16(b, o + 6, op);
  putU16(b, o + 8, shaHi);
  putU32(b, o + 10, shaLo);
  putU32(b, o + 14, spa);
  putU16(b, o + 18, thaHi);
  putU32(b, o + 20, thaLo);
  putU32(b, o + 24, tpa);
}

/** `ARP who-has 10.0.2.2 tell 10.0.2.15`, `ARP reply 10.0.2.2 is-at 52:55:0a:00:02:02`. Any bytes. */
export function summary(b: Uint8Array, o: number, end: number): string {
  const why = check(b, o, end);
  if (why !== Drop.None) return `ARP [${dropLabel(why)}]`;
  const sender = formatIpv4(senderIp(b, o));
  const target = formatIpv4(targetIp(b, o));
  switch (op(b, o)) {
    case OP_REQUEST:
      if (sender === target) return `ARP announce ${sender} at ${formatMac(b, o + 8)}`;
      return `ARP who-has ${target} tell ${sender}`;
    case OP_REPLY:
      return `ARP reply ${sender} is-at ${formatMac(b, o + 8)}`;
    default:
      return `ARP op ${op(b, o)} ${sender} > ${target}`;
  }
}
