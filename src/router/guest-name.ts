// Guests by name, for forwards: which address a DHCP host name or a hardware address has now.

import { Endpoint, parseMac } from '../core/address.ts';
import { isLinkLocal, type Neighbor } from '../ip/index.ts';
import type { DhcpServer } from '../services/index.ts';
import { i32, u16 } from '../wire/bytes.ts';

/**
 * The address of a guest, port 0, or null. By hardware address it is the IPv4 one heard of last, else the last of its
 * IPv6 ones that is not link-local.
 *
 * @param name       host name, or hardware address as `aa:bb:cc:dd:ee:ff`
 * @param neighbors  stations heard of: hardware addresses of guests that do not use DHCP are found there
 */
export function addressOfGuest(name: string, dhcp: DhcpServer | null, neighbors: Iterable<Neighbor>): Endpoint | null {
  const leased = dhcp?.addressOf(name) ?? -1;
  if (leased >= 0) return new Endpoint().setIpv4(leased, 0);
  const mac = parseMac(name);
  if (mac === null) return null;
  const hi = u16(mac, 0);
  const lo = i32(mac, 2);
  let best: Neighbor | null = null;
  for (const n of neighbors) {
    if (!n.resolved || n.macHi !== hi || n.macLo !== lo || isLinkLocal(n.w0)) continue;
    if (best === null || (n.isIpv4 === best.isIpv4 ? n.heardAt > best.heardAt : n.isIpv4)) best = n;
  }
  return best === null ? null : new Endpoint().set(best.w0, best.w1, best.w2, best.w3, 0);
}
