// Which port of the host a guest's UDP port gets (RFC 4787 section 4.2, RFC 6056).
//
//   1. its own number when that is free (port preservation), but none below FIRST_FREE: those are the host's services'
//   2. else an unpredictable one of the same parity (REQ-4: RTP is even, and its RTCP odd), of the upper half, where no
//      services are registered in number and the kernel finds its own ephemeral ports too
//   3. else any that the kernel gives
//
// Two sockets never share a port: there is no overloading (REQ-3), and no attempt at neighboring ports (section 4.2.3).

import { errnoOf } from './from-node.ts';

/** The first port that needs no privilege. */
const FIRST_FREE = 1024;
const UPPER_HALF = 32_768;
/** Ports of the same parity that are tried. A host where so many are taken has few left. */
const TRIES = 8;

/**
 * Binds a socket for a guest's port.
 *
 * @param wanted  the guest's port; 0: any will do
 * @param random  a uniform unpredictable number, 0 to 2^32 - 1
 * @param bind    binds to a port (0: the kernel's choice); null, or why not
 * @returns       null, or why there is no port at all
 */
export function bindLike(wanted: number, random: () => number, bind: (port: number) => Error | null): Error | null {
  if (wanted === 0) return bind(0);
  for (let tries = wanted < FIRST_FREE ? 1 : 0; tries <= TRIES; tries++) {
    const error = bind(tries === 0 ? wanted : UPPER_HALF + (random() & (UPPER_HALF - 2)) + (wanted & 1));
    if (error === null || !isTaken(error)) return error;
  }
  return bind(0);
}

/** The port is another's; whatever else is wrong will be wrong with any port. */
const isTaken = (error: Error): boolean => ['EADDRINUSE', 'EACCES'].includes(errnoOf(error));
