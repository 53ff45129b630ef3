// Names that are answered here and never asked upstream: those of guests, of the router, and of the configuration.
//
//   web, web.DOMAIN       guest or configured host called `web`, while its lease is in force          A, AAAA, PTR
//   gateway, _gateway     the router (also with DOMAIN)                                               A, AAAA, PTR
//   host.internal         the same addresses, when they lead to the host's loopback                   A, AAAA
//   NAME                  as `--dns-record NAME,ADDR` says, several addresses if given so             A, AAAA, PTR
//   d.c.b.a.in-addr.arpa  of the guest networks, and their ip6.arpa: only here, so an address nobody has does not exist
//
// A question for ANY gets one record set, the first (RFC 8482 section 4.1): answers are no good for amplification.
//
// What the configuration says comes before what a guest calls itself. A name that is known but has no record of the type
// asked for is NOERROR without answers; NXDOMAIN is only said of addresses inside a guest network that nobody has. Both
// carry the SOA record that bounds their life in caches (RFC 2308 section 3, RFC 6303 section 3). All other names, under
// DOMAIN too, go upstream: the domain may well be a real one.

import { MAPPED } from '../core/address.ts';
import { isInNetwork } from '../core/ipv6-network.ts';
import { putU16, putU32 } from '../wire/bytes.ts';
import * as dns from '../wire/dns.ts';
import { reverseAddress, reverseAddress6, reverseName6 } from './dns-reverse.ts';

/** Who the guests are. */
export interface LocalHosts {
  /** Address of the host with this name (lower case, one label), unsigned, or -1. */
  addressOf(name: string): number;
  /** IPv6 addresses of the host with this name, at most ADDRESSES_MAX of them count. */
  addressesOf6(name: string): readonly Words[];
  /** Name of the host with this address, one label, or ''. */
  nameOf(address: number): string;
  nameOf6(words: Words): string;
}

/** A name of the configuration and one of its addresses. */
export interface LocalRecord {
  /** Without final dot. */
  readonly name: string;
  readonly words: readonly [number, number, number, number];
  /** Whether the address leads back to the name. */
  readonly reverse: boolean;
}

export interface LocalNamesOptions {
  readonly records: readonly LocalRecord[];
  /** Domain of the guests' names, '' for none. */
  readonly domain: string;
  /** The guest network, unsigned. */
  readonly network: number;
  readonly mask: number;
  /** The guest networks of IPv6. */
  readonly networks6?: readonly { readonly network: Words; readonly prefixLen: number }[];
  readonly hosts: LocalHosts | null;
}

/** Guests come and go: nobody should remember their names, or their absence, for long. */
export const LOCAL_TTL_SEC = 10;
/** Addresses of one name: with the longest question they fit 512 bytes. */
export const ADDRESSES_MAX = 8;
/** What an answer is longer than the question it repeats, at most. */
export const LOCAL_RECORDS_MAX = ADDRESSES_MAX * (dns.RECORD_HEAD_LEN + 16) + dns.OPT_LEN;

const TYPE_A = 1;
const TYPE_SOA = 6;
const TYPE_PTR = 12;
const TYPE_AAAA = 28;
const TYPE_ANY = 255;
const CLASS_IN = 1;
const FLAG_AA = 0x0400;
const QUESTION_NAME = dns.HEADER_LEN;
// nobody.invalid, as RFC 6303 section 3 has it
const MAILBOX = [6, 0x6e, 0x6f, 0x62, 0x6f, 0x64, 0x79, 7, 0x69, 0x6e, 0x76, 0x61, 0x6c, 0x69, 0x64, 0];
const REFRESH_SEC = 3600;
const RETRY_SEC = 1200;
const EXPIRE_SEC = 604_800;

type Words = readonly [number, number, number, number];

export class LocalNames {
  private readonly options: LocalNamesOptions;
  private readonly suffix: string;
  private readonly names = new Map<string, Words[]>();
  private readonly reverse = new Map<number, string>();
  /** By the whole name under ip6.arpa. */
  private readonly reverse6 = new Map<string, string>();
  /** Hashes of the last labels that names of ours have: most queries are told apart by this, without making text. */
  private readonly ends = new Set<number>();

  constructor(options: LocalNamesOptions) {
    this.options = options;
    this.suffix = options.domain === '' ? '' : `.${options.domain.toLowerCase()}`;
    for (const name of ['x.arpa', `x${this.suffix}`]) this.ends.add(hashEnd(name));
    for (const { name, words, reverse } of options.records) {
      const key = name.toLowerCase();
      const known = this.names.get(key) ?? [];
      if (known.length < ADDRESSES_MAX) this.names.set(key, [...known, words]);
      this.ends.add(hashEnd(key));
      if (reverse) this.addReverse(words, name);
    }
  }

  /** The first name of an address is the one that it leads back to. */
  private addReverse(words: Words, name: string): void {
    if (typeOf(words) === TYPE_A) {
      if (!this.reverse.has(words[3] >>> 0)) this.reverse.set(words[3] >>> 0, name);
      return;
    }
    const key = reverseName6(words);
    if (!this.reverse6.has(key)) this.reverse6.set(key, name);
  }

  /**
   * Writes the answer to a query that passed `dns.check`, if its name is one of ours.
   *
   * @param out  room for the question and LOCAL_RECORDS_MAX
   * @returns    length of the answer, bytes; 0 when the question goes upstream
   */
  answer(out: Uint8Array, b: Uint8Array, off: number, end: number): number {
    if (!this.mayBeOurs(b, off) || dns.qclass(b, off, end) !== CLASS_IN) return 0;
    const name = dns.questionName(b, off).toLowerCase();
    const type = dns.qtype(b, off, end);
    const addresses = this.addressesOf(name);
    if (addresses !== null) return this.answerAddresses(out, b, off, end, type, addresses);
    const name6 = this.reverse6.get(name);
    if (name6 !== undefined) return answerPointer(out, b, off, end, type, name6);
    const words6 = reverseAddress6(name);
    if (words6 !== null) return this.answerReverse6(out, b, off, end, type, words6);
    const address = reverseAddress(name);
    return address < 0 ? 0 : this.answerReverse(out, b, off, end, type, address);
  }

  private mayBeOurs(b: Uint8Array, off: number): boolean {
    let at = off + QUESTION_NAME;
    if (b[at] === 0) return false;
    let labels = 1;
    for (let next = at + 1 + b[at]!; b[next] !== 0; next = at + 1 + b[at]!) {
      at = next;
      labels++;
    }
    return labels === 1 || this.ends.has(hashLabel(b, at + 1, b[at]!));
  }

  private addressesOf(name: string): readonly Words[] | null {
    const known = this.names.get(name);
    if (known !== undefined) return known;
    const label = this.suffix !== '' && name.endsWith(this.suffix) ? name.slice(0, -this.suffix.length) : name;
    const { hosts } = this.options;
    if (hosts === null || label.includes('.')) return null;
    const address = hosts.addressOf(label);
    const words6 = hosts.addressesOf6(label);
    const words = address < 0 ? words6 : [[0, 0, MAPPED, address | 0] as const, ...words6];
    return words.length === 0 ? null : words.slice(0, ADDRESSES_MAX);
  }

  private answerAddresses(
    out: Uint8Array,
    b: Uint8Array,
    off: number,
    end: number,
    type: number,
    addresses: readonly Words[],
  ): number {
    let o = begin(out, b, off, end, dns.RCODE_NOERROR);
    let count = 0;
    const wanted = type === TYPE_ANY ? typeOf(addresses[0]!) : type;
    for (const words of addresses) {
      const [w0, w1, w2, w3] = words;
      const own = typeOf(words);
      if (own !== wanted) continue;
      const len = own === TYPE_A ? 4 : 16;
      o = dns.writeRecordHead(out, o, QUESTION_NAME, own, CLASS_IN, LOCAL_TTL_SEC, len);
      if (own === TYPE_AAAA) {
        putU32(out, o, w0);
        putU32(out, o + 4, w1);
        putU32(out, o + 8, w2);
      }
      putU32(out, o + len - 4, w3);
      o += len;
      count++;
    }
    if (count === 0) return finishEmpty(out, o, QUESTION_NAME, b, off, end);
    putU16(out, 6, count);
    return finish(out, o, b, off, end);
  }

  private answerReverse(
    out: Uint8Array,
    b: Uint8Array,
    off: number,
    end: number,
    type: number,
    address: number,
  ): number {
    const inside = (address & this.options.mask) >>> 0 === this.options.network;
    let name = this.reverse.get(address) ?? '';
    if (name === '' && inside) {
      name = this.options.hosts?.nameOf(address) ?? '';
      if (name !== '') name += this.suffix;
    }
    if (name === '') {
      if (!inside) return 0;
      const o = begin(out, b, off, end, dns.RCODE_NXDOMAIN);
      return finishEmpty(out, o, zoneAt(b, off, this.options.mask), b, off, end);
    }
    return answerPointer(out, b, off, end, type, name);
  }

  private answerReverse6(out: Uint8Array, b: Uint8Array, off: number, end: number, type: number, words: Words): number {
    const { hosts, networks6 = [] } = this.options;
    const net = networks6.find(({ network, prefixLen }) => isInNetwork(words, network, prefixLen));
    if (net === undefined) return 0;
    const name = hosts?.nameOf6(words) ?? '';
    if (name !== '') return answerPointer(out, b, off, end, type, name + this.suffix);
    const o = begin(out, b, off, end, dns.RCODE_NXDOMAIN);
    // Each label is four bits; the zone is that of all whole ones of the prefix.
    const zone = QUESTION_NAME + 2 * (32 - Math.ceil(net.prefixLen / 4));
    return finishEmpty(out, o, zone, b, off, end);
  }
}

/** The answer to a question about an address whose name is `name`. */
function answerPointer(out: Uint8Array, b: Uint8Array, off: number, end: number, type: number, name: string): number {
  const o = begin(out, b, off, end, dns.RCODE_NOERROR);
  if (type !== TYPE_PTR && type !== TYPE_ANY) return finishEmpty(out, o, QUESTION_NAME, b, off, end);
  const data = dns.writeName(name);
  const at = dns.writeRecordHead(out, o, QUESTION_NAME, TYPE_PTR, CLASS_IN, LOCAL_TTL_SEC, data.length);
  out.set(data, at);
  putU16(out, 6, 1);
  return finish(out, at + data.length, b, off, end);
}

const typeOf = ([w0, w1, w2]: Words): number => (w2 === MAPPED && w0 === 0 && w1 === 0 ? TYPE_A : TYPE_AAAA);

function begin(out: Uint8Array, b: Uint8Array, off: number, end: number, rcode: number): number {
  const o = dns.writeEmptyAnswer(out, 0, b, off, end, rcode);
  putU16(out, 2, dns.flags(out, 0) | FLAG_AA);
  return o;
}

/** Adds the SOA record of a negative answer, whose owner's name is at `owner` of the message. */
function finishEmpty(out: Uint8Array, at: number, owner: number, b: Uint8Array, off: number, end: number): number {
  let o = dns.writeRecordHead(out, at, owner, TYPE_SOA, CLASS_IN, LOCAL_TTL_SEC, 2 + MAILBOX.length + 20);
  putU16(out, o, dns.POINTER | owner);
  out.set(MAILBOX, o + 2);
  o += 2 + MAILBOX.length;
  for (const value of [1, REFRESH_SEC, RETRY_SEC, EXPIRE_SEC, LOCAL_TTL_SEC]) {
    putU32(out, o, value);
    o += 4;
  }
  putU16(out, 8, 1);
  return finish(out, o, b, off, end);
}

/** Adds an OPT record when the query has one (RFC 6891 section 6.1.1). */
function finish(out: Uint8Array, o: number, b: Uint8Array, off: number, end: number): number {
  if (dns.ednsUdpSize(b, off, end) === 0) return o;
  putU16(out, 10, 1);
  return dns.writeOpt(out, o);
}

/** Offset, from the header, of the reverse zone in the question: as many labels as the network has whole bytes. */
function zoneAt(b: Uint8Array, off: number, mask: number): number {
  let skip = (mask & 0xff00) === 0xff00 ? 1 : (mask & 0xff0000) === 0xff0000 ? 2 : 3;
  let at = QUESTION_NAME;
  for (; skip > 0; skip--) at += 1 + b[off + at]!;
  return at;
}

function hashLabel(b: Uint8Array, at: number, len: number): number {
  let h = len;
  for (let i = 0; i < len; i++) {
    const c = b[at + i]!;
    h = Math.imul(h ^ (c >= 0x41 && c <= 0x5a ? c | 0x20 : c), 0x01000193);
  }
  return h;
}

function hashEnd(name: string): number {
  const label = new TextEncoder().encode(name.slice(name.lastIndexOf('.') + 1).toLowerCase());
  return hashLabel(label, 0, label.length);
}
