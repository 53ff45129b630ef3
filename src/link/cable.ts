// A cable: two links joined so that what one gives the other takes.
//
// A link that cannot send as fast as it is given frames says so, and the other one is not read until there is room again:
// the frames then wait with their sender, as they would behind a blocking program. Links that cannot be held, or do not
// tell, drop and count what is too much.

import type { FrameSink, Link } from '../core/frame.ts';

/** What a link can do besides, when it takes part in that. */
export interface Paced {
  /** True after `tx.flush` when frames wait to be sent. */
  readonly congested: boolean;
  /** Called when they have been sent, or are lost because the link went down. */
  onRoom: (() => void) | null;
  /** Stops or resumes taking frames in; what has been taken already may still be delivered. */
  hold(on: boolean): void;
}

/** The link, if it takes part. */
export const pacedOf = (link: Link): (Link & Paced) | null => ('congested' in link ? (link as Link & Paced) : null);

/**
 * Joins two links for as long as they live.
 *
 * @param observe  sees what comes from `b`, before `a` does
 */
export function joinLinks(a: Link, b: Link, observe: ((b: Uint8Array, off: number, len: number) => void) | null): void {
  b.attach(oneWay(b, a, observe));
  a.attach(oneWay(a, b, null));
}

function oneWay(from: Link, to: Link, observe: ((b: Uint8Array, off: number, len: number) => void) | null): FrameSink {
  const { tx } = to;
  const source = pacedOf(from);
  const target = pacedOf(to);
  if (target !== null) target.onRoom = () => source?.hold(false);
  return {
    frame:
      observe === null
        ? (b, off, len) => tx.frame(b, off, len)
        : (b, off, len) => {
            observe(b, off, len);
            tx.frame(b, off, len);
          },
    flush: () => {
      tx.flush();
      if (target !== null && source !== null && target.congested) source.hold(true);
    },
  };
}
