// The console of a program on its own standard input and output.
//
//   a terminal     prompt, line editing, history and completion (node:readline); events appear above the line that is
//                  being typed; Ctrl-D and Ctrl-C are the caller's business
//   anything else  a command is a line, answers are what they are on the socket, without prompt; its end is no event
//
// `logout` does nothing here, as in the original: there is nobody to leave to.

import { readFileSync } from 'node:fs';
import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { type Console, type ConsoleSession, MAX_QUEUED } from './console.ts';

const HISTORY = 500;
const CLEAR_LINE = '\r\x1b[K';

export interface TerminalOptions {
  readonly input: Readable;
  readonly output: Writable;
  /** Both are a terminal. */
  readonly interactive: boolean;
  /** The user ended the input (Ctrl-D); called for a terminal only. */
  readonly ended: () => void;
  /** The user typed Ctrl-C; called for a terminal only. */
  readonly interrupted: () => void;
}

export class Terminal implements ConsoleSession {
  readonly follows = new Set<string>();
  private readonly console: Console;
  private readonly options: TerminalOptions;
  private readonly lines: Interface;
  private readonly leave: () => void;
  private working: Promise<void> = Promise.resolve();
  /** The prompt is on the screen, and maybe a line that is being typed. */
  private prompting = false;
  private closed = false;

  constructor(console: Console, options: TerminalOptions) {
    const { input, output, interactive } = options;
    this.console = console;
    this.options = options;
    this.lines = createInterface({
      input,
      ...(interactive ? { output } : {}),
      terminal: interactive,
      historySize: HISTORY,
      removeHistoryDuplicates: true,
      prompt: `${console.name}$ `,
      completer: (line: string) => console.complete(line),
    });
    this.leave = console.join(this);
    input.on('error', () => this.lines.close()); // the terminal is gone
    this.lines.on('line', (line) => this.take(line));
    this.lines.on('close', () => this.inputEnded());
    this.lines.on('SIGINT', options.interrupted);
    this.prompt();
  }

  print(text: string): void {
    // Events are lost, and not kept without end, where nobody reads what we print.
    if (this.closed || this.options.output.writableLength > MAX_QUEUED) return;
    this.options.output.write(this.prompting ? `${CLEAR_LINE}${text}` : text);
    if (this.prompting) this.lines.prompt(true);
  }

  end(): void {}

  /** Gives the terminal back; safe to call twice. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    if (this.prompting) this.options.output.write('\n');
    this.leave();
    this.lines.close();
  }

  private take(line: string): void {
    this.prompting = false;
    this.lines.pause();
    this.working = this.working.then(async () => {
      if (this.closed) return;
      const text = await this.console.answer(this, line);
      if (this.closed) return;
      if (text !== null) this.options.output.write(text);
      this.prompt();
      this.lines.resume();
    });
  }

  private prompt(): void {
    if (!this.options.interactive) return;
    this.options.output.write('\n');
    this.prompting = true;
    this.lines.prompt();
  }

  private inputEnded(): void {
    if (this.closed) return;
    void this.working.then(() => {
      const wasOpen = !this.closed;
      this.close();
      if (wasOpen && this.options.interactive) this.options.ended();
    });
  }
}

/** Whether this process is in the background of its terminal (`&`), where reading from it would stop the process. */
export function inBackground(): boolean {
  try {
    // pid (comm) state ppid pgrp session tty_nr tpgid; comm may hold anything, blanks and brackets too.
    const fields = readFileSync('/proc/self/stat', 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ');
    return Number(fields[5]) > 0 && fields[5] !== fields[2];
  } catch {
    return false;
  }
}
