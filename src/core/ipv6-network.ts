// IPv6 networks: an address with its prefix length, in the word form of address.ts.

import { formatAddress, MAPPED, parseAddress } from './address.ts';
import { VdeError } from './errors.ts';

/** The four words of an address, signed. */
export type AddressWords = readonly [number, number, number, number];

export interface Ipv6Network {
  /** Address as written, host part included. */
  readonly address: AddressWords;
  /** The same with the host part 0. */
  readonly network: AddressWords;
  readonly prefixLen: number;
}

/** Mask of word `i` (0 to 3) for a prefix length 0 to 128, signed. */
export function prefixWord(prefixLen: number, i: number): number {
  const bits = prefixLen - 32 * i;
  return bits <= 0 ? 0 : bits >= 32 ? -1 : (-1 << (32 - bits)) | 0;
}

/** The words with everything behind the prefix 0. */
export const networkOf = (words: AddressWords, prefixLen: number): AddressWords => [
  words[0] & prefixWord(prefixLen, 0),
  words[1] & prefixWord(prefixLen, 1),
  words[2] & prefixWord(prefixLen, 2),
  words[3] & prefixWord(prefixLen, 3),
];

export const sameWords = (a: AddressWords, b: AddressWords): boolean =>
  a[0] === b[0] && a[1] === b[1] && a[2] === b[2] && a[3] === b[3];

export const isInNetwork = (words: AddressWords, network: AddressWords, prefixLen: number): boolean =>
  sameWords(networkOf(words, prefixLen), networkOf(network, prefixLen));

/** The words of an IPv6 address, not of an IPv4 one; null for any other text. */
export function parseIpv6(text: string): AddressWords | null {
  const words = text.includes(':') ? parseAddress(text) : null;
  return words === null || (words[0] === 0 && words[1] === 0 && words[2] === MAPPED) ? null : words;
}

/** `ADDR[/LEN]`; `defaultLen` where no length is written. Throws ERR_VDE_BAD_ADDRESS. */
export function parseIpv6Network(text: string, defaultLen: number): Ipv6Network {
  const slash = text.indexOf('/');
  const address = parseIpv6(slash < 0 ? text : text.slice(0, slash));
  const lenText = slash < 0 ? String(defaultLen) : text.slice(slash + 1);
  const prefixLen = /^\d{1,3}$/.test(lenText) ? Number(lenText) : -1;
  if (address === null || prefixLen < 0 || prefixLen > 128) {
    throw new VdeError(
      'ERR_VDE_BAD_ADDRESS',
      `not an IPv6 network: ${text}; expected ADDR/LEN, for example 2001:db8::/64`,
    );
  }
  return { address, network: networkOf(address, prefixLen), prefixLen };
}

export const formatIpv6 = (words: AddressWords): string => formatAddress(...words);
