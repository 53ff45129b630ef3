// Port forwards in slirpvde's grammar: HOSTPORT:GUEST:GUESTPORT, and with the address to listen on in front,
// ADDR:HOSTPORT:GUEST:GUESTPORT.
//
// The original reads a fourth field silently as something else (`127.0.0.1:8022:...` listens on port 127) and takes any
// number for a port. Here everything that is not a forward is refused with the field that is wrong.

import { type Endpoint, endpointIpv4, parseIpv4 } from '../core/address.ts';
import { UsageError } from './usage-error.ts';

export interface Forward {
  readonly protocol: 'tcp' | 'udp';
  /** Where the host listens; 0.0.0.0 for all addresses. */
  readonly listen: Endpoint;
  readonly guest: Endpoint;
}

/** True when the forward is open on all addresses of the host. */
export const listensEverywhere = (forward: Forward): boolean => forward.listen.isIpv4 && forward.listen.w3 === 0;

/** The forward as start-up text and logs show it; in the classic form where that says all. */
export function formatForward(forward: Forward): string {
  const { listen, guest } = forward;
  return `${listensEverywhere(forward) ? '' : `${listen.host}:`}${listen.port}:${guest.host}:${guest.port}`;
}

/**
 * Parses one -L or -U value.
 *
 * @param option  the option as the user knows it, for the message: `-L`
 * @throws UsageError (ERR_VDE_BAD_FORWARD)
 */
export function parseForward(protocol: 'tcp' | 'udp', option: string, text: string): Forward {
  const bad = (why: string): never => {
    throw new UsageError(
      `option '${option}': bad forward '${text}': ${why}`,
      `expected [ADDR:]PORT:GUEST:GUESTPORT, for example ${option} 8022:10.0.2.15:22`,
      'ERR_VDE_BAD_FORWARD',
    );
  };
  const port = (field: string, what: string): number => {
    const value = /^\d{1,5}$/.test(field) ? Number(field) : 0;
    return value >= 1 && value <= 65535 ? value : bad(`the ${what} '${field}' is not a port (1 to 65535)`);
  };
  const address = (field: string, what: string): number => {
    const value = parseIpv4(field);
    return value >= 0 ? value : bad(`the ${what} '${field}' is not an IPv4 address`);
  };
  const fields = text.split(':');
  if (fields.length !== 3 && fields.length !== 4) return bad(`it has ${fields.length} fields, not 3 or 4`);
  const [guestPort, guest, hostPort, listen] = fields.reverse() as [string, string, string, string?];
  const listenAddress = listen === undefined ? 0 : address(listen, 'address to listen on');
  const top = listenAddress >>> 24;
  if (top >= 224) return bad(`the address to listen on '${listen}' is a multicast, broadcast or reserved address`);
  return {
    protocol,
    listen: endpointIpv4(listenAddress, port(hostPort, 'host port')),
    guest: endpointIpv4(address(guest, 'guest address'), port(guestPort, 'guest port')),
  };
}
