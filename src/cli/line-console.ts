// A console on standard input and output, line by line: what a terminal, or a script that pipes commands, gets.

import { createInterface, type Interface } from 'node:readline';
import type { ConsoleSession } from '../mgmt/console.ts';

export class LineConsole {
  private readonly session: ConsoleSession;
  private readonly reader: Interface;
  private ended = false;

  /**
   * @param execute  carries out a line; the answer, or null when it has ended the session
   * @param over     called once when input ends, or the session
   */
  constructor(
    banner: readonly string[],
    prompt: string,
    execute: (line: string, session: ConsoleSession) => string | null,
    over: () => void,
  ) {
    const out = (text: string): void => {
      if (!this.ended) process.stdout.write(text);
    };
    this.session = {
      follows: new Set(),
      print: out,
      end: (text = '') => {
        out(text);
        this.close();
      },
    };
    this.reader = createInterface({ input: process.stdin, output: process.stdout, prompt: `${prompt}$ ` });
    this.reader.on('line', (line) => {
      const blank = /^\s*(#|$)/.test(line);
      const answer = blank ? '' : execute(line, this.session);
      if (answer === null) return;
      out(`${answer}\n`);
      this.reader.prompt();
    });
    this.reader.on('close', () => {
      this.ended = true;
      over();
    });
    out(`${banner.join('\n')}\n\n`);
    this.reader.prompt();
  }

  /** Prints a line when the session follows a category. */
  tell(path: string, line: string): void {
    if (this.session.follows.has(path)) this.session.print(`${line}\n`);
  }

  close(): void {
    this.reader.close();
  }
}
