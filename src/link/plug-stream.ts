// The plug stream on standard input and output: what `vde_plug` speaks, and `dpipe` and ssh carry.
//
//   dpipe vde_plug vde://S = slirpvde -
//   dpipe vde_plug = ssh HOST slirpvde -
//
// Each frame is behind its length, 2 bytes in network order. There is no handshake and no end mark: the end of standard
// input is the end of the cable. Both descriptors must be pipes or sockets: what is written must not block the process,
// and what is read must wake it.

import { Socket } from 'node:net';
import { VdeError } from '../core/errors.ts';
import { FrameStream } from './frame-stream.ts';

/** Longest frame that a plug stream carries, bytes (plug4; its classic readers stop at 1521). */
export const MAX_PLUG_FRAME = 9236;

export interface PlugStreamOptions {
  /** Largest packet sent, bytes; default 1500: with a tag that is what classic readers take. */
  readonly mtu?: number;
  /** For tests; otherwise those of the process. */
  readonly input?: NodeJS.ReadableStream;
  readonly output?: NodeJS.WritableStream;
}

/**
 * A link over standard input and output, which must not be used for anything else from now on.
 *
 * @throws VdeError  ERR_VDE_SYSTEM when one of them is not a pipe or a socket
 */
export function plugStream(options: PlugStreamOptions = {}): FrameStream {
  const input = pipe('input', options.input ?? process.stdin);
  const output = pipe('output', options.output ?? process.stdout);
  return new FrameStream(input, output, {
    name: 'stdio',
    headerLen: 2,
    maxRxFrame: MAX_PLUG_FRAME,
    mtu: options.mtu ?? 1500,
  });
}

/** A standard stream that is a pipe or a socket; Node makes a net.Socket of those, and of terminals a subclass. */
function pipe(what: string, stream: NodeJS.ReadableStream | NodeJS.WritableStream): Socket {
  if (stream instanceof Socket && !('isTTY' in stream && stream.isTTY)) return stream;
  throw new VdeError(
    'ERR_VDE_SYSTEM',
    `vde: standard ${what} is not a pipe; '-' is for use behind another program: dpipe vde_plug = slirpvde -`,
  );
}
