// One end of a cable that stays when a switch comes and goes, from what the user wrote: a plug address, or frames on
// standard input and output.

import { VdeError } from '../core/errors.ts';
import type { Link } from '../core/frame.ts';
import { openPlug, PLUG_MTU, type PlugOptions, type PlugStream, plugStream } from '../link/index.ts';
import type { Log } from './log.ts';
import { NODE_SCHEMES } from './node-schemes.ts';

export interface CableEnd {
  readonly link: Link;
  /** Fulfilled when the end is over for good: null in order, else why. */
  readonly ended: Promise<VdeError | null>;
}

/** An end that is a stream of frames; `what` names it in the message when it is out of step. */
export function streamEnd(link: PlugStream, what: string): CableEnd {
  const ended = new Promise<VdeError | null>((done) => {
    link.onEnd = (why) =>
      done(why === 'out of step' ? new VdeError('ERR_VDE_SYSTEM', `what came on ${what} is not frames`) : null);
  });
  return { link, ended };
}

/**
 * Opens an end. Rejects with a VdeError.
 *
 * @param text  `-`, or an address as openPlug takes it
 */
export async function openEnd(text: string, options: PlugOptions, log: Log): Promise<CableEnd> {
  if (text === '-') return streamEnd(plugStream({ mtu: PLUG_MTU, memory: options.memory }), 'standard input');
  let name = text;
  const { link, ended } = await openPlug(text, {
    ...options,
    rejoin: true,
    schemes: NODE_SCHEMES,
    onState: (up) => log.warn(up ? `joined ${name} again` : `lost ${name}; waiting for it`),
  });
  name = link.name;
  return { link, ended: ended.then((why) => (why === '' ? null : new VdeError('ERR_VDE_SYSTEM', why))) };
}
