// The plug stream on standard input and output: what `vde_plug` speaks, and `dpipe` and ssh carry.
//
//   dpipe vde_plug vde://S = slirpvde -
//   dpipe vde_plug = ssh HOST slirpvde -
//
// Each frame is behind its length, 2 bytes in network order. There is no handshake and no end mark: the end of standard
// input is the end of the cable. Both descriptors must be pipes or sockets: what is written must not block the process,
// and what is read must wake it.

import { fstatSync } from 'node:fs';
import { Socket } from 'node:net';
import { VdeError } from '../core/errors.ts';
import type { FrameMemory, Link } from '../core/frame.ts';
import { nativeProblem } from '../native/native.ts';
import type { Paced } from './cable.ts';
import { FrameStream, type StreamEnd } from './frame-stream.ts';
import { MAX_PLUG_FRAME, PipePlug } from './pipe-plug.ts';

export interface PlugStreamOptions {
  /** Largest packet sent, bytes; default 1500: with a tag that is what classic readers take. */
  readonly mtu?: number;
  readonly memory: FrameMemory;
  /** For tests; otherwise those of the process. */
  readonly input?: NodeJS.ReadableStream;
  readonly output?: NodeJS.WritableStream;
}

/** A link over byte streams, whichever way its bytes are moved. */
export interface PlugStream extends Link, Paced {
  readonly up: boolean;
  /** Hears why the link is over, before `onState`. Not called after close(). */
  onEnd: ((why: StreamEnd) => void) | null;
}

/**
 * A link over standard input and output, which must not be used for anything else from now on.
 *
 * @throws VdeError  ERR_VDE_SYSTEM when one of them is not a pipe or a socket
 */
export function plugStream(options: PlugStreamOptions): PlugStream {
  const name = 'stdio';
  const mtu = options.mtu ?? 1500;
  const { memory, input, output } = options;
  if (input === undefined && output === undefined && nativeProblem() === null) {
    requirePipe('input', isPipe(0));
    requirePipe('output', isPipe(1));
    return new PipePlug({ name, mtu, memory, input: 0, output: 1 });
  }
  return new FrameStream(pipe('input', input ?? process.stdin), pipe('output', output ?? process.stdout), {
    name,
    headerLen: 2,
    maxRxFrame: MAX_PLUG_FRAME,
    mtu,
  });
}

function isPipe(fd: number): boolean {
  try {
    const stat = fstatSync(fd);
    return stat.isFIFO() || stat.isSocket();
  } catch {
    return false;
  }
}

/** A standard stream that is a pipe or a socket; Node makes a net.Socket of those, and of terminals a subclass. */
function pipe(what: string, stream: NodeJS.ReadableStream | NodeJS.WritableStream): Socket {
  const ok = stream instanceof Socket && !('isTTY' in stream && stream.isTTY);
  requirePipe(what, ok);
  return stream as Socket;
}

function requirePipe(what: string, ok: boolean): void {
  if (ok) return;
  throw new VdeError(
    'ERR_VDE_SYSTEM',
    `vde: standard ${what} is not a pipe: frames come and go there; use it behind another program, as with dpipe`,
  );
}
