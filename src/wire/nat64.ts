// IPv6 addresses that stand for IPv4 ones, RFC 6052 section 2.2.
//
//   PL  0             32     40     48     56     64     72     80     88     96    104     (bits)
//   32  | prefix      | v4 (32)                   | u    | suffix
//   40  | prefix             | v4 (24)            | u    | (8)  | suffix
//   48  | prefix                    | v4 (16)     | u    | (16)        | suffix
//   56  | prefix                           | (8)  | u    | v4 (24)            | suffix
//   64  | prefix                                  | u    | v4 (32)                   | suffix
//   96  | prefix                                                             | v4 (32)
//
// u (bits 64 to 71) is 0. Addresses whose u or suffix is not 0 are taken for what they are without them, as section 2.3
// asks ("SHOULD ignore").

import { type Endpoint, MAPPED } from '../core/address.ts';

/** Lengths that a prefix can have, bits. */
export const PREFIX_LENGTHS: readonly number[] = [32, 40, 48, 56, 64, 96];

/** A prefix whose addresses stand for IPv4 ones. */
export interface Nat64Prefix {
  /** The four words of the prefix; bits beyond its length are 0. */
  readonly words: readonly [number, number, number, number];
  /** One of PREFIX_LENGTHS. */
  readonly prefixLen: number;
}

/** 64:ff9b::/96 (RFC 6052 section 2.1). */
export const WELL_KNOWN_PREFIX: Nat64Prefix = { words: [0x0064ff9b, 0, 0, 0], prefixLen: 96 };
/** ::ffff:0:0/96: IPv4-mapped addresses (RFC 4291 section 2.5.5.2), as some user-mode routers take them on the wire. */
export const MAPPED_PREFIX: Nat64Prefix = { words: [0, 0, MAPPED, 0], prefixLen: 96 };

/** Whether an address lies in the prefix. */
export function holds({ words, prefixLen }: Nat64Prefix, w0: number, w1: number, w2: number): boolean {
  if (w0 !== words[0] || (prefixLen >= 64 && w1 !== words[1])) return false;
  if (prefixLen === 96) return w2 === words[2];
  if (prefixLen <= 32 || prefixLen === 64) return true;
  const mask = -1 << (64 - prefixLen);
  return (w1 & mask) === words[1];
}

/** The IPv4 address, signed, that an address of the prefix stands for. */
export function extract({ prefixLen }: Nat64Prefix, w1: number, w2: number, w3: number): number {
  if (prefixLen === 96) return w3;
  if (prefixLen === 32) return w1;
  const low = w2 & 0xffffff; // what follows u in the third word
  if (prefixLen === 64) return (low << 8) | (w3 >>> 24);
  const inFirst = 64 - prefixLen; // bits of the address in front of u: 24, 16 or 8
  return (w1 << (32 - inFirst)) | (low >>> (inFirst - 8));
}

/** Sets `out` to the address of the prefix that stands for an IPv4 address, with a port. */
export function embed({ words, prefixLen }: Nat64Prefix, v4: number, port: number, out: Endpoint): Endpoint {
  const [p0, p1, p2] = words;
  switch (prefixLen) {
    case 96:
      return out.set(p0, p1, p2, v4, port);
    case 64:
      return out.set(p0, p1, v4 >>> 8, v4 << 24, port);
    case 32:
      return out.set(p0, v4, 0, 0, port);
    default: {
      const inFirst = 64 - prefixLen;
      return out.set(p0, p1 | (v4 >>> (32 - inFirst)), (v4 << (inFirst - 8)) & 0xffffff, 0, port);
    }
  }
}
