// Plugs the endpoints of a control server into a switch. Neither knows the other: the server offers a link with what
// its client asked for, and is told the port number or a refusal.

import type { Link } from '../core/frame.ts';
import type { Switch } from './switch.ts';

/** A link whose peer asked for a port; what a control server makes of a request. */
export interface PortRequest extends Link {
  /** Port number asked for, -1 for any. */
  readonly requestedPort: number;
  readonly uid: number;
  readonly description: string;
}

/** Tells whether a user is a member of a group, both by number. */
export type Membership = (uid: number, gid: number) => boolean;

/**
 * The function that a control server asks for a port: it gives the number of the port that the link was plugged into,
 * or says in one line why it was not. The link is unplugged when it reports that it is down.
 *
 * @param memberOf  asked when a port is for a group only; without it nobody is a member of any
 */
export const portAllocator =
  (sw: Switch, memberOf: Membership = () => false) =>
  (link: PortRequest): number | string => {
    const { requestedPort: port, uid, description } = link;
    const endpoint = sw.plug(link, { port, uid, description, inGroup: (gid) => memberOf(uid, gid) });
    if (typeof endpoint === 'string') return endpoint;
    link.onState = (up) => {
      if (!up) sw.unplug(endpoint);
    };
    return endpoint.port.number;
  };
