// A client of a VDE management console: one connection, one command at a time.
//
//   connect() --prompt--> READY --ask()--> BUSY --prompt--> READY ...   the connection ends: every pending call is told
//
// The classic servers take what one read gives for one command, so the next command is sent only behind the prompt that
// ends the answer before; `ask` queues. Events come at any moment and go to `onEvent`.
//
// The server may be hostile or not a console at all: the first prompt must come within `timeoutMs`, an answer must go on
// within `timeoutMs` of its last byte, and one answer has at most MAX_ANSWER characters. Beyond that the connection is
// given up.

import { connect, type Socket } from 'node:net';
import { VdeError } from '../core/errors.ts';
import { ConsoleParser, type ConsoleSink } from './console-parser.ts';

export const MAX_ANSWER = 8 << 20;
const TIMEOUT_MS = 10_000;
const CONNECT_ADVICE: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such socket; a VDE program makes it with -M',
  ECONNREFUSED: 'the program that made the socket has ended',
  EACCES: 'the mode of the socket or of a directory above it does not permit it (--mgmtmode)',
  ENOTSOCK: 'it is not a socket',
};

/** What a command was answered. */
export interface Answer {
  /** Lines of data, and lines that came outside of a data block. */
  readonly lines: readonly string[];
  /** Errno and text; null when the server gave none (vde_l3, or the session ended). */
  readonly status: { readonly code: number; readonly text: string } | null;
  /** False when the session ended instead of going on with a prompt. */
  readonly open: boolean;
}

export interface ConsoleClientOptions {
  /** Silence after which the server is given up, milliseconds; default 10 s. */
  readonly timeoutMs?: number;
  readonly onEvent?: (line: string) => void;
}

/** Connects to a Unix stream socket. Rejects with ERR_VDE_CONSOLE that says why, and what would help. */
export function connectSocket(path: string): Promise<Socket> {
  return new Promise((done, fail) => {
    const socket = connect(path);
    socket.once('error', (error: NodeJS.ErrnoException) => {
      const code = error.code ?? error.message;
      const advice = CONNECT_ADVICE[code];
      const text = `cannot connect to ${path}: ${advice === undefined ? code : `${advice} (${code})`}`;
      fail(new VdeError('ERR_VDE_CONSOLE', text, { cause: error }));
    });
    socket.once('connect', () => {
      socket.removeAllListeners('error').on('error', () => {}); // 'close' follows
      done(socket);
    });
  });
}

interface Pending {
  readonly command: string;
  readonly done: (answer: Answer) => void;
  readonly fail: (error: VdeError) => void;
}

export class ConsoleClient {
  readonly path: string;
  /** Lines before the first prompt. */
  banner: readonly string[] = [];
  /** Word in the prompt. */
  name = '';
  /** Fulfilled when the connection has ended, whoever ended it. */
  readonly closed: Promise<void>;
  private readonly socket: Socket;
  private readonly options: ConsoleClientOptions;
  private readonly queue: Pending[] = [];
  private current: Pending | null = null;
  private lines: string[] = [];
  private size = 0;
  private status: Answer['status'] = null;
  private ended = false;
  private timer: ReturnType<typeof setTimeout> | undefined;

  private constructor(path: string, socket: Socket, options: ConsoleClientOptions) {
    this.path = path;
    this.socket = socket;
    this.options = options;
    const parser = new ConsoleParser(this.sink());
    this.closed = new Promise((done) => {
      socket.once('close', () => {
        parser.end();
        this.finish();
        done();
      });
    });
    socket.on('data', (chunk) => {
      if (this.current !== null) this.startTimer();
      parser.feed(chunk);
    });
  }

  /**
   * Connects and waits for the first prompt. Rejects with ERR_VDE_CONSOLE when there is no server, or none that prompts.
   */
  static async connect(path: string, options: ConsoleClientOptions = {}): Promise<ConsoleClient> {
    const client = new ConsoleClient(path, await connectSocket(path), options);
    const greeting = client.ask('');
    const { lines, open } = await greeting;
    if (!open) {
      const said = lines.length === 0 ? '' : `: ${lines.join(' ').slice(0, 200)}`;
      throw new VdeError('ERR_VDE_CONSOLE', `${path}: the server closed the connection before its prompt${said}`);
    }
    client.banner = lines;
    return client;
  }

  get open(): boolean {
    return !this.ended;
  }

  /**
   * Sends one command when its turn has come, and waits for its answer. Rejects with ERR_VDE_CONSOLE when the server is
   * silent for too long or says too much; the connection has ended then.
   */
  ask(command: string): Promise<Answer> {
    return new Promise((done, fail) => {
      this.queue.push({ command: command.replace(/[\r\n]+/g, ' '), done, fail });
      if (this.current === null) this.next();
    });
  }

  /** Ends the connection; commands under way are answered with what came. */
  close(): void {
    this.socket.destroy();
  }

  private sink(): ConsoleSink {
    const keep = (line: string): void => this.keep(line);
    return {
      text: keep,
      data: keep,
      status: (code, text) => {
        this.status = { code, text };
      },
      event: (line) => this.options.onEvent?.(line),
      prompt: (name) => {
        this.name = name;
        this.settle(true);
      },
      goodbye: () => {},
    };
  }

  private keep(line: string): void {
    if (this.current === null) {
      // Nobody asked: a server that talks unasked is heard like one that tells events.
      if (line !== '') this.options.onEvent?.(line);
      return;
    }
    this.size += line.length + 1;
    if (this.size > MAX_ANSWER) this.giveUp(`the answer has more than ${MAX_ANSWER} characters`);
    else this.lines.push(line);
  }

  /** Starts the next command; the first one is the wait for the first prompt and sends nothing. */
  private next(): void {
    const pending = this.queue.shift() ?? null;
    this.current = pending;
    if (pending === null) return;
    if (this.ended) {
      this.settle(false);
      return;
    }
    this.startTimer();
    if (this.name !== '') this.socket.write(`${pending.command}\n`);
  }

  private settle(open: boolean): void {
    clearTimeout(this.timer);
    const pending = this.current;
    if (pending === null) return;
    const answer: Answer = { lines: this.lines, status: this.status, open };
    this.current = null;
    this.lines = [];
    this.size = 0;
    this.status = null;
    pending.done(answer);
    this.next();
  }

  private finish(): void {
    this.ended = true;
    this.settle(false);
  }

  private startTimer(): void {
    clearTimeout(this.timer);
    const ms = this.options.timeoutMs ?? TIMEOUT_MS;
    this.timer = setTimeout(() => this.giveUp(`no answer within ${ms} ms`), ms);
  }

  private giveUp(why: string): void {
    const pending = this.current;
    this.current = null;
    clearTimeout(this.timer);
    this.lines = [];
    this.socket.destroy();
    const hint = this.name === '' ? '; is it the management socket of a VDE program? unixterm talks to any socket' : '';
    pending?.fail(new VdeError('ERR_VDE_CONSOLE', `${this.path}: ${why}${hint}`));
  }
}

/** Command paths that a console's `help` names, in its order. */
export function commandsOfHelp(lines: readonly string[]): string[] {
  const found: string[] = [];
  for (const line of lines) {
    const [word = '', second = ''] = line.trim().split(/\s+/);
    const path = word.replace(/:$/, '');
    if (/^[a-z][\w/-]*$/.test(path) && !/^=+$/.test(second) && !found.includes(path)) found.push(path);
  }
  return found;
}

/**
 * What the beginning of a path may become, menu by menu: `po` gives `port/`, `port/p` gives `port/print`.
 *
 * @param start  the word before the cursor
 */
export function completions(paths: readonly string[], start: string): string[] {
  const found = new Set<string>();
  for (const path of paths) {
    if (!path.startsWith(start)) continue;
    const slash = path.indexOf('/', start.length);
    found.add(slash < 0 ? path : path.slice(0, slash + 1));
  }
  return [...found];
}
