// The command unixcmd: one command to a console, its data on standard output, its status as exit status.
//
// All exit statuses but 255 are the console's: so whatever goes wrong on this side of it ends with 255, as in the original.

import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { resolve } from 'node:path';
import { VdeError } from '../core/errors.ts';
import { ConsoleClient, connectSocket } from '../mgmt/console-client.ts';
import { type MachinePort, ParseMachine } from '../mgmt/parse-machine.ts';
import { readCommandLine, workingDirectory } from './command-line.ts';
import { exitWhenWritten, fail } from './console-tools.ts';
import { printable } from './stdio.ts';
import { UNIXCMD } from './unixcmd-options.ts';
import { EXIT_USAGE, UsageError } from './usage-error.ts';

const EXIT_NO_ANSWER = 255;
/** Statuses beyond what an exit status holds, and those below 0 (wirefilter). */
const EXIT_OTHER_STATUS = 254;
const DEFAULT_SOCKET = '/var/run/unixcmd';

interface UnixcmdConfig {
  readonly socket: string;
  readonly rcfile: string | null;
  readonly timeoutMs: number | undefined;
  readonly verbose: boolean;
  readonly command: readonly string[];
}

export async function main(words: readonly string[]): Promise<void> {
  const config = await readCommandLine(UNIXCMD, words, ({ values, positionals }): UnixcmdConfig => {
    if (positionals.length === 0) throw new UsageError('which command? for example: unixcmd -s SOCKET showinfo');
    const cwd = workingDirectory();
    const timeout = values.get('timeout');
    if (timeout !== undefined && !/^[1-9]\d{0,8}$/.test(String(timeout)))
      throw new UsageError(`option '--timeout': '${timeout}' is not a number of milliseconds`);
    const rcfile = values.get('rcfile');
    return {
      socket: resolve(cwd, String(values.get('sock') ?? DEFAULT_SOCKET)),
      rcfile: typeof rcfile === 'string' ? resolve(cwd, rcfile) : null,
      timeoutMs: timeout === undefined ? undefined : Number(timeout),
      verbose: values.get('verbose') === true,
      command: positionals,
    };
  });
  if (config === null) {
    if (process.exitCode === EXIT_USAGE) process.exitCode = EXIT_NO_ANSWER;
    return;
  }
  try {
    exitWhenWritten(config.rcfile === null ? await ask(config) : await runMachine(config, config.rcfile));
  } catch (error) {
    process.exitCode = fail(UNIXCMD.name, error, EXIT_NO_ANSWER);
  }
}

const trace = (text: string): void => {
  process.stderr.write(`${printable(text)}\n`);
};

/** The built-in dialogue; the exit status. */
async function ask({ socket, timeoutMs, verbose, command }: UnixcmdConfig): Promise<number> {
  const client = await ConsoleClient.connect(socket, timeoutMs === undefined ? {} : { timeoutMs });
  if (verbose) trace(`connected to ${client.name}: ${client.banner.join(' ')}`);
  const text = command.join(' ');
  if (verbose) trace(`> ${text}`);
  const { lines, status, open } = await client.ask(text);
  client.close();
  process.stdout.write(lines.map((line) => `${line}\n`).join(''));
  if (status === null) {
    if (verbose) trace(open ? '< (no status)' : '< (end of session)');
    if (!open && !/^(logout|shutdown)\b/.test(text))
      throw new VdeError('ERR_VDE_CONSOLE', `${socket}: the program ended the session without an answer`);
    return 0;
  }
  if (verbose) trace(`< ${status.code} ${status.text}`);
  if (status.code === 0) return 0;
  process.stderr.write(`${UNIXCMD.name}: ${printable(`${text}: ${status.text}`)}\n`);
  return status.code > 0 && status.code < EXIT_OTHER_STATUS ? status.code : EXIT_OTHER_STATUS;
}

/** The dialogue of a file; the exit status. */
async function runMachine(config: UnixcmdConfig, rcfile: string): Promise<number> {
  let text: string;
  try {
    text = readFileSync(rcfile, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new VdeError('ERR_VDE_SYSTEM', `cannot read ${rcfile}: ${code}`, { cause: error });
  }
  const machine = ParseMachine.parse(text, rcfile);
  const socket = await connectSocket(config.socket);
  const reader = new CharReader(socket);
  const port: MachinePort = {
    read: (timeoutMs) => reader.read(timeoutMs),
    write: (data) => socket.write(data),
    print: (data) => process.stdout.write(data),
    trace: (state, input) => {
      if (config.verbose) trace(`NOW ${state} parsing ${input}`);
    },
  };
  try {
    return (await machine.run(config.command, port)) & 255;
  } finally {
    socket.end();
    socket.destroySoon();
  }
}

/** Characters of a socket, one at a time; the socket is paused while nobody asks for more. */
class CharReader {
  private readonly socket: Socket;
  private text = '';
  private at = 0;
  private ended = false;
  private wake: (() => void) | null = null;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      this.text = this.text.slice(this.at) + chunk;
      this.at = 0;
      socket.pause();
      this.wake?.();
    });
    socket.once('close', () => {
      this.ended = true;
      this.wake?.();
    });
    socket.pause();
  }

  async read(timeoutMs: number): Promise<string | null> {
    if (this.at >= this.text.length && !this.ended) await this.more(timeoutMs);
    return this.text[this.at++] ?? null;
  }

  private more(timeoutMs: number): Promise<void> {
    return new Promise((done) => {
      const timer = setTimeout(() => this.wake?.(), timeoutMs);
      this.wake = () => {
        clearTimeout(timer);
        this.wake = null;
        done();
      };
      this.socket.resume();
    });
  }
}
