// Guests by name, for forwards: which address a DHCP host name or a hardware address has now.

import { MAPPED, parseMac } from '../core/address.ts';
import type { Neighbor } from '../ip/index.ts';
import type { DhcpServer } from '../services/index.ts';
import { i32, u16 } from '../wire/bytes.ts';

/**
 * @param name       host name, or hardware address as `aa:bb:cc:dd:ee:ff`
 * @param neighbors  stations heard of: hardware addresses of guests that do not use DHCP are found there
 * @returns the address, unsigned, or -1
 */
export function addressOfGuest(name: string, dhcp: DhcpServer | null, neighbors: Iterable<Neighbor>): number {
  const leased = dhcp?.addressOf(name) ?? -1;
  const mac = leased < 0 ? parseMac(name) : null;
  if (mac === null) return leased;
  const hi = u16(mac, 0);
  const lo = i32(mac, 2);
  let latest: Neighbor | null = null;
  for (const n of neighbors) {
    if (!n.resolved || n.macHi !== hi || n.macLo !== lo || n.w2 !== MAPPED) continue;
    if (latest === null || n.heardAt > latest.heardAt) latest = n;
  }
  return latest === null ? -1 : latest.w3 >>> 0;
}
