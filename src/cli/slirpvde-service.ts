// What the command needs of the service it starts. slirpvde.ts is given a StartSlirpvde, so that the command is tested
// without a network, and so that --help never loads the router.

import type { VdeError } from '../core/errors.ts';
import type { ConfigSource } from './config-source.ts';
import type { Forward } from './forward.ts';
import type { Log } from './log.ts';
import type { SlirpvdeConfig } from './slirpvde-config.ts';

/** What the service found at start, for the start-up text. */
export interface SlirpvdeState {
  /** Control directory in use, absolute; `-` for standard input and output, `none` without either. */
  readonly socket: string;
  /**
   * `joined` a switch that was listening there; `embedded`: became the switch; `stdio`: frames on standard input and
   * output; `qemu`: guests of QEMU only; `tap`: a TAP interface.
   */
  readonly role: 'joined' | 'embedded' | 'stdio' | 'qemu' | 'tap';
  /** X displays, with the ports that were free. */
  readonly displays: readonly Forward[];
  /** Null when echo requests of guests are forwarded; else one line that says why not and what would help. */
  readonly pingProblem: string | null;
  /** Forwards that are open, with the real ports where any was asked for. */
  readonly forwards: readonly Forward[];
}

export interface SlirpvdeService {
  readonly state: SlirpvdeState;
  /**
   * Fulfilled when the service has nothing left to serve, or the console was told to shut the process down: null in
   * order, else why.
   */
  readonly ended: Promise<VdeError | null>;
  /**
   * Reads resolv.conf and the configuration again and applies what has changed: all of it or nothing. One after the
   * other, whoever asks. Rejects with a VdeError.
   *
   * @returns what was read, what was changed and what was not: lines for the log
   */
  reload(): Promise<string[]>;
  /** Ends the service and removes all its sockets and directories; safe to call twice. */
  close(): Promise<void>;
}

/**
 * Starts the service; when the promise is fulfilled, guests are served. Rejects with a VdeError and leaves nothing
 * behind when it cannot.
 */
export type StartSlirpvde = (config: SlirpvdeConfig, log: Log, source: ConfigSource) => Promise<SlirpvdeService>;
