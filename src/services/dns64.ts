// DNS64 (RFC 6147): addresses of a translator for names that have none of IPv6, in front of the forwarder.
//
//   AAAA  --> asked as it is --> has an address of IPv6 that counts   as it came
//                            --> NXDOMAIN                             as it came
//                            --> none, or any error                   A is asked: its addresses inside the prefix;
//                                                                     when there is none either, the first answer
//   PTR of an address inside the prefix --> CNAME to the name of the IPv4 address, and what that one's PTR says (5.3.1)
//   ipv4only.arpa         AAAA: the two addresses of RFC 7050 inside the prefix; A: those; never asked (RFC 8880)
//   everything else       passes
//
// Nothing is made up for a client that checks signatures itself (DO and CD both set, section 5.5); AD is never set on what
// is. Addresses that do not count: IPv4-mapped ones (section 5.1.4). Which IPv4 addresses have a counterpart is the
// owner's to say: those of the guest network, loopback and the like have none.
//
// Each question under way holds one object until its answer, which the forwarder promises; so its limits hold here too.

import { Endpoint, MAPPED } from '../core/address.ts';
import { copyBytes } from '../core/frame.ts';
import { i32, putU16, putU32, u32 } from '../wire/bytes.ts';
import * as dns from '../wire/dns.ts';
import { AnswerWriter, type DnsRecord, nameAt, records } from '../wire/dns-records.ts';
import { embed, extract, holds, type Nat64Prefix } from '../wire/nat64.ts';
import type { DnsSink } from './dns-query.ts';
import { reverseAddress6 } from './dns-reverse.ts';

/** RFC 7050 section 2.2. */
const WELL_KNOWN_IPV4: readonly number[] = [0xc00000aa, 0xc00000ab];
const IPV4ONLY = dns.writeName('ipv4only.arpa');
/** How long answers hold that were made of nothing: RFC 8880 section 7.2 has no figure; RFC 6147 5.1.7 has this for A. */
const WELL_KNOWN_TTL_SEC = 600;
const TTL_MAX_SEC = 600;
const CNAME_TTL_SEC = 60;
const QUESTION_TAIL = 4;

export interface Dns64Options {
  readonly prefix: Nat64Prefix;
  /** Whether an IPv4 address, signed, has a counterpart that guests can reach. */
  readonly isReachable: (v4: number) => boolean;
}

/** Asks a question of the forwarder; one answer follows, within the call or later. */
export type Ask = (tcp: boolean, client: Endpoint, b: Uint8Array, off: number, len: number, sink: DnsSink) => void;

export class Dns64 {
  readonly options: Dns64Options;

  constructor(options: Dns64Options) {
    this.options = options;
  }

  /**
   * Takes a guest's question that concerns translation; false when it is not one of those, and nothing was done.
   *
   * @param b    a query that passed `dns.check`, in [off, off + len)
   * @param ask  how the questions that it becomes are asked
   */
  takes(tcp: boolean, client: Endpoint, b: Uint8Array, off: number, len: number, sink: DnsSink, ask: Ask): boolean {
    const end = off + len;
    if (dns.opcode(b, off) !== dns.OPCODE_QUERY || dns.qclass(b, off, end) !== dns.CLASS_IN) return false;
    const type = dns.qtype(b, off, end);
    if (isIpv4Only(b, off, end)) {
      answerTo(sink, client, this.ipv4Only(b, off, end, type));
      return true;
    }
    if (type === dns.TYPE_AAAA) {
      if (dns.isCheckingDisabled(b, off) && dns.wantsDnssec(b, off, end)) return false;
      new AddressJob(this.options, tcp, client, copyBytes(b, off, end), sink, ask).start();
      return true;
    }
    const v4 = type === dns.TYPE_PTR ? this.reversed(b, off) : null;
    if (v4 === null) return false;
    new ReverseJob(client, copyBytes(b, off, end), sink).start(tcp, v4, ask);
    return true;
  }

  private ipv4Only(b: Uint8Array, off: number, end: number, type: number): Uint8Array {
    const w = new AnswerWriter(b, off, end, dns.RCODE_NOERROR);
    for (const v4 of WELL_KNOWN_IPV4) {
      if (type === dns.TYPE_A) w.record(IPV4ONLY, type, WELL_KNOWN_TTL_SEC, ipv4Bytes(v4));
      if (type === dns.TYPE_AAAA) w.record(IPV4ONLY, type, WELL_KNOWN_TTL_SEC, mapped(this.options.prefix, v4));
    }
    return w.finish(dns.ednsUdpSize(b, off, end) > 0);
  }

  /** The IPv4 address, unsigned, that the reverse name in the question stands for, or null. */
  private reversed(b: Uint8Array, off: number): number | null {
    const words = reverseAddress6(dns.questionName(b, off).toLowerCase());
    if (words === null) return null;
    const [w0, w1, w2, w3] = words;
    const { prefix } = this.options;
    return holds(prefix, w0, w1, w2) ? extract(prefix, w1, w2, w3) >>> 0 : null;
  }
}

/** AAAA, and A when that has none. */
class AddressJob implements DnsSink {
  private readonly options: Dns64Options;
  private readonly tcp: boolean;
  private readonly client: Endpoint;
  /** The guest's question. */
  private readonly query: Uint8Array;
  private readonly sink: DnsSink;
  private readonly ask: Ask;
  /** What AAAA brought, once it is known. */
  private first: Uint8Array | null = null;

  constructor(options: Dns64Options, tcp: boolean, client: Endpoint, query: Uint8Array, sink: DnsSink, ask: Ask) {
    this.options = options;
    this.tcp = tcp;
    this.client = new Endpoint().copy(client);
    this.query = query;
    this.sink = sink;
    this.ask = ask;
  }

  start(): void {
    this.ask(this.tcp, this.client, this.query, 0, this.query.length, this);
  }

  answer(_client: Endpoint, b: Uint8Array, off: number, len: number): void {
    if (this.first !== null) {
      this.second(b, off, off + len);
    } else if (dns.isTruncated(b, off) || dns.rcode(b, off) === dns.RCODE_NXDOMAIN || hasAddress(b, off, off + len)) {
      this.sink.answer(this.client, b, off, len);
    } else {
      this.first = copyBytes(b, off, off + len);
      const query = copyBytes(this.query, 0, this.query.length);
      putU16(query, dns.questionEnd(query, 0, query.length) - QUESTION_TAIL, dns.TYPE_A);
      this.ask(this.tcp, this.client, query, 0, query.length, this);
    }
  }

  /** What A brought. */
  private second(b: Uint8Array, off: number, end: number): void {
    const first = this.first!;
    const { query } = this;
    if (dns.isTruncated(b, off)) {
      this.giveTruncated();
      return;
    }
    const answers = dns.rcode(b, off) === dns.RCODE_NOERROR ? records(b, off, end) : [];
    const usable = (r: DnsRecord): boolean =>
      r.type === dns.TYPE_A &&
      r.cls === dns.CLASS_IN &&
      r.end - r.data === 4 &&
      this.options.isReachable(i32(b, r.data));
    if (!answers.some(usable)) {
      answerTo(this.sink, this.client, first);
      return;
    }
    const ttlMax = negativeTtl(first);
    const w = new AnswerWriter(query, 0, query.length, dns.RCODE_NOERROR);
    for (const r of answers) {
      if (r.type === dns.TYPE_CNAME) w.nameRecord(r.name, r.type, r.ttlSec, nameAt(b, off, r.data, r.end));
      else if (usable(r)) {
        const data = mapped(this.options.prefix, i32(b, r.data));
        w.record(r.name, dns.TYPE_AAAA, Math.min(r.ttlSec, ttlMax), data);
      }
    }
    const edns = dns.ednsUdpSize(query, 0, query.length);
    const made = w.finish(edns > 0);
    if (!this.tcp && made.length > Math.max(dns.PLAIN_UDP_SIZE, edns)) this.giveTruncated();
    else answerTo(this.sink, this.client, made);
  }

  /** The guest comes again over TCP. */
  private giveTruncated(): void {
    const { query } = this;
    const out = new Uint8Array(query.length);
    const empty = dns.writeEmptyAnswer(out, 0, query, 0, query.length, dns.RCODE_NOERROR);
    answerTo(this.sink, this.client, out.subarray(0, dns.writeTruncated(out, 0, out, 0, empty)));
  }
}

/** PTR of an address of the prefix. */
class ReverseJob implements DnsSink {
  private readonly client: Endpoint;
  private readonly query: Uint8Array;
  private readonly sink: DnsSink;
  private target: Uint8Array = new Uint8Array(0);

  constructor(client: Endpoint, query: Uint8Array, sink: DnsSink) {
    this.client = new Endpoint().copy(client);
    this.query = query;
    this.sink = sink;
  }

  start(tcp: boolean, v4: number, ask: Ask): void {
    const bytes = [v4 & 255, (v4 >>> 8) & 255, (v4 >>> 16) & 255, v4 >>> 24];
    this.target = dns.writeName(`${bytes.join('.')}.in-addr.arpa`);
    const { query } = this;
    // Header and what follows the question (an OPT record) as the guest wrote them, around the other name.
    const tail = query.subarray(dns.questionEnd(query, 0, query.length) - QUESTION_TAIL);
    const asked = new Uint8Array(dns.HEADER_LEN + this.target.length + tail.length);
    asked.set(query.subarray(0, dns.HEADER_LEN));
    asked.set(this.target, dns.HEADER_LEN);
    asked.set(tail, dns.HEADER_LEN + this.target.length);
    ask(tcp, this.client, asked, 0, asked.length, this);
  }

  answer(_client: Endpoint, b: Uint8Array, off: number, len: number): void {
    const { query, target } = this;
    const w = new AnswerWriter(query, 0, query.length, dns.rcode(b, off));
    w.nameRecord(nameAt(query, 0, dns.HEADER_LEN, query.length), dns.TYPE_CNAME, CNAME_TTL_SEC, target);
    for (const r of records(b, off, off + len)) {
      if (r.type !== dns.TYPE_PTR && r.type !== dns.TYPE_CNAME) continue;
      w.nameRecord(r.name, r.type, r.ttlSec, nameAt(b, off, r.data, r.end));
    }
    answerTo(this.sink, this.client, w.finish(dns.ednsUdpSize(query, 0, query.length) > 0));
  }
}

const answerTo = (sink: DnsSink, client: Endpoint, b: Uint8Array): void => sink.answer(client, b, 0, b.length);

/** True when the answer has an IPv6 address that is one: not an IPv4-mapped one. */
function hasAddress(b: Uint8Array, o: number, end: number): boolean {
  return records(b, o, end).some(
    ({ type, data, end: next }) =>
      type === dns.TYPE_AAAA &&
      next - data === 16 &&
      !(i32(b, data) === 0 && i32(b, data + 4) === 0 && i32(b, data + 8) === MAPPED),
  );
}

/** How long the absence of AAAA holds, which what is made up may not outlive (section 5.1.7), seconds. */
function negativeTtl(b: Uint8Array): number {
  const soa = records(b, 0, b.length, true).find(({ type }) => type === dns.TYPE_SOA);
  if (soa === undefined || soa.end - soa.data < 22) return TTL_MAX_SEC;
  return Math.min(soa.ttlSec, u32(b, soa.end - 4));
}

function isIpv4Only(b: Uint8Array, off: number, end: number): boolean {
  const from = off + dns.HEADER_LEN;
  if (dns.questionEnd(b, off, end) - QUESTION_TAIL - from !== IPV4ONLY.length) return false;
  return IPV4ONLY.every((byte, i) => (byte >= 0x61 ? b[from + i]! | 0x20 : b[from + i]!) === byte);
}

const ipv4Bytes = (v4: number): Uint8Array => Uint8Array.of(v4 >>> 24, v4 >>> 16, v4 >>> 8, v4);

const scratch = new Endpoint();

/** The 16 bytes of the address of the prefix that stands for an IPv4 address. */
function mapped(prefix: Nat64Prefix, v4: number): Uint8Array {
  const { w0, w1, w2, w3 } = embed(prefix, v4, 0, scratch);
  const out = new Uint8Array(16);
  for (const [i, word] of [w0, w1, w2, w3].entries()) putU32(out, 4 * i, word);
  return out;
}
