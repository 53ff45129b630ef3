// One end of a cable, from what the user wrote: a switch, a VXLAN, or frames on standard input and output.

import { VdeError } from '../core/errors.ts';
import type { FrameMemory, Link } from '../core/frame.ts';
import { type FrameStream, plugStream, VdeClient, type VdeClientOptions } from '../link/index.ts';
import { MAX_RX_FRAME } from '../link/limits.ts';
import { openVxlan, parseVxlanUrl } from '../link/vxlan.ts';
import type { Log } from './log.ts';

/** Cables pass on whatever fits a VDE frame. */
export const CABLE_MTU = MAX_RX_FRAME - 18;

export interface CableEnd {
  readonly link: Link;
  /** Fulfilled when the end is over for good: null in order, else why. */
  readonly ended: Promise<VdeError | null>;
}

const NEVER = new Promise<never>(() => {});

/** When a stream of frames is over; standard input is, when it is `-`. */
export const endOf = (stream: FrameStream, what: string): Promise<VdeError | null> =>
  new Promise((done) => {
    stream.onEnd = (why) =>
      done(why === 'out of step' ? new VdeError('ERR_VDE_SYSTEM', `what came on ${what} is not frames`) : null);
  });

/**
 * Opens an end. Rejects with a VdeError.
 *
 * @param text  `-`, `vxlan://`, `vxvde://`, or a switch as VdeClient takes it
 */
export async function openEnd(
  text: string,
  options: Omit<VdeClientOptions, 'path' | 'memory'> & { readonly memory: FrameMemory },
  log: Log,
): Promise<CableEnd> {
  if (text === '-') {
    const link = plugStream({ mtu: CABLE_MTU });
    return { link, ended: endOf(link, 'standard input') };
  }
  const url = /^(vxlan|vxvde):\/\/(.*)$/s.exec(text);
  if (url !== null) {
    const link = await openVxlan({ ...parseVxlanUrl(url[1] as 'vxlan' | 'vxvde', url[2]!), memory: options.memory });
    return { link, ended: NEVER };
  }
  const link = await VdeClient.connect({ mtu: CABLE_MTU, ...options, ...(text === '' ? {} : { path: text }) });
  link.onState = (up) =>
    log.warn(up ? `joined the switch at ${link.name} again` : `lost the switch at ${link.name}; waiting for it`);
  return { link, ended: NEVER };
}
