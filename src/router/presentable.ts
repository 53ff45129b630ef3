// Which addresses of the world a guest can be shown.

import type { Endpoint } from '../core/address.ts';
import type { IpLayer } from '../ip/index.ts';

/**
 * Whether a guest can be shown this address as that of a peer: an IPv4 unicast address beyond the router, neither
 * loopback nor link-local nor of the guest network.
 */
export function isPresentable(peer: Endpoint, ip: IpLayer): boolean {
  if (!peer.isIpv4) return false;
  const v4 = peer.w3 >>> 0;
  const net = v4 >>> 24;
  if (net === 0 || net === 127 || v4 >>> 28 >= 14 || v4 >>> 16 === 0xa9fe) return false;
  return !ip.isOnLink(v4) && !ip.isLocal(v4);
}
