// Whether this host has a way out for IPv6: a default route that leads somewhere.
//
// Linux tells its routes in /proc/net/ipv6_route, one a line: destination, its prefix length, source, its length, next hop,
// metric, reference count, use, flags, device, numbers in hexadecimal. Where there is no such file, an address that is
// neither loopback nor link-local is taken for a way out.

import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { parseIpv6 } from '../core/ipv6-network.ts';

const ANYWHERE = '0'.repeat(32);
const FLAG_UP = 0x0001;
const FLAG_REJECT = 0x0200;

/** True when a route of these leads to all of IPv6. */
export function hasDefaultRoute(routes: string): boolean {
  return routes.split('\n').some((line) => {
    const [to, len, , , , , , , flags = '0', device] = line.trim().split(/\s+/);
    const bits = Number.parseInt(flags, 16);
    return to === ANYWHERE && len === '00' && device !== 'lo' && (bits & FLAG_UP) !== 0 && (bits & FLAG_REJECT) === 0;
  });
}

/** Whether this host has a way out for IPv6 now. */
export function hasIpv6(path = '/proc/net/ipv6_route'): boolean {
  try {
    return hasDefaultRoute(readFileSync(path, 'utf8'));
  } catch {
    return hasGlobalAddress();
  }
}

function hasGlobalAddress(): boolean {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return addresses.some(({ address, internal }) => {
    const words = internal ? null : parseIpv6(address.replace(/%.*$/, ''));
    return words !== null && words[0] >>> 22 !== 0x3fa;
  });
}
