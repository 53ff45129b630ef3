// Router advertisements, RFC 4861 sections 4.2 and 4.6, with the options a network of guests has use for: prefixes and MTU, name servers and search list (RFC 8106), the prefix of a translator (RFC 8781).
//
//    0      1      2          4            5       6                 8                12               16
//   +------+------+----------+------------+-------+-----------------+----------------+----------------+---------
//   | 134  | 0    | checksum | hop limit  | M O.. | router lifetime | reachable time | retrans timer  | options
//   +------+------+----------+------------+-------+-----------------+----------------+----------------+---------
//
// An option is a type, a length in units of eight bytes (never 0) and its data. Options of other types, and those whose
// length does not fit their type, are skipped. The checksum covers addresses and is the sender's business.

import { i32, putU16, putU32, u16, u32 } from './bytes.ts';
import { writeName } from './dns.ts';

export const TYPE_ADVERT = 134;
export const ADVERT_LEN = 16;

const OPTION_SOURCE_MAC = 1;
const OPTION_PREFIX = 3;
const OPTION_MTU = 5;
const OPTION_RDNSS = 25;
const OPTION_DNSSL = 31;
const OPTION_PREF64 = 38;
const UNIT = 8;
const MAX_UNITS = 255;

const FLAG_MANAGED = 0x80;
const FLAG_OTHER = 0x40;
const FLAG_ON_LINK = 0x80;
const FLAG_AUTONOMOUS = 0x40;

/** A lifetime without end. */
export const INFINITE_SEC = 0xffffffff;
/** Longest scaled lifetime of a PREF64 option, seconds (RFC 8781 section 4). */
export const PREF64_MAX_SEC = 65_528;
/** Longest router lifetime, seconds (RFC 8319 section 4 raised it from 9000 for links that need it; RFC 4861 6.2.1). */
export const ROUTER_LIFETIME_MAX_SEC = 9000;
/** Prefix length by its code in a PREF64 option. */
const PREF64_LENGTHS: readonly number[] = [96, 64, 56, 48, 40, 32];

/** The four words of an IPv6 address, signed. */
export type Words = readonly [number, number, number, number];

export interface PrefixInformation {
  readonly prefix: Words;
  readonly prefixLen: number;
  readonly onLink: boolean;
  readonly autonomous: boolean;
  readonly validSec: number;
  readonly preferredSec: number;
}

export interface RouterAdvert {
  /** 0: the router does not say. */
  readonly hopLimit: number;
  /** Addresses, and other settings, are to be had by DHCPv6. */
  readonly managed: boolean;
  readonly other: boolean;
  /** 0: not a default router. */
  readonly routerLifetimeSec: number;
  readonly reachableMs: number;
  readonly retransMs: number;
  /** Upper 16 and lower 32 bits of the sender's address; null: the option is left out. */
  readonly sourceMac: { readonly hi: number; readonly lo: number } | null;
  /** 0: not said. */
  readonly mtu: number;
  readonly prefixes: readonly PrefixInformation[];
  readonly rdnss: readonly { readonly servers: readonly Words[]; readonly lifetimeSec: number }[];
  readonly dnssl: readonly { readonly names: readonly string[]; readonly lifetimeSec: number }[];
  readonly pref64: readonly { readonly prefix: Words; readonly prefixLen: number; readonly lifetimeSec: number }[];
}

/** Writes an advertisement; the checksum field is 0. Lists that exceed one option take several. */
export function write(ra: RouterAdvert): Uint8Array {
  const parts: Uint8Array[] = [header(ra)];
  if (ra.sourceMac !== null) {
    const mac = option(OPTION_SOURCE_MAC, 8);
    putU16(mac, 2, ra.sourceMac.hi);
    putU32(mac, 4, ra.sourceMac.lo);
    parts.push(mac);
  }
  if (ra.mtu > 0) {
    const mtu = option(OPTION_MTU, 8);
    putU32(mtu, 4, ra.mtu);
    parts.push(mtu);
  }
  parts.push(...ra.prefixes.map(writePrefix));
  for (const { servers, lifetimeSec } of ra.rdnss) {
    if (servers.length === 0) continue;
    const o = option(OPTION_RDNSS, 8 + 16 * servers.length);
    putU32(o, 4, lifetimeSec);
    servers.forEach((words, i) => {
      putWords(o, 8 + 16 * i, words, 4);
    });
    parts.push(o);
  }
  for (const { names, lifetimeSec } of ra.dnssl) parts.push(...writeDnssl(names, lifetimeSec));
  for (const { prefix, prefixLen, lifetimeSec } of ra.pref64) {
    const o = option(OPTION_PREF64, 16);
    const scaled = Math.ceil(Math.min(lifetimeSec, PREF64_MAX_SEC) / 8);
    putU16(o, 2, (scaled << 3) | PREF64_LENGTHS.indexOf(prefixLen));
    putWords(o, 4, prefix, 3);
    parts.push(o);
  }
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function header(ra: RouterAdvert): Uint8Array {
  const b = new Uint8Array(ADVERT_LEN);
  b[0] = TYPE_ADVERT;
  b[4] = ra.hopLimit;
  b[5] = (ra.managed ? FLAG_MANAGED : 0) | (ra.other ? FLAG_OTHER : 0);
  putU16(b, 6, ra.routerLifetimeSec);
  putU32(b, 8, ra.reachableMs);
  putU32(b, 12, ra.retransMs);
  return b;
}

function writePrefix(p: PrefixInformation): Uint8Array {
  const o = option(OPTION_PREFIX, 32);
  o[2] = p.prefixLen;
  o[3] = (p.onLink ? FLAG_ON_LINK : 0) | (p.autonomous ? FLAG_AUTONOMOUS : 0);
  putU32(o, 4, p.validSec);
  putU32(o, 8, p.preferredSec);
  putWords(o, 16, p.prefix, 4);
  return o;
}

/** Names in wire form behind each other, zeros up to a multiple of eight bytes (RFC 8106 section 5.2). */
function writeDnssl(names: readonly string[], lifetimeSec: number): Uint8Array[] {
  const out: Uint8Array[] = [];
  let batch: Uint8Array[] = [];
  let len = 0;
  const close = (): void => {
    if (batch.length === 0) return;
    const o = option(OPTION_DNSSL, Math.ceil((8 + len) / UNIT) * UNIT);
    putU32(o, 4, lifetimeSec);
    let at = 8;
    for (const name of batch) {
      o.set(name, at);
      at += name.length;
    }
    out.push(o);
    batch = [];
    len = 0;
  };
  for (const name of names.map((each) => writeName(each.replace(/\.$/, '')))) {
    if (8 + len + name.length > MAX_UNITS * UNIT) close();
    batch.push(name);
    len += name.length;
  }
  close();
  return out;
}

function option(type: number, len: number): Uint8Array {
  const o = new Uint8Array(len);
  o[0] = type;
  o[1] = len / UNIT;
  return o;
}

function putWords(b: Uint8Array, o: number, words: Words, count: number): void {
  for (let i = 0; i < count; i++) putU32(b, o + 4 * i, words[i]!);
}

/** The advertisement in [o, end), or null when it is none (RFC 4861 section 6.1.2). Any bytes. */
export function parse(b: Uint8Array, o: number, end: number): RouterAdvert | null {
  if (end - o < ADVERT_LEN || b[o] !== TYPE_ADVERT || b[o + 1] !== 0) return null;
  let sourceMac: RouterAdvert['sourceMac'] = null;
  let mtu = 0;
  const prefixes: PrefixInformation[] = [];
  const rdnss: { servers: Words[]; lifetimeSec: number }[] = [];
  const dnssl: { names: string[]; lifetimeSec: number }[] = [];
  const pref64: { prefix: Words; prefixLen: number; lifetimeSec: number }[] = [];
  for (let at = o + ADVERT_LEN; at < end; ) {
    if (at + 2 > end || b[at + 1] === 0) return null;
    const len = b[at + 1]! * UNIT;
    if (at + len > end) return null;
    switch (b[at]) {
      case OPTION_SOURCE_MAC:
        if (len === 8) sourceMac = { hi: u16(b, at + 2), lo: u32(b, at + 4) };
        break;
      case OPTION_MTU:
        if (len === 8) mtu = u32(b, at + 4);
        break;
      case OPTION_PREFIX:
        if (len === 32 && b[at + 2]! <= 128) prefixes.push(readPrefix(b, at));
        break;
      case OPTION_RDNSS: {
        const servers: Words[] = [];
        for (let w = at + 8; w + 16 <= at + len; w += 16) servers.push(wordsAt(b, w));
        if (servers.length > 0) rdnss.push({ servers, lifetimeSec: u32(b, at + 4) });
        break;
      }
      case OPTION_DNSSL:
        dnssl.push({ names: readNames(b, at + 8, at + len), lifetimeSec: u32(b, at + 4) });
        break;
      case OPTION_PREF64: {
        const prefixLen = PREF64_LENGTHS[b[at + 3]! & 7];
        if (len !== 16 || prefixLen === undefined) break;
        const prefix: Words = [i32(b, at + 4), i32(b, at + 8), i32(b, at + 12), 0];
        pref64.push({ prefix, prefixLen, lifetimeSec: (u16(b, at + 2) >>> 3) * 8 });
        break;
      }
    }
    at += len;
  }
  return {
    hopLimit: b[o + 4]!,
    managed: (b[o + 5]! & FLAG_MANAGED) !== 0,
    other: (b[o + 5]! & FLAG_OTHER) !== 0,
    routerLifetimeSec: u16(b, o + 6),
    reachableMs: u32(b, o + 8),
    retransMs: u32(b, o + 12),
    sourceMac,
    mtu,
    prefixes,
    rdnss,
    dnssl,
    pref64,
  };
}

const wordsAt = (b: Uint8Array, o: number): Words => [i32(b, o), i32(b, o + 4), i32(b, o + 8), i32(b, o + 12)];

const readPrefix = (b: Uint8Array, at: number): PrefixInformation => ({
  prefix: wordsAt(b, at + 16),
  prefixLen: b[at + 2]!,
  onLink: (b[at + 3]! & FLAG_ON_LINK) !== 0,
  autonomous: (b[at + 3]! & FLAG_AUTONOMOUS) !== 0,
  validSec: u32(b, at + 4),
  preferredSec: u32(b, at + 8),
});

function readNames(b: Uint8Array, from: number, end: number): string[] {
  const names: string[] = [];
  let labels: string[] = [];
  for (let at = from; at < end; ) {
    const len = b[at]!;
    if (len === 0) {
      if (labels.length === 0) break; // padding
      names.push(labels.join('.'));
      labels = [];
      at++;
      continue;
    }
    if (len > 63 || at + 1 + len > end) break;
    labels.push(String.fromCharCode(...b.subarray(at + 1, at + 1 + len)));
    at += 1 + len;
  }
  return names;
}
