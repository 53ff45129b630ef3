// Domain Name System messages as a forwarder sees them: RFC 1035 section 4, RFC 6891 (EDNS), RFC 5625 (what a proxy may
// touch). Bytes pass through; only the id is rewritten. Records are walked for their bounds, never decoded.
//
//    0      2       4         6         8         10        12
//   +------+-------+---------+---------+---------+---------+------------------------------------------
//   | id   | flags | qdcount | ancount | nscount | arcount | question | answer | authority | additional
//   +------+-------+---------+---------+---------+---------+------------------------------------------
//
// Limits of the walk (RFC 1035 section 2.3.4): labels of 63 bytes, names of 255, 127 labels and pointers in a name, and
// pointers lead strictly backwards, not into the header. So the work is linear in the length of the message. A forwarder
// has use for messages with one question only (RFC 9619); all others are malformed here.

import { MAPPED } from '../core/address.ts';
import { Drop, dropLabel } from '../core/drop.ts';
import { i32, putU16, putU32, u16 } from './bytes.ts';

export const PORT = 53;
export const HEADER_LEN = 12;
/** Longest answer over UDP to a query without EDNS (RFC 1035 section 4.2.1). */
export const PLAIN_UDP_SIZE = 512;

export const OPCODE_QUERY = 0;

export const RCODE_NOERROR = 0;
export const RCODE_FORMERR = 1;
export const RCODE_SERVFAIL = 2;
export const RCODE_NXDOMAIN = 3;
export const RCODE_NOTIMP = 4;
export const RCODE_REFUSED = 5;

const FLAG_QR = 0x8000;
const FLAG_TC = 0x0200;
const FLAG_RD = 0x0100;
const FLAG_RA = 0x0080;
const FLAG_CD = 0x0010;
const OPCODE_MASK = 0x7800;

/** The two bits of a compression pointer; the rest is an offset from the header (RFC 1035 section 4.1.4). */
export const POINTER = 0xc000;

export const TYPE_A = 1;
export const TYPE_CNAME = 5;
export const TYPE_SOA = 6;
export const TYPE_PTR = 12;
export const TYPE_AAAA = 28;
const TYPE_OPT = 41;
export const CLASS_IN = 1;
const MAX_NAME = 255;
const MAX_STEPS = 127;
export const RECORD_FIXED = 10; // type, class, TTL, length of the data
/** Record whose owner is a pointer, up to its data; an OPT record without options (RFC 6891 section 6.1.2). */
export const RECORD_HEAD_LEN = 2 + RECORD_FIXED;
export const OPT_LEN = 1 + RECORD_FIXED;
const OWN_UDP_SIZE = 1232; // fits every path without fragments

/**
 * Tells whether [o, end) is a message with one question and records that lie inside. The records of a truncated answer
 * (TC) are not looked at: some servers cut them anywhere.
 *
 * @param b    message bytes
 * @param o    offset of the header, bytes
 * @param end  offset one past the message, bytes
 */
export function check(b: Uint8Array, o: number, end: number): Drop {
  if (end - o < HEADER_LEN || qdcount(b, o) !== 1) return Drop.DnsMalformed;
  let at = questionEnd(b, o, end);
  if (at < 0) return Drop.DnsMalformed;
  if (isTruncated(b, o)) return Drop.None;
  const records = ancount(b, o) + nscount(b, o) + arcount(b, o);
  for (let i = 0; i < records; i++) {
    at = skipRecord(b, o, at, end);
    if (at < 0) return Drop.DnsMalformed;
  }
  return Drop.None;
}

export const id = (b: Uint8Array, o: number): number => u16(b, o);
export const setId = (b: Uint8Array, o: number, id: number): void => putU16(b, o, id);
export const flags = (b: Uint8Array, o: number): number => u16(b, o + 2);
/** True for an answer (QR). */
export const isResponse = (b: Uint8Array, o: number): boolean => (b[o + 2]! & 0x80) !== 0;
export const opcode = (b: Uint8Array, o: number): number => (b[o + 2]! >>> 3) & 15;
/** True when the answer was cut (TC): the client asks again over TCP. */
export const isTruncated = (b: Uint8Array, o: number): boolean => (flags(b, o) & FLAG_TC) !== 0;
export const rcode = (b: Uint8Array, o: number): number => b[o + 3]! & 15;
export const qdcount = (b: Uint8Array, o: number): number => u16(b, o + 4);
export const ancount = (b: Uint8Array, o: number): number => u16(b, o + 6);
export const nscount = (b: Uint8Array, o: number): number => u16(b, o + 8);
export const arcount = (b: Uint8Array, o: number): number => u16(b, o + 10);

/** Offset one past the first question, or -1 when it does not lie in the message. */
export function questionEnd(b: Uint8Array, o: number, end: number): number {
  const at = skipName(b, o, o + HEADER_LEN, end);
  return at < 0 || at + 4 > end ? -1 : at + 4;
}

/** Type and class asked for, in a message that passed `check`. */
export const qtype = (b: Uint8Array, o: number, end: number): number => u16(b, questionEnd(b, o, end) - 4);
export const qclass = (b: Uint8Array, o: number, end: number): number => u16(b, questionEnd(b, o, end) - 2);

/** Offset behind the name at `at`, or -1 when the name is not well-formed. */
export function skipName(b: Uint8Array, o: number, at: number, end: number): number {
  let next = -1; // where the name ends, once a pointer has led away from it
  let limit = end; // pointers lead below where they were found
  let p = at;
  let nameLen = 1;
  for (let step = 0; step <= MAX_STEPS; step++) {
    if (p >= limit) return -1;
    const c = b[p]!;
    if (c === 0) return next < 0 ? p + 1 : next;
    if (c < 0x40) {
      nameLen += 1 + c;
      if (nameLen > MAX_NAME) return -1;
      p += 1 + c;
    } else {
      if (c < 0xc0 || p + 2 > limit) return -1;
      if (next < 0) next = p + 2;
      const target = o + (u16(b, p) & 0x3fff);
      if (target >= p || target < o + HEADER_LEN) return -1;
      limit = p;
      p = target;
    }
  }
  return -1;
}

/** Offset behind the record at `at`, or -1 when it does not lie in the message. */
export function skipRecord(b: Uint8Array, o: number, at: number, end: number): number {
  const fixed = skipName(b, o, at, end);
  if (fixed < 0 || fixed + RECORD_FIXED > end) return -1;
  const next = fixed + RECORD_FIXED + u16(b, fixed + 8);
  return next > end ? -1 : next;
}

/**
 * Tells whether two messages that passed `check` ask the same: name without regard to ASCII case (RFC 4343), type, class.
 */
export function sameQuestion(
  a: Uint8Array,
  aOff: number,
  aEnd: number,
  b: Uint8Array,
  bOff: number,
  bEnd: number,
): boolean {
  const len = questionEnd(a, aOff, aEnd) - aOff;
  if (len < 0 || questionEnd(b, bOff, bEnd) - bOff !== len) return false;
  const nameLen = len - 4;
  for (let i = HEADER_LEN; i < nameLen; i++) {
    // Label lengths are below 0x40, so folding the case of every byte leaves them alone.
    if (lower(a[aOff + i]!) !== lower(b[bOff + i]!)) return false;
  }
  return u16(a, aOff + nameLen) === u16(b, bOff + nameLen) && u16(a, aOff + nameLen + 2) === u16(b, bOff + nameLen + 2);
}

const lower = (c: number): number => (c >= 0x41 && c <= 0x5a ? c | 0x20 : c);

/**
 * Longest UDP answer that the sender of a query takes: what its OPT record says, at least 512 (RFC 6891 section 6.2.3),
 * or 0 when it has none. Any bytes.
 */
export function ednsUdpSize(b: Uint8Array, o: number, end: number): number {
  if (end - o < HEADER_LEN || qdcount(b, o) !== 1) return 0;
  let at = questionEnd(b, o, end);
  const before = ancount(b, o) + nscount(b, o);
  const records = before + arcount(b, o);
  for (let i = 0; i < records && at >= 0; i++) {
    const next = skipRecord(b, o, at, end);
    // The owner of an OPT record is the root: one zero byte (section 6.1.2).
    if (next >= 0 && i >= before && b[at] === 0 && u16(b, at + 1) === TYPE_OPT) {
      return Math.max(PLAIN_UDP_SIZE, u16(b, at + 3));
    }
    at = next;
  }
  return 0;
}

/** True when the query asks for signatures (DO, RFC 3225): what is made up for such a client must not look signed. */
export function wantsDnssec(b: Uint8Array, o: number, end: number): boolean {
  let at = questionEnd(b, o, end);
  const before = ancount(b, o) + nscount(b, o);
  const records = before + arcount(b, o);
  for (let i = 0; i < records && at >= 0; i++) {
    if (i >= before && b[at] === 0 && u16(b, at + 1) === TYPE_OPT) return (b[at + 7]! & 0x80) !== 0;
    at = skipRecord(b, o, at, end);
  }
  return false;
}

/** True when the client wants no checking (CD): it validates by itself. */
export const isCheckingDisabled = (b: Uint8Array, o: number): boolean => (flags(b, o) & FLAG_CD) !== 0;

/**
 * Writes an answer without records to a query that passed `check`: header, question and `rcode`, with RA set and opcode,
 * RD and CD as in the query. `out` needs room for the query's length.
 *
 * @returns  length of the answer, bytes
 */
export function writeEmptyAnswer(
  out: Uint8Array,
  outOff: number,
  query: Uint8Array,
  off: number,
  end: number,
  rcode: number,
): number {
  const kept = flags(query, off) & (OPCODE_MASK | FLAG_RD | FLAG_CD);
  return writeQuestionOnly(out, outOff, query, off, end, FLAG_QR | FLAG_RA | kept | rcode);
}

/**
 * Writes a record up to its data.
 *
 * @param owner  offset of the owner's name from the header
 * @returns      offset of the data
 */
export function writeRecordHead(
  out: Uint8Array,
  o: number,
  owner: number,
  type: number,
  cls: number,
  ttlSec: number,
  dataLen: number,
): number {
  putU16(out, o, POINTER | owner);
  putU16(out, o + 2, type);
  putU16(out, o + 4, cls);
  putU32(out, o + 6, ttlSec);
  putU16(out, o + 10, dataLen);
  return o + RECORD_HEAD_LEN;
}

/** Writes an OPT record without options; returns the offset behind it. */
export function writeOpt(out: Uint8Array, o: number): number {
  out[o] = 0;
  putU16(out, o + 1, TYPE_OPT);
  putU16(out, o + 3, OWN_UDP_SIZE);
  putU32(out, o + 5, 0);
  putU16(out, o + 9, 0);
  return o + OPT_LEN;
}

/** A name in wire form, not compressed. The labels are known to be 1 to 63 bytes of ASCII, the name at most 253. */
export function writeName(name: string): Uint8Array {
  const out = new Uint8Array(name.length + 2);
  let at = 0;
  for (const label of name.split('.')) {
    out[at++] = label.length;
    for (let i = 0; i < label.length; i++) out[at++] = label.charCodeAt(i);
  }
  return out;
}

/**
 * True when `test` is for an address of the answer section (four words; IPv4 mapped). Stops at a record that is cut short.
 */
export function someAddress(
  b: Uint8Array,
  o: number,
  end: number,
  test: (w0: number, w1: number, w2: number, w3: number) => boolean,
): boolean {
  let at = questionEnd(b, o, end);
  for (let i = ancount(b, o); i > 0 && at >= 0; i--) {
    const next = skipRecord(b, o, at, end);
    if (next < 0) return false;
    const fixed = skipName(b, o, at, end);
    const type = u16(b, fixed);
    const data = fixed + RECORD_FIXED;
    const len = next - data;
    if (type === TYPE_A && len === 4 && test(0, 0, MAPPED, i32(b, data))) return true;
    if (type === TYPE_AAAA && len === 16) {
      if (test(i32(b, data), i32(b, data + 4), i32(b, data + 8), i32(b, data + 12))) return true;
    }
    at = next;
  }
  return false;
}

/**
 * Writes an answer that passed `check` without its records and with TC set: for a client that takes less over UDP. `out`
 * may be the answer itself.
 *
 * @returns  length of the answer, bytes
 */
export function writeTruncated(out: Uint8Array, outOff: number, answer: Uint8Array, off: number, end: number): number {
  return writeQuestionOnly(out, outOff, answer, off, end, flags(answer, off) | FLAG_TC);
}

function writeQuestionOnly(
  out: Uint8Array,
  outOff: number,
  message: Uint8Array,
  off: number,
  end: number,
  flags: number,
): number {
  const len = questionEnd(message, off, end) - off;
  for (let i = 0; i < len; i++) out[outOff + i] = message[off + i]!;
  putU16(out, outOff + 2, flags);
  putU16(out, outOff + 4, 1);
  putU16(out, outOff + 6, 0);
  putU16(out, outOff + 8, 0);
  putU16(out, outOff + 10, 0);
  return len;
}

const TYPE_NAMES: Readonly<Record<number, string>> = {
  1: 'A',
  2: 'NS',
  5: 'CNAME',
  6: 'SOA',
  12: 'PTR',
  15: 'MX',
  16: 'TXT',
  28: 'AAAA',
  33: 'SRV',
  64: 'SVCB',
  65: 'HTTPS',
  255: 'ANY',
};
const RCODE_NAMES = ['NOERROR', 'FORMERR', 'SERVFAIL', 'NXDOMAIN', 'NOTIMP', 'REFUSED'];

/** `DNS query 0x1b2c A? example.com`, `DNS answer 0x1b2c NXDOMAIN A? example.com an 0`. Any bytes. */
export function summary(b: Uint8Array, o: number, end: number): string {
  const why = check(b, o, end);
  if (why !== Drop.None) return `DNS [${dropLabel(why)}]`;
  const type = qtype(b, o, end);
  const question = `${TYPE_NAMES[type] ?? `TYPE${type}`}? ${questionName(b, o)}`;
  const number = `0x${id(b, o).toString(16).padStart(4, '0')}`;
  if (!isResponse(b, o)) return `DNS query ${number} ${question}`;
  const code = RCODE_NAMES[rcode(b, o)] ?? `RCODE${rcode(b, o)}`;
  return `DNS answer ${number} ${code}${isTruncated(b, o) ? ' TC' : ''} ${question} an ${ancount(b, o)}`;
}

/** Name of the question of a message that passed `check`; unusual bytes as `\DDD` (RFC 4343 section 2.1). */
export function questionName(b: Uint8Array, o: number): string {
  let text = '';
  for (let at = o + HEADER_LEN; b[at]! > 0; at += 1 + b[at]!) {
    if (text !== '') text += '.';
    for (let i = 1; i <= b[at]!; i++) text += nameChar(b[at + i]!);
  }
  return text === '' ? '.' : text;
}

function nameChar(c: number): string {
  if (c <= 0x20 || c >= 0x7f) return `\\${String(c).padStart(3, '0')}`;
  const char = String.fromCharCode(c);
  return char === '.' || char === '\\' ? `\\${char}` : char;
}
