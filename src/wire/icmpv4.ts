// Internet Control Message Protocol for IPv4, RFC 792, RFC 1122 section 3.2.2, RFC 1191, RFC 1812 section 4.3.
//
// The form that both families share is in icmp-message.ts.

import { Drop, dropLabel } from '../core/drop.ts';
import { putU16, u16 } from './bytes.ts';
import { finish, partial } from './checksum.ts';
import { code, echoText, HEADER_LEN, putEcho, putError, type } from './icmp-message.ts';
import { HEADER_LEN as IPV4_HEADER_LEN, MIN_REASSEMBLY } from './ipv4.ts';

export { checksum, code, echoId, echoSeq, HEADER_LEN, payload, rest, type } from './icmp-message.ts';

export const TYPE_ECHO_REPLY = 0;
export const TYPE_UNREACHABLE = 3;
export const TYPE_SOURCE_QUENCH = 4;
export const TYPE_REDIRECT = 5;
export const TYPE_ECHO = 8;
export const TYPE_TIME_EXCEEDED = 11;
export const TYPE_PARAMETER_PROBLEM = 12;

/** Codes of TYPE_UNREACHABLE (RFC 792, RFC 1122 section 3.2.2.1, RFC 1812 section 5.2.7.1). */
export const CODE_NET = 0;
export const CODE_HOST = 1;
export const CODE_PROTOCOL = 2;
export const CODE_PORT = 3;
export const CODE_FRAGMENTATION_NEEDED = 4;
export const CODE_NET_PROHIBITED = 9;
export const CODE_HOST_PROHIBITED = 10;
export const CODE_ADMIN_PROHIBITED = 13;
export const CODE_PRECEDENCE_VIOLATION = 14;
export const CODE_PRECEDENCE_CUTOFF = 15;
/** Codes of TYPE_TIME_EXCEEDED. */
export const CODE_TTL = 0;
export const CODE_REASSEMBLY = 1;

/** Most bytes of the original packet that an error quotes: the whole error stays within 576 (RFC 1812 4.3.2.3). */
export const MAX_QUOTE = MIN_REASSEMBLY - IPV4_HEADER_LEN - HEADER_LEN;

/**
 * Tells whether the message in [o, end) has a whole header and sums up.
 *
 * @param b    frame bytes
 * @param o    offset of the ICMP message, bytes
 * @param end  offset one past the IP payload, bytes
 */
export function check(b: Uint8Array, o: number, end: number): Drop {
  if (end - o < HEADER_LEN) return Drop.IcmpTruncated;
  return partial(b, o, end - o, 0) === 0xffff ? Drop.None : Drop.IcmpBadChecksum;
}

/** Fragmentation needed: MTU of the next hop, bytes; 0 from routers older than RFC 1191. */
export const nextHopMtu = (b: Uint8Array, o: number): number => u16(b, o + 6);

/** True for the types that report on another packet, about which no error is ever sent (RFC 1122 3.2.2). */
export function isError(type: number): boolean {
  switch (type) {
    case TYPE_UNREACHABLE:
    case TYPE_SOURCE_QUENCH:
    case TYPE_REDIRECT:
    case TYPE_TIME_EXCEEDED:
    case TYPE_PARAMETER_PROBLEM:
      return true;
    default:
      return false;
  }
}

/**
 * Writes the header of an echo or echo reply before data that is in place, with the checksum over both.
 *
 * @param len  header and data, bytes, 8 or more
 */
export function writeEcho(b: Uint8Array, o: number, type: number, id: number, seq: number, len: number): void {
  putEcho(b, o, type, id, seq);
  writeChecksum(b, o, len);
}

/** Length of an error that quotes a packet of `packetLen` bytes, header included. */
export const errorLen = (packetLen: number): number => HEADER_LEN + Math.min(packetLen, MAX_QUOTE);

/**
 * Writes a whole error message: header, quote, checksum.
 *
 * @param b         array to write to; room for `errorLen(toQuote - fromQuote)` bytes at `o`
 * @param rest      second word of the header: next-hop MTU, pointer << 24, or 0
 * @param original  array that holds the offending packet; may be `b` if the packet is outside what is written
 * @param from      offset of its IPv4 header, bytes
 * @param to        offset one past the packet (padding left out), bytes; cut to MAX_QUOTE
 * @returns         length of the message, bytes
 */
export function writeError(
  b: Uint8Array,
  o: number,
  type: number,
  code: number,
  rest: number,
  original: Uint8Array,
  from: number,
  to: number,
): number {
  const len = errorLen(to - from);
  putError(b, o, len, type, code, rest, original, from);
  writeChecksum(b, o, len);
  return len;
}

/** Sums the message of `len` bytes at `o` and fills in the checksum. */
export function writeChecksum(b: Uint8Array, o: number, len: number): void {
  putU16(b, o + 2, 0);
  putU16(b, o + 2, finish(partial(b, o, len, 0)));
}

const UNREACHABLE: Readonly<Record<number, string>> = {
  [CODE_NET]: 'net',
  [CODE_HOST]: 'host',
  [CODE_PROTOCOL]: 'protocol',
  [CODE_PORT]: 'port',
  [CODE_FRAGMENTATION_NEEDED]: 'fragmentation needed',
  [CODE_ADMIN_PROHIBITED]: 'admin prohibited',
};

/** `ICMP echo id 7 seq 1 len 56`, `ICMP unreachable (port)`. Any bytes. */
export function summary(b: Uint8Array, o: number, end: number): string {
  const why = check(b, o, end);
  if (why === Drop.IcmpTruncated) return `ICMP [${dropLabel(why)}]`;
  const text = `ICMP ${describe(b, o, end)}`;
  return why === Drop.None ? text : `${text} [${dropLabel(why)}]`;
}

function describe(b: Uint8Array, o: number, end: number): string {
  const c = code(b, o);
  switch (type(b, o)) {
    case TYPE_ECHO:
      return echoText('echo', b, o, end);
    case TYPE_ECHO_REPLY:
      return echoText('echo reply', b, o, end);
    case TYPE_UNREACHABLE:
      if (c === CODE_FRAGMENTATION_NEEDED) return `unreachable (fragmentation needed, mtu ${nextHopMtu(b, o)})`;
      return `unreachable (${UNREACHABLE[c] ?? `code ${c}`})`;
    case TYPE_TIME_EXCEEDED:
      return `time exceeded (${c === CODE_TTL ? 'ttl' : c === CODE_REASSEMBLY ? 'reassembly' : `code ${c}`})`;
    case TYPE_PARAMETER_PROBLEM:
      return `parameter problem at ${b[o + 4]!}`;
    default:
      return `type ${type(b, o)} code ${c}`;
  }
}
