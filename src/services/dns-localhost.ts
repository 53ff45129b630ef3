// `localhost` is never asked upstream (RFC 6761 section 6.3): it and all names below it are the guest itself.

import { putU16, putU32 } from '../wire/bytes.ts';
import * as dns from '../wire/dns.ts';

const LABEL = [0x6c, 0x6f, 0x63, 0x61, 0x6c, 0x68, 0x6f, 0x73, 0x74]; // "localhost"
const TYPE_A = 1;
const TYPE_AAAA = 28;
const CLASS_IN = 1;
const TTL_SEC = 86_400;
const NAME_OF_QUESTION = 0xc00c; // compression pointer to offset 12
const ADDRESSES: Readonly<Record<number, readonly number[]>> = {
  [TYPE_A]: [127, 0, 0, 1],
  [TYPE_AAAA]: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
};

/** True when the name of a checked query is `localhost` or ends with that label. */
export function isLocalhost(b: Uint8Array, off: number, end: number): boolean {
  const label = dns.questionEnd(b, off, end) - 4 - 1 - LABEL.length - 1; // before type, class, root and the label itself
  if (label < off + dns.HEADER_LEN || b[label] !== LABEL.length) return false;
  for (let i = 0; i < LABEL.length; i++) if ((b[label + 1 + i]! | 0x20) !== LABEL[i]) return false;
  // What looks like the label must be one, not the tail of a longer label.
  let at = off + dns.HEADER_LEN;
  while (at < label) at += 1 + b[at]!;
  return at === label;
}

/**
 * Writes the answer to a query for which `isLocalhost`: the loopback address, or no data for other types.
 *
 * @param out  room for the query's length and 28 bytes
 * @returns    length of the answer, bytes
 */
export function answerLocalhost(out: Uint8Array, b: Uint8Array, off: number, end: number): number {
  let o = dns.writeEmptyAnswer(out, 0, b, off, end, dns.RCODE_NOERROR);
  const type = dns.qtype(b, off, end);
  const address = dns.qclass(b, off, end) === CLASS_IN ? ADDRESSES[type] : undefined;
  if (address === undefined) return o;
  putU16(out, 6, 1); // ancount
  putU16(out, o, NAME_OF_QUESTION);
  putU16(out, o + 2, type);
  putU16(out, o + 4, CLASS_IN);
  putU32(out, o + 6, TTL_SEC);
  putU16(out, o + 10, address.length);
  out.set(address, o + 12);
  o += 12 + address.length;
  return o;
}
