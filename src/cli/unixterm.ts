// The command unixterm: bytes between standard input and output and a Unix stream socket.

import type { Socket } from 'node:net';
import { resolve } from 'node:path';
import { VdeError } from '../core/errors.ts';
import { connectSocket } from '../mgmt/console-client.ts';
import { readCommandLine, workingDirectory } from './command-line.ts';
import { exitWhenWritten, fail } from './console-tools.ts';
import { EXIT_FAILURE, EXIT_OK, UsageError } from './usage-error.ts';
import { UNIXTERM } from './vdeterm-options.ts';

/** Silence of the server after the end of our input that ends the session, milliseconds. */
const LINGER_MS = 2000;

export async function main(words: readonly string[]): Promise<void> {
  const path = await readCommandLine(UNIXTERM, words, ({ positionals }) => socketPath(positionals));
  if (path === null) return;
  try {
    const socket = await connectSocket(path);
    exitWhenWritten((await copy(socket)) ? EXIT_OK : fail(UNIXTERM.name, broken(path), EXIT_FAILURE));
  } catch (error) {
    process.exitCode = fail(UNIXTERM.name, error, EXIT_FAILURE);
  }
}

/** The absolute path that the one positional word names. */
export function socketPath(positionals: readonly string[]): string {
  const [word] = positionals;
  if (word === undefined) throw new UsageError('which socket? one path is needed');
  return resolve(workingDirectory(), word);
}

const broken = (path: string): VdeError => new VdeError('ERR_VDE_CONSOLE', `the connection to ${path} broke`);

/** Copies both ways until the session has ended; false when the connection broke. */
function copy(socket: Socket): Promise<boolean> {
  return new Promise((done) => {
    let fault = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const linger = (): void => {
      clearTimeout(timer);
      timer = setTimeout(() => socket.destroy(), LINGER_MS);
    };
    process.stdin.pipe(socket);
    process.stdin.once('end', () => {
      linger();
      socket.on('data', linger);
    });
    socket.pipe(process.stdout, { end: false });
    // A reader that is gone ends the copy: nobody hears the answers.
    process.stdout.once('error', () => socket.destroy());
    socket.once('error', () => {
      fault = true;
    });
    socket.once('close', () => {
      clearTimeout(timer);
      done(!fault);
    });
  });
}
