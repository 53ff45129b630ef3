// Which addresses of the world a guest can be shown.

import { Endpoint } from '../core/address.ts';
import { type IpLayer, isLinkLocal, isMulticast } from '../ip/index.ts';
import { type Translation, VIA_NONE } from './translation.ts';

/**
 * Whether a guest of its family can be shown this address as that of a peer: a unicast address beyond the router,
 * neither loopback nor link-local nor of the guest network.
 */
export function isPresentable(peer: Endpoint, ip: IpLayer): boolean {
  const { w0, w1, w2, w3 } = peer;
  if (peer.isIpv4) {
    const net = w3 >>> 24;
    if (net === 0 || net === 127 || w3 >>> 28 >= 14 || w3 >>> 16 === 0xa9fe) return false;
  } else if ((w0 | w1 | w2) === 0 || isMulticast(w0) || isLinkLocal(w0)) {
    return false;
  }
  return !ip.isOnLink(w0, w1, w2, w3) && !ip.isLocal(w0, w1, w2, w3);
}

/**
 * The address by which a guest is shown a peer of either family, with the peer's port; null when there is none.
 *
 * @param toIpv4  family of the guest
 * @param via     prefix for IPv4 peers of IPv6 guests
 */
export function presentAs(
  ip: IpLayer,
  translation: Translation,
  toIpv4: boolean,
  via: number,
  peer: Endpoint,
): Endpoint | null {
  if (!isPresentable(peer, ip)) return null;
  if (peer.isIpv4 === toIpv4) return new Endpoint().copy(peer);
  if (toIpv4 || via === VIA_NONE) return null;
  return translation.toIpv6(via, peer.w3, peer.port, new Endpoint());
}
