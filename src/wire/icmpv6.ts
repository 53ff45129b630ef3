// Internet Control Message Protocol for IPv6, RFC 4443.
//
// The form that both families share is in icmp-message.ts. The checksum covers a pseudo-header: every function that sums
// is given the partial sum of its addresses and protocol.

import { Drop, dropLabel } from '../core/drop.ts';
import { putU16 } from './bytes.ts';
import { finish, partial, partialAdd } from './checksum.ts';
import { code, echoText, HEADER_LEN, putError, rest, type } from './icmp-message.ts';
import { HEADER_LEN as IPV6_HEADER_LEN, MIN_MTU } from './ipv6.ts';

export {
  checksum,
  code,
  echoId,
  echoSeq,
  HEADER_LEN,
  payload,
  putEcho as writeEcho,
  rest,
  type,
} from './icmp-message.ts';

export const TYPE_UNREACHABLE = 1;
export const TYPE_TOO_BIG = 2;
export const TYPE_TIME_EXCEEDED = 3;
export const TYPE_PARAMETER_PROBLEM = 4;
export const TYPE_ECHO = 128;
export const TYPE_ECHO_REPLY = 129;
export const TYPE_MLD_QUERY = 130;
export const TYPE_MLD_REPORT_V1 = 131;
export const TYPE_MLD_DONE = 132;
export const TYPE_ROUTER_SOLICITATION = 133;
export const TYPE_ROUTER_ADVERTISEMENT = 134;
export const TYPE_NEIGHBOR_SOLICITATION = 135;
export const TYPE_NEIGHBOR_ADVERTISEMENT = 136;
export const TYPE_REDIRECT = 137;
export const TYPE_MLD_REPORT = 143;

/** Codes of TYPE_UNREACHABLE (RFC 4443 section 3.1). */
export const CODE_NO_ROUTE = 0;
export const CODE_PROHIBITED = 1;
export const CODE_BEYOND_SCOPE = 2;
export const CODE_ADDRESS = 3;
export const CODE_PORT = 4;
/** Codes of TYPE_TIME_EXCEEDED. */
export const CODE_HOP_LIMIT = 0;
export const CODE_REASSEMBLY = 1;
/** Codes of TYPE_PARAMETER_PROBLEM; 3 is of RFC 7112 section 5. */
export const CODE_FIELD = 0;
export const CODE_NEXT_HEADER = 1;
export const CODE_OPTION = 2;
export const CODE_INCOMPLETE_CHAIN = 3;

/** Most bytes of the original packet that an error quotes: the whole error fits the least MTU (RFC 4443 section 2.4 (c)). */
export const MAX_QUOTE = MIN_MTU - IPV6_HEADER_LEN - HEADER_LEN;

/**
 * Tells whether the message in [o, end) has a whole header and sums up.
 *
 * @param b          frame bytes
 * @param o          offset of the ICMPv6 message, bytes
 * @param end        offset one past the IP payload, bytes
 * @param pseudoSum  partial sum of the pseudo-header without the length, see checksum.ts
 */
export function check(b: Uint8Array, o: number, end: number, pseudoSum: number): Drop {
  if (end - o < HEADER_LEN) return Drop.IcmpTruncated;
  return partial(b, o, end - o, partialAdd(pseudoSum, end - o)) === 0xffff ? Drop.None : Drop.IcmpBadChecksum;
}

/** True for the types that report on another packet, about which no error is ever sent (RFC 4443 section 2.4 (e.1)). */
export const isError = (type: number): boolean => type < 128;

/** Length of an error that quotes a packet of `packetLen` bytes, header included. */
export const errorLen = (packetLen: number): number => HEADER_LEN + Math.min(packetLen, MAX_QUOTE);

/**
 * Writes an error message but for its checksum: header and quote.
 *
 * @param b         array to write to; room for `errorLen(to - from)` bytes at `o`
 * @param rest      second word of the header: MTU, pointer, or 0
 * @param original  array that holds the offending packet; may be `b` if the packet is outside what is written
 * @param from      offset of its IPv6 header, bytes
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
  return len;
}

/** Sums the message of `len` bytes at `o` and fills in the checksum. */
export function writeChecksum(b: Uint8Array, o: number, len: number, pseudoSum: number): void {
  putU16(b, o + 2, 0);
  putU16(b, o + 2, finish(partial(b, o, len, partialAdd(pseudoSum, len))));
}

const UNREACHABLE: Readonly<Record<number, string>> = {
  [CODE_NO_ROUTE]: 'no route',
  [CODE_PROHIBITED]: 'prohibited',
  [CODE_BEYOND_SCOPE]: 'beyond scope',
  [CODE_ADDRESS]: 'address',
  [CODE_PORT]: 'port',
};

const NAMES: Readonly<Record<number, string>> = {
  [TYPE_MLD_QUERY]: 'listener query',
  [TYPE_MLD_REPORT_V1]: 'listener report v1',
  [TYPE_MLD_DONE]: 'listener done',
  [TYPE_MLD_REPORT]: 'listener report',
  [TYPE_ROUTER_SOLICITATION]: 'router solicitation',
  [TYPE_ROUTER_ADVERTISEMENT]: 'router advertisement',
  [TYPE_NEIGHBOR_SOLICITATION]: 'neighbor solicitation',
  [TYPE_NEIGHBOR_ADVERTISEMENT]: 'neighbor advertisement',
  [TYPE_REDIRECT]: 'redirect',
};

/** `ICMPv6 echo id 7 seq 1 len 56`, `ICMPv6 unreachable (port)`. Any bytes; the checksum is not verified. */
export function summary(b: Uint8Array, o: number, end: number): string {
  if (end - o < HEADER_LEN) return `ICMPv6 [${dropLabel(Drop.IcmpTruncated)}]`;
  return `ICMPv6 ${describe(b, o, end)}`;
}

function describe(b: Uint8Array, o: number, end: number): string {
  const c = code(b, o);
  const t = type(b, o);
  switch (t) {
    case TYPE_ECHO:
      return echoText('echo', b, o, end);
    case TYPE_ECHO_REPLY:
      return echoText('echo reply', b, o, end);
    case TYPE_UNREACHABLE:
      return `unreachable (${UNREACHABLE[c] ?? `code ${c}`})`;
    case TYPE_TOO_BIG:
      return `packet too big (mtu ${rest(b, o)})`;
    case TYPE_TIME_EXCEEDED:
      return `time exceeded (${c === CODE_HOP_LIMIT ? 'hop limit' : c === CODE_REASSEMBLY ? 'reassembly' : `code ${c}`})`;
    case TYPE_PARAMETER_PROBLEM:
      return `parameter problem code ${c} at ${rest(b, o)}`;
    default:
      return NAMES[t] ?? `type ${t} code ${c}`;
  }
}
