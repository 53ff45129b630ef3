// The command vdeterm: a session with a management console, from a terminal or from a script.
//
// On a terminal Node's readline edits the line. An event that comes meanwhile is printed above it: the cursor goes up to
// the first row of the prompt, the rows are cleared, the text is written, and as many empty lines as the cursor stood
// below the first row, because readline goes up by that many when it draws the line again.
//
// Lines are carried out one after the other, whatever is typed or piped meanwhile.

import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { resolve } from 'node:path';
import { clearScreenDown, createInterface, cursorTo, type Interface, moveCursor } from 'node:readline';
import { VdeError } from '../core/errors.ts';
import { ConsoleClient, commandsOfHelp, completions } from '../mgmt/console-client.ts';
import { readCommandLine, workingDirectory } from './command-line.ts';
import { exitWhenWritten, fail } from './console-tools.ts';
import { printable } from './stdio.ts';
import { socketPath } from './unixterm.ts';
import { EXIT_FAILURE, EXIT_OK } from './usage-error.ts';
import { VDETERM } from './vdeterm-options.ts';

const EXIT_REFUSED = 3;
const EXIT_INTERRUPTED = 130; // 128 + SIGINT, as shells have it
const HISTORY_LINES = 500;
/** Commands that end the session, as far as their answer may be its end. */
const ENDING = /^\s*(logout|shutdown)\b/;

interface VdetermConfig {
  readonly socket: string;
  readonly history: string | null;
}

export async function main(words: readonly string[]): Promise<void> {
  const config = await readCommandLine(VDETERM, words, ({ values, positionals }): VdetermConfig => {
    const history = values.get('history');
    return {
      socket: socketPath(positionals),
      history: typeof history === 'string' ? resolve(workingDirectory(), history) : null,
    };
  });
  if (config === null) return;
  try {
    const session = new Session(config);
    exitWhenWritten(await session.run());
  } catch (error) {
    process.exitCode = fail(VDETERM.name, error, EXIT_FAILURE);
  }
}

class Session {
  private readonly config: VdetermConfig;
  private readonly terminal = process.stdin.isTTY === true && process.stdout.isTTY === true;
  private client!: ConsoleClient;
  private reader: Interface | null = null;
  private busy = false;
  private refused = false;
  private paths: Promise<string[]> | null = null;

  constructor(config: VdetermConfig) {
    this.config = config;
  }

  /** The whole session; the exit status. Rejects with ERR_VDE_CONSOLE. */
  async run(): Promise<number> {
    this.client = await ConsoleClient.connect(this.config.socket, { onEvent: (line) => this.event(line) });
    if (this.terminal) this.print(this.client.banner.filter((line) => line !== ''));
    const reader = this.createReader();
    this.reader = reader;
    try {
      return await this.loop(reader);
    } finally {
      this.reader = null;
      reader.close();
      this.client.close();
    }
  }

  private createReader(): Interface {
    if (!this.terminal) return createInterface({ input: process.stdin, terminal: false });
    const { history } = this.config;
    const reader = createInterface({
      input: process.stdin,
      output: process.stdout,
      terminal: true,
      prompt: `${this.client.name}[${printable(this.config.socket)}]: `,
      historySize: HISTORY_LINES,
      removeHistoryDuplicates: true,
      history: history === null ? [] : readHistory(history),
      completer: (line: string, done: (error: null, result: [string[], string]) => void) => {
        void this.complete(line).then((result) => done(null, result));
      },
    });
    if (history !== null) reader.on('history', (lines: string[]) => writeHistory(history, lines));
    return reader;
  }

  /** Carries out lines until the input or the session ends. */
  private loop(reader: Interface): Promise<number> {
    return new Promise((done, failed) => {
      let last: Promise<void> = Promise.resolve();
      let over = false;
      const finish = (status: number): void => {
        over = true;
        done(status);
      };
      reader.on('line', (line) => {
        if (!this.terminal) reader.pause();
        last = last
          .then(async () => {
            if (over) return;
            const status = await this.execute(line);
            if (status !== null) finish(status);
            else if (this.terminal) reader.prompt();
            else reader.resume();
          })
          .catch(failed);
      });
      reader.on('close', () => {
        void last.then(() => {
          if (this.terminal && !over) process.stdout.write('\n');
          finish(this.refused ? EXIT_REFUSED : EXIT_OK);
        });
      });
      reader.on('SIGINT', () => {
        if (this.busy) finish(EXIT_INTERRUPTED);
        else if (reader.line === '') reader.close();
        else {
          process.stdout.write('^C\n');
          reader.write(null, { ctrl: true, name: 'e' });
          reader.write(null, { ctrl: true, name: 'u' });
        }
      });
      // The answer to a command under way tells what this end means.
      void this.client.closed
        .then(() => last)
        .then(() => {
          if (!over) failed(this.lost());
        });
      if (this.terminal) reader.prompt();
    });
  }

  /** Carries out one line; an exit status when the session has ended by it. */
  private async execute(line: string): Promise<number | null> {
    const command = line.trim();
    if (command === '' || command.startsWith('#')) return null;
    this.busy = true;
    const { lines, status, open } = await this.client.ask(command);
    this.busy = false;
    this.print(lines);
    const failedWith = status !== null && status.code !== 0;
    if (!open) {
      if (!ENDING.test(command)) throw this.lost();
      return this.refused ? EXIT_REFUSED : EXIT_OK;
    }
    if (failedWith && !this.terminal) this.refused = true;
    if (this.terminal) {
      if (status !== null) this.print([status.text]);
    } else if (failedWith) {
      process.stderr.write(`${VDETERM.name}: ${printable(`${command}: ${status.text}`)}\n`);
    }
    return null;
  }

  private lost(): VdeError {
    return new VdeError('ERR_VDE_CONSOLE', `${this.config.socket}: the program ended the session`);
  }

  /** Lines of the console: what names of guests and files may hold does not reach the terminal as it is. */
  private print(lines: readonly string[]): void {
    if (lines.length > 0) process.stdout.write(lines.map((line) => `${this.clean(line)}\n`).join(''));
  }

  private clean(line: string): string {
    return this.terminal ? printable(line) : line;
  }

  /** An event: above the line that is being edited. The number in front of it is for programs. */
  private event(line: string): void {
    const text = this.clean(line.replace(/^3[0-7]{3,6} /, ''));
    const { reader } = this;
    if (!this.terminal || reader === null || this.busy) {
      process.stdout.write(`${text}\n`);
      return;
    }
    const { rows } = reader.getCursorPos();
    moveCursor(process.stdout, 0, -rows);
    cursorTo(process.stdout, 0);
    clearScreenDown(process.stdout);
    process.stdout.write(`${text}\n${'\n'.repeat(rows)}`);
    reader.prompt(true);
  }

  /** What the word before the cursor may become. */
  private async complete(line: string): Promise<[string[], string]> {
    const start = /(?:^\s*|^\s*help\s+)(\S*)$/.exec(line);
    if (start === null || this.busy) return [[], line];
    this.paths ??= this.client
      .ask('help')
      .then(({ lines }) => commandsOfHelp(lines))
      .catch(() => []);
    return [completions(await this.paths, start[1]!), start[1]!];
  }
}

/** Lines of a history file, the newest first as readline has them; none when it cannot be read. */
function readHistory(path: string): string[] {
  try {
    const lines = readFileSync(path, 'utf8').split('\n');
    return lines
      .filter((line) => line !== '')
      .slice(-HISTORY_LINES)
      .reverse();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw historyError('read', path, error);
  }
}

function writeHistory(path: string, lines: readonly string[]): void {
  try {
    const fd = openSync(path, 'w', 0o600);
    try {
      writeSync(fd, [...lines].reverse().join('\n').concat('\n'));
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    process.stderr.write(`${VDETERM.name}: ${historyError('write', path, error).message}\n`);
  }
}

const historyError = (what: string, path: string, error: unknown): VdeError =>
  new VdeError('ERR_VDE_SYSTEM', `cannot ${what} the history file ${path}: ${(error as NodeJS.ErrnoException).code}`);
