// DHCPv6 messages between clients and a server, RFC 8415 sections 8 and 21.
//
//    0          1                    4
//   +----------+--------------------+-----------------------------------------------
//   | msg-type | transaction id     | options: code (2), length (2), data ...
//   +----------+--------------------+-----------------------------------------------
//
// An option may hold options: an identity association (IA_NA) its addresses, an address its status. Unknown options are
// skipped by their length; an option that does not lie in the message makes the message malformed. Messages of relays are
// not parsed: there is one link, and the server is on it.

import { i32, putU16, putU32, u16, u32 } from './bytes.ts';
import { writeName } from './dns.ts';
import type { Words } from './router-advert.ts';

export const CLIENT_PORT = 546;
export const SERVER_PORT = 547;
const HEADER_LEN = 4;
/** Longest message taken, bytes, and most options and addresses in it. */
export const MAX_LEN = 1500;
const MAX_IAS = 16;
const MAX_ADDRESSES = 16;
/** A DUID is 3 to 130 bytes (RFC 8415 section 11.1). */
const MIN_DUID = 3;
const MAX_DUID = 130;

export const SOLICIT = 1;
export const ADVERTISE = 2;
export const REQUEST = 3;
export const CONFIRM = 4;
export const RENEW = 5;
export const REBIND = 6;
export const REPLY = 7;
export const RELEASE = 8;
export const DECLINE = 9;
export const INFORMATION_REQUEST = 11;

export const OPTION_CLIENT_ID = 1;
export const OPTION_SERVER_ID = 2;
const OPTION_IA_NA = 3;
const OPTION_IA_TA = 4;
const OPTION_IAADDR = 5;
export const OPTION_ORO = 6;
const OPTION_STATUS = 13;
export const OPTION_RAPID_COMMIT = 14;
export const OPTION_DNS_SERVERS = 23;
export const OPTION_DOMAIN_LIST = 24;
const OPTION_IA_PD = 25;
export const OPTION_INFORMATION_REFRESH_TIME = 32;
export const OPTION_CLIENT_FQDN = 39;

export const STATUS_SUCCESS = 0;
export const STATUS_NO_ADDRS_AVAIL = 2;
export const STATUS_NO_BINDING = 3;
export const STATUS_NOT_ON_LINK = 4;
export const STATUS_USE_MULTICAST = 5;
export const STATUS_NO_PREFIX_AVAIL = 6;

/** An address inside an identity association. */
export interface IaAddress {
  readonly address: Words;
  readonly preferredSec: number;
  readonly validSec: number;
}

/** An identity association: of addresses, or (`pd`) of prefixes, which have none here. */
export interface Ia {
  readonly kind: 'na' | 'ta' | 'pd';
  readonly iaid: number;
  readonly addresses: readonly IaAddress[];
}

export interface Dhcpv6Message {
  readonly type: number;
  /** 24 bits. */
  readonly xid: number;
  /** Identifiers as they came; null when absent. */
  readonly clientId: Uint8Array | null;
  readonly serverId: Uint8Array | null;
  readonly ias: readonly Ia[];
  /** Codes of options that the client asks for; null when it does not say. */
  readonly wanted: readonly number[] | null;
  readonly rapidCommit: boolean;
  /** Value of the client FQDN option (RFC 4704), copied, at least its flags; null when absent. */
  readonly fqdn: Uint8Array | null;
}

/** The message in [o, end), or null when it is none of a client's. Identifiers are copied. Any bytes. */
export function parse(b: Uint8Array, o: number, end: number): Dhcpv6Message | null {
  const len = end - o;
  if (len < HEADER_LEN || len > MAX_LEN) return null;
  let clientId: Uint8Array | null = null;
  let serverId: Uint8Array | null = null;
  let wanted: number[] | null = null;
  let rapidCommit = false;
  let fqdn: Uint8Array | null = null;
  const ias: Ia[] = [];
  for (let at = o + HEADER_LEN; at < end; ) {
    if (at + 4 > end) return null;
    const code = u16(b, at);
    const data = at + 4;
    const next = data + u16(b, at + 2);
    if (next > end) return null;
    switch (code) {
      case OPTION_CLIENT_ID:
      case OPTION_SERVER_ID: {
        if (next - data < MIN_DUID || next - data > MAX_DUID) return null;
        const duid = Uint8Array.from(b.subarray(data, next));
        if (code === OPTION_CLIENT_ID) clientId = duid;
        else serverId = duid;
        break;
      }
      case OPTION_IA_NA:
      case OPTION_IA_TA:
      case OPTION_IA_PD: {
        const ia = parseIa(code, b, data, next);
        if (ia === null || ias.length >= MAX_IAS) return null;
        ias.push(ia);
        break;
      }
      case OPTION_ORO:
        if (((next - data) & 1) !== 0) return null;
        wanted = [];
        for (let w = data; w < next; w += 2) wanted.push(u16(b, w));
        break;
      case OPTION_RAPID_COMMIT:
        rapidCommit = true;
        break;
      case OPTION_CLIENT_FQDN:
        if (next > data) fqdn = Uint8Array.from(b.subarray(data, next));
        break;
    }
    at = next;
  }
  const xid = (b[o + 1]! << 16) | u16(b, o + 2);
  return { type: b[o]!, xid, clientId, serverId, ias, wanted, rapidCommit, fqdn };
}

function parseIa(code: number, b: Uint8Array, data: number, end: number): Ia | null {
  const from = data + (code === OPTION_IA_TA ? 4 : 12); // IAID, and T1 and T2
  if (from > end) return null;
  const addresses: IaAddress[] = [];
  for (let at = from; at < end; ) {
    if (at + 4 > end) return null;
    const next = at + 4 + u16(b, at + 2);
    if (next > end) return null;
    if (u16(b, at) === OPTION_IAADDR) {
      if (next - at < 28 || addresses.length >= MAX_ADDRESSES) return null;
      const address: Words = [i32(b, at + 4), i32(b, at + 8), i32(b, at + 12), i32(b, at + 16)];
      addresses.push({ address, preferredSec: u32(b, at + 20), validSec: u32(b, at + 24) });
    }
    at = next;
  }
  const kind = code === OPTION_IA_NA ? 'na' : code === OPTION_IA_TA ? 'ta' : 'pd';
  return { kind, iaid: u32(b, data), addresses };
}

/** Collects the options of a message. */
export class Dhcpv6Writer {
  private readonly parts: Uint8Array[] = [];

  option(code: number, data: Uint8Array): this {
    const o = new Uint8Array(4 + data.length);
    putU16(o, 0, code);
    putU16(o, 2, data.length);
    o.set(data, 4);
    this.parts.push(o);
    return this;
  }

  status(status: number, text: string): this {
    return this.option(OPTION_STATUS, statusData(status, text));
  }

  addresses(code: number, list: readonly Words[]): this {
    const data = new Uint8Array(16 * list.length);
    list.forEach((words, i) => {
      putWords(data, 16 * i, words);
    });
    return this.option(code, data);
  }

  /** Domain names, not compressed (RFC 8415 section 10). */
  names(code: number, names: readonly string[]): this {
    return this.option(code, concat(names.map((name) => writeName(name.replace(/\.$/, '')))));
  }

  number(code: number, value: number): this {
    const data = new Uint8Array(4);
    putU32(data, 0, value);
    return this.option(code, data);
  }

  /** An identity association with addresses, or with a status that says why there are none. */
  ia(ia: Ia, t1Sec: number, t2Sec: number, addresses: readonly IaAddress[], status: number, text = ''): this {
    const head = new Uint8Array(ia.kind === 'ta' ? 4 : 12);
    putU32(head, 0, ia.iaid);
    if (ia.kind !== 'ta') {
      putU32(head, 4, t1Sec);
      putU32(head, 8, t2Sec);
    }
    const inner = new Dhcpv6Writer();
    for (const { address, preferredSec, validSec } of addresses) {
      const data = new Uint8Array(24);
      putWords(data, 0, address);
      putU32(data, 16, preferredSec);
      putU32(data, 20, validSec);
      inner.option(OPTION_IAADDR, data);
    }
    if (status !== STATUS_SUCCESS || text !== '') inner.status(status, text);
    const code = ia.kind === 'na' ? OPTION_IA_NA : ia.kind === 'ta' ? OPTION_IA_TA : OPTION_IA_PD;
    return this.option(code, concat([head, ...inner.parts]));
  }

  message(type: number, xid: number): Uint8Array {
    const head = Uint8Array.of(type, xid >>> 16, xid >>> 8, xid);
    return concat([head, ...this.parts]);
  }
}

function statusData(status: number, text: string): Uint8Array {
  const words = new TextEncoder().encode(text);
  const data = new Uint8Array(2 + words.length);
  putU16(data, 0, status);
  data.set(words, 2);
  return data;
}

function putWords(b: Uint8Array, o: number, words: Words): void {
  for (let i = 0; i < 4; i++) putU32(b, o + 4 * i, words[i]!);
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

const TYPES: Readonly<Record<number, string>> = {
  [SOLICIT]: 'SOLICIT',
  [ADVERTISE]: 'ADVERTISE',
  [REQUEST]: 'REQUEST',
  [CONFIRM]: 'CONFIRM',
  [RENEW]: 'RENEW',
  [REBIND]: 'REBIND',
  [REPLY]: 'REPLY',
  [RELEASE]: 'RELEASE',
  [DECLINE]: 'DECLINE',
  [INFORMATION_REQUEST]: 'INFORMATION-REQUEST',
};

/** `DHCPv6 SOLICIT xid 0x123456`. Any bytes. */
export function summary(b: Uint8Array, o: number, end: number): string {
  const m = parse(b, o, end);
  if (m === null) return 'DHCPv6 [malformed]';
  return `DHCPv6 ${TYPES[m.type] ?? `type ${m.type}`} xid 0x${m.xid.toString(16).padStart(6, '0')}`;
}
