// Copies of frames: mirror sessions (SPAN) from ports to a port, and a hook for captures.
//
// A watched port is one of a session or of the hook. Its incoming frames are seen before any check of the switch, its
// outgoing ones as they leave, tag and all. The destination of a session leaves all VLANs while the session lasts:
// nothing else is sent there, and what comes in from there goes nowhere.

import type { Port } from './port.ts';

export type Direction = 'in' | 'out' | 'both';

/** One mirror session. */
export interface MirrorSession {
  /** Port that gets the copies. */
  readonly to: number;
  /** Watched ports; null for all others. */
  readonly ports: readonly number[] | null;
  readonly direction: Direction;
  /** Copies made. */
  frames: number;
}

/** Sees frames of watched ports; bytes are on loan until it returns. It must not send. */
export type FrameHook = (incoming: boolean, port: Port, b: Uint8Array, off: number, len: number) => void;

/** Sends a copy out of a port, past all rules. */
export type MirrorOutput = (port: number, b: Uint8Array, off: number, len: number) => void;

const MAX_SESSIONS = 16;

interface Session extends MirrorSession {
  readonly set: ReadonlySet<number> | null;
}

export class Mirror {
  private readonly sessions: Session[] = [];
  private hook: FrameHook | null = null;
  private hookPort = -1;
  private readonly output: MirrorOutput;
  /** Called when what is watched has changed. */
  private readonly changed: () => void;

  constructor(output: MirrorOutput, changed: () => void) {
    this.output = output;
    this.changed = changed;
  }

  list(): readonly MirrorSession[] {
    return this.sessions;
  }

  /** The session whose copies go to a port, or null. */
  get(to: number): MirrorSession | null {
    return this.sessions.find((session) => session.to === to) ?? null;
  }

  /**
   * Starts a session, or replaces the one to the same port. False when there are 16 others. Used by the switch, which
   * takes the destination out of its VLANs.
   */
  add(to: number, ports: readonly number[] | null, direction: Direction): boolean {
    const at = this.sessions.findIndex((session) => session.to === to);
    if (at < 0 && this.sessions.length === MAX_SESSIONS) return false;
    const session = { to, ports, direction, frames: 0, set: ports === null ? null : new Set(ports) };
    if (at < 0) this.sessions.push(session);
    else this.sessions[at] = session;
    this.changed();
    return true;
  }

  /** Ends the session whose copies go to a port; false when there is none. */
  remove(to: number): boolean {
    const at = this.sessions.findIndex((session) => session.to === to);
    if (at < 0) return false;
    this.sessions.splice(at, 1);
    this.changed();
    return true;
  }

  /** Shows frames to a hook, of one port or of all (-1); null ends that. */
  setHook(hook: FrameHook | null, port = -1): void {
    this.hook = hook;
    this.hookPort = port;
    this.changed();
  }

  /** Whether frames of a port are to be given to `see` in a direction. */
  watches(port: number, incoming: boolean): boolean {
    if (this.hook !== null && (this.hookPort < 0 || this.hookPort === port)) return true;
    return this.sessions.some((session) => covers(session, port, incoming));
  }

  /** A frame of a watched port. */
  see(incoming: boolean, port: Port, b: Uint8Array, off: number, len: number): void {
    const { hook, sessions } = this;
    if (hook !== null && (this.hookPort < 0 || this.hookPort === port.number)) hook(incoming, port, b, off, len);
    for (let i = 0; i < sessions.length; i++) {
      const session = sessions[i]!;
      if (!covers(session, port.number, incoming)) continue;
      session.frames++;
      this.output(session.to, b, off, len);
    }
  }
}

const covers = (session: Session, port: number, incoming: boolean): boolean =>
  port !== session.to &&
  session.direction !== (incoming ? 'out' : 'in') &&
  (session.set === null || session.set.has(port));
