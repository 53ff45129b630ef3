// A cable between two ends, as a service: what vde_plug and vde_plug2tap run.
//
//   end --frames--> end      each is opened by its address, is the byte stream of the process, or a command's
//
// The cable is over when one of its ends is; the other one is closed then.

import { VdeError } from '../core/errors.ts';
import { FrameMemory } from '../core/frame.ts';
import { CommandPlug, joinLinks, openPlug, PLUG_MTU, type Plug, type PlugStream, plugStream } from '../link/index.ts';
import type { Log } from './log.ts';
import { NODE_SCHEMES } from './node-schemes.ts';
import type { Closable } from './run-service.ts';

/** How to join a switch when the address is that of one. */
export interface PlugAccess {
  readonly port: number | null;
  readonly group: string | null;
  readonly mode: number | null;
}

export type CableEnd =
  | { readonly kind: 'url'; readonly url: string; readonly access: PlugAccess }
  | { readonly kind: 'stdio' }
  | { readonly kind: 'command'; readonly argv: readonly string[] };

export interface CableOptions {
  readonly first: CableEnd;
  readonly second: CableEnd;
  readonly description: string;
  readonly reconnect: boolean;
  /** In the background commands have no standard error. */
  readonly daemon: boolean;
  /** Sees every frame that the second end gives, before the first one does. */
  readonly observe: ((b: Uint8Array, off: number, len: number) => void) | null;
}

/** Opens both ends and joins them. Rejects with a VdeError; nothing is left open then. */
export async function startCable(options: CableOptions, log: Log): Promise<Closable> {
  const memory = new FrameMemory();
  const first = await openEnd(options.first, options, memory, log);
  let second: Plug;
  try {
    second = await openEnd(options.second, options, memory, log);
  } catch (error) {
    await first.link.close();
    throw error;
  }
  joinLinks(first.link, second.link, options.observe);
  const ended = Promise.race([first.ended, second.ended]).then((problem) =>
    problem === '' ? null : new VdeError('ERR_VDE_SYSTEM', problem),
  );
  return {
    ended,
    close: async () => {
      await Promise.all([first.link.close(), second.link.close()]);
    },
  };
}

async function openEnd(end: CableEnd, options: CableOptions, memory: FrameMemory, log: Log): Promise<Plug> {
  if (end.kind === 'stdio') return stdio(memory);
  const stderr = options.daemon ? 'ignore' : 'inherit';
  if (end.kind === 'command') {
    const link = await CommandPlug.start({ argv: end.argv, memory, mtu: PLUG_MTU, stderr });
    return { link, ended: link.ended };
  }
  const { port, group, mode } = end.access;
  return openPlug(end.url, {
    memory,
    description: options.description,
    rejoin: options.reconnect,
    stderr,
    schemes: NODE_SCHEMES,
    ...(port === null ? {} : { port }),
    ...(group === null ? {} : { group }),
    ...(mode === null ? {} : { mode }),
    onState: (up) => log.info(`${end.url === '' ? 'the default switch' : end.url}: ${up ? 'up' : 'down'}`),
  });
}

/** The byte stream of this process. Its end is an end in order, unless it is no stream of frames. */
function stdio(memory: FrameMemory): Plug {
  const link: PlugStream = plugStream({ memory, mtu: PLUG_MTU });
  const ended = new Promise<string>((done) => {
    link.onEnd = (why) => done(why === 'out of step' ? 'what came on standard input is not a stream of frames' : '');
  });
  return { link, ended };
}
