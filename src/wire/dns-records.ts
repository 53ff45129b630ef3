// DNS records taken apart and put together again: for what makes new answers out of old ones, off the fast path.
//
// Names come as they are on the wire, without compression; names that answers hold again are compressed.

import { putU16, putU32, u16, u32 } from './bytes.ts';
import * as dns from './dns.ts';

/** A record of a message that passed `dns.check`. */
export interface DnsRecord {
  /** Owner, in wire form. */
  readonly name: Uint8Array;
  readonly type: number;
  readonly cls: number;
  readonly ttlSec: number;
  /** Its data, bytes of the message: on loan as that is. */
  readonly data: number;
  readonly end: number;
}

/** The records of the answer section, or (`authority`) of the next one. Ends at one that is cut short. */
export function records(b: Uint8Array, o: number, end: number, authority = false): DnsRecord[] {
  const out: DnsRecord[] = [];
  const skip = authority ? dns.ancount(b, o) : 0;
  const count = skip + (authority ? dns.nscount(b, o) : dns.ancount(b, o));
  let at = dns.questionEnd(b, o, end);
  for (let i = 0; i < count && at >= 0; i++) {
    const next = dns.skipRecord(b, o, at, end);
    if (next < 0) break;
    const fixed = dns.skipName(b, o, at, end);
    if (i >= skip) {
      const data = fixed + dns.RECORD_FIXED;
      out.push({
        name: nameAt(b, o, at, end),
        type: u16(b, fixed),
        cls: u16(b, fixed + 2),
        ttlSec: u32(b, fixed + 4),
        data,
        end: next,
      });
    }
    at = next;
  }
  return out;
}

/** The name at `at`, in wire form without pointers; empty when it is not well-formed. */
export function nameAt(b: Uint8Array, o: number, at: number, end: number): Uint8Array {
  if (dns.skipName(b, o, at, end) < 0) return new Uint8Array(0);
  const out: number[] = [];
  let p = at;
  while (b[p] !== 0) {
    const c = b[p]!;
    if (c >= 0xc0) {
      p = o + (u16(b, p) & 0x3fff);
      continue;
    }
    for (let i = 0; i <= c; i++) out.push(b[p + i]!);
    p += 1 + c;
  }
  out.push(0);
  return Uint8Array.from(out);
}

const MAX_POINTER = 0x3fff;

/** Puts an answer together: header and question of a query, then records. */
export class AnswerWriter {
  private readonly out: number[];
  private readonly places = new Map<string, number>();
  private count = 0;

  /**
   * @param query  a query that passed `dns.check`; the answer has its id, question, opcode, RD and CD
   */
  constructor(query: Uint8Array, o: number, end: number, rcode: number) {
    const head = new Uint8Array(end - o);
    const len = dns.writeEmptyAnswer(head, 0, query, o, end, rcode);
    this.out = Array.from(head.subarray(0, len));
    this.remember(nameAt(head, 0, dns.HEADER_LEN, len), dns.HEADER_LEN);
  }

  /** Adds a record whose data are these bytes. */
  record(name: Uint8Array, type: number, ttlSec: number, data: Uint8Array): void {
    this.head(name, type, ttlSec);
    this.u16(data.length);
    for (const byte of data) this.out.push(byte);
  }

  /** Adds a record whose data are a name (CNAME, PTR). */
  nameRecord(name: Uint8Array, type: number, ttlSec: number, target: Uint8Array): void {
    this.head(name, type, ttlSec);
    const lenAt = this.out.length;
    this.u16(0);
    this.name(target);
    const len = this.out.length - lenAt - 2;
    this.out[lenAt] = len >>> 8;
    this.out[lenAt + 1] = len & 255;
  }

  /** The message; with an OPT record when the query had one. */
  finish(withOpt: boolean): Uint8Array {
    const len = this.out.length;
    const message = new Uint8Array(len + (withOpt ? dns.OPT_LEN : 0));
    message.set(this.out);
    putU16(message, 6, this.count);
    if (withOpt) {
      dns.writeOpt(message, len);
      putU16(message, 10, 1);
    }
    return message;
  }

  private head(name: Uint8Array, type: number, ttlSec: number): void {
    this.count++;
    this.name(name);
    const fixed = new Uint8Array(8);
    putU16(fixed, 0, type);
    putU16(fixed, 2, dns.CLASS_IN);
    putU32(fixed, 4, ttlSec);
    this.out.push(...fixed);
  }

  private u16(value: number): void {
    this.out.push(value >>> 8, value & 255);
  }

  /** Writes a name: a pointer as soon as what is left of it was written before. */
  private name(name: Uint8Array): void {
    for (let at = 0; at < name.length; at += 1 + name[at]!) {
      const place = name[at] === 0 ? undefined : this.places.get(keyOf(name, at));
      if (place !== undefined) {
        this.u16(dns.POINTER | place);
        return;
      }
      this.rememberAt(name, at, this.out.length);
      for (let i = 0; i <= name[at]!; i++) this.out.push(name[at + i]!);
    }
  }

  private remember(name: Uint8Array, place: number): void {
    for (let at = 0; at < name.length && name[at] !== 0; at += 1 + name[at]!) this.rememberAt(name, at, place + at);
  }

  private rememberAt(name: Uint8Array, at: number, place: number): void {
    if (name[at] !== 0 && place <= MAX_POINTER) this.places.set(keyOf(name, at), place);
  }
}

/** The rest of a name, for comparison without regard to case. */
const keyOf = (name: Uint8Array, at: number): string => String.fromCharCode(...name.subarray(at)).toLowerCase();
