// Names of addresses under in-addr.arpa and ip6.arpa (RFC 1035 section 3.5, RFC 3596 section 2.5).

import type { AddressWords } from '../core/ipv6-network.ts';

const REVERSE = '.in-addr.arpa';
const REVERSE6 = '.ip6.arpa';

/** The address whose whole name under in-addr.arpa (lower case) this is, unsigned, or -1. */
export function reverseAddress(name: string): number {
  if (!name.endsWith(REVERSE)) return -1;
  const labels = name.slice(0, -REVERSE.length).split('.');
  if (labels.length !== 4) return -1;
  let address = 0;
  for (let i = 3; i >= 0; i--) {
    const label = labels[i]!;
    if (!/^(0|[1-9]\d{0,2})$/.test(label) || Number(label) > 255) return -1;
    address = address * 256 + Number(label);
  }
  return address;
}

/** The name under ip6.arpa that asks for this address. */
export function reverseName6(words: AddressWords): string {
  const digits = words.map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
  return `${[...digits].reverse().join('.')}${REVERSE6}`;
}

/** The address whose whole name under ip6.arpa (lower case) this is, or null. */
export function reverseAddress6(name: string): AddressWords | null {
  if (!/^(?:[0-9a-f]\.){32}ip6\.arpa$/.test(name)) return null;
  const digits = name.slice(0, -REVERSE6.length).split('.').reverse().join('');
  const word = (i: number): number => Number.parseInt(digits.slice(8 * i, 8 * i + 8), 16) | 0;
  return [word(0), word(1), word(2), word(3)];
}
