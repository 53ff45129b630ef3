// What the command needs of the service it starts. slirpvde.ts is given a StartSlirpvde, so that the command is tested
// without a network, and so that --help never loads the router.

import type { Forward } from './forward.ts';
import type { Log } from './log.ts';
import type { SlirpvdeConfig } from './slirpvde-config.ts';

/** What the service found at start, for the start-up text. */
export interface SlirpvdeState {
  /** Control directory in use, absolute. */
  readonly socket: string;
  /** `joined` a switch that was listening there, or `embedded`: became the switch. */
  readonly role: 'joined' | 'embedded';
  /** Null when echo requests of guests are forwarded; else one line that says why not and what would help. */
  readonly pingProblem: string | null;
  /** Forwards that are open, with the real ports where any was asked for. */
  readonly forwards: readonly Forward[];
}

export interface SlirpvdeService {
  readonly state: SlirpvdeState;
  /** Fulfilled when the console was told to shut the process down. */
  readonly ended?: Promise<void>;
  /** Ends the service and removes all its sockets and directories; safe to call twice. */
  close(): Promise<void>;
}

/**
 * Starts the service; when the promise is fulfilled, guests are served. Rejects with a VdeError and leaves nothing
 * behind when it cannot.
 */
export type StartSlirpvde = (config: SlirpvdeConfig, log: Log) => Promise<SlirpvdeService>;
