// The management console of the VDE tools: a line protocol on a stream, commands from a table.
//
//   server                                     client
//   BANNER \n                          -->
//   \nNAME$_                           -->
//                                      <--     COMMAND [ARGUMENTS] \n
//   0000 DATA END WITH '.'\n           -->           (only commands with data)
//   lines of data, `.\n`               -->
//   1000 Success\n  or  1EEE TEXT\n    -->           (EEE: errno in decimal)
//   \nNAME$_                           -->
//   3TTT CATEGORY TEXT\n               -->           (at any moment; TTT: tag of the category in octal)
//   9999 END OF SESSION                -->           (logout, shutdown; the connection is closed)
//
// Empty lines and lines that begin with `#` get the prompt only. The classic server takes what one read gives for one
// command. Here lines are put together from whatever pieces they arrive in, several may come at once, and a line of data
// that would be `.` is indented: the block cannot end early. But Debian's vdeterm ends no line: so input that is followed
// by nothing for `lineEndMs` counts as a line too. It also wants an answer and the prompt behind it in one piece, so each
// goes out in one write.
//
// A command is the whole first word of a line. In a console that stands in for vde_switch's it is what vde_switch takes
// for it (`prefixCommands`): else the first of the table whose path the line begins with, `port/print1` is `port/print 1`.
//
// Beside the clients of its socket a console serves sessions that others bring: standard input (terminal.ts), scripts
// (script.ts).
//
// Whoever may open the socket has control of everything; what it cannot do is to fill our memory: a line has MAX_LINE
// bytes (a longer one is skipped and answered by an error), input waits while a command is carried out, a client that
// does not read what it asked for (MAX_QUEUED bytes) is cut off, and there are MAX_CLIENTS of them.
//
// A menu is an entry without `run`; help, the `debug` menu and the reference of the console come from the table.

import { createServer, type Server, type Socket } from 'node:net';
import { printable } from './columns.ts';
import { data, failure, failureOf, type Reply, SUCCESS, statusLine } from './replies.ts';
import { loadScript } from './script.ts';

export const MAX_LINE = 4096;
export const MAX_CLIENTS = 16;
export const MAX_QUEUED = 1 << 20;

const LINE_END_MS = 100;
const NEWLINE = 0x0a;

/** One line of the table: a command, or (without `run`) the heading of a menu. */
export interface ConsoleEntry {
  /** `showinfo`, `flow/list`; of a menu `flow`. */
  readonly path: string;
  /** Arguments as help shows them, '' for none. */
  readonly syntax?: string;
  /** A few words for help; menus in capitals. */
  readonly help: string;
  /** More for the reference. */
  readonly details?: string;
  /** Not of the original: help shows these behind the others, under a heading of their own. */
  readonly added?: true;
  /** Carries the command out. `words` are the arguments, `text` the same unsplit. What it throws becomes an error. */
  readonly run?: (words: readonly string[], text: string) => Reply | Promise<Reply>;
}

/** Where commands come from and answers go to. */
export interface ConsoleSession {
  /** Paths of the event categories that are printed to this session. */
  readonly follows: Set<string>;
  /** Prints an event, or what a command says before its answer; whole lines. */
  print(text: string): void;
  /** Ends the session with `text` as its last words; default those of vde_switch. */
  end(text?: string): void;
}

/** Commands and events that come and go while the console runs. */
export interface ConsoleExtension {
  readonly entries: readonly ConsoleEntry[];
  readonly events: readonly EventCategory[];
}

/** A kind of event that a client may follow. */
export interface EventCategory {
  readonly path: string;
  /** Three octal digits on the wire. */
  readonly tag: number;
  readonly help: string;
}

export interface ConsoleOptions {
  /** Lines at the start of each session. */
  readonly banner: readonly string[];
  /** Printed with `$ ` behind it. */
  readonly prompt: string;
  /** Commands in the order of help; the console's own are put around them unless they are among them (`ownEntries`). */
  readonly entries: readonly ConsoleEntry[];
  /** A command is what the line begins with, as in vde_switch; else its whole first word. */
  readonly prefixCommands?: boolean;
  readonly events: readonly EventCategory[];
  /** A dialect of its own: carries out all lines, instead of the table. Null when it has ended the session. */
  readonly dialect?: (line: string, session: ConsoleSession) => Reply | null;
  /** The command `shutdown`. */
  readonly shutdown: () => void;
  /** Silence after which what has come is a line, milliseconds; default 100. */
  readonly lineEndMs?: number;
  /** A defect: a command threw something that is no error of the user. */
  readonly report: (text: string) => void;
}

/** The commands that every console has, for its table and for the reference. */
const OWN: readonly ConsoleEntry[] = [
  { path: 'help', syntax: '[arg]', help: 'Help (limited to arg when specified)' },
  { path: 'logout', help: 'logout from this mgmt terminal' },
  { path: 'shutdown', help: 'end the program' },
];

/** For a table that has it: commands from a file (script.ts). */
export const LOAD: ConsoleEntry = {
  path: 'load',
  syntax: 'path',
  help: 'load a configuration script',
  details: 'Lines are shown with their answers; a failing one does not stop the script.',
};

export const DEBUG: readonly ConsoleEntry[] = [
  { path: 'debug', help: 'DEBUG MENU' },
  { path: 'debug/list', help: 'list debug categories', details: 'Those whose path begins with the argument.' },
  {
    path: 'debug/add',
    syntax: 'dbgpath',
    help: 'enable debug info for a given category',
    details: 'Events of the categories whose path begins so are printed to this client as they happen.',
  },
  { path: 'debug/del', syntax: 'dbgpath', help: 'disable debug info for a given category' },
];

/** Carried out by the console itself wherever they are in its table. */
const OWN_PATHS = new Set([...OWN, LOAD, ...DEBUG.slice(1)].map(({ path }) => path));

/** The whole table of a console, in the order of help. */
export const consoleTable = (entries: readonly ConsoleEntry[]): readonly ConsoleEntry[] =>
  entries.some(({ path }) => path === 'help') ? entries : [...OWN, ...entries, ...DEBUG];

const isMenuOf = (table: readonly ConsoleEntry[], { path }: ConsoleEntry): boolean =>
  table.some((other) => other.path.startsWith(`${path}/`));

/** `help`: all entries whose path begins with `prefix`, under their heading; those that were added behind the others. */
export function helpLines(table: readonly ConsoleEntry[], prefix: string): string[] {
  const row = (path: string, syntax: string, help: string): string => `${path.padEnd(18)} ${syntax.padEnd(15)} ${help}`;
  const shown = table.filter((entry) => entry.path.startsWith(prefix));
  const rows = (added: boolean): string[] =>
    shown
      .filter((entry) => (entry.added ?? false) === added)
      .map((entry) => row(entry.path, isMenuOf(table, entry) ? '============' : (entry.syntax ?? ''), entry.help));
  const added = rows(true);
  return [
    row('COMMAND PATH', 'SYNTAX', 'HELP'),
    row('------------', '--------------', '------------'),
    ...rows(false),
    ...(added.length === 0 ? [] : [row('------------', '--------------', 'ADDED BY VDENET'), ...added]),
  ];
}

export class Console {
  private readonly options: ConsoleOptions;
  private table: readonly ConsoleEntry[] = [];
  private events: readonly EventCategory[] = [];
  private readonly extensions = new Set<ConsoleExtension>();
  /** Clients of the socket, and sessions that others brought. */
  private readonly clientSessions = new Set<Session>();
  private readonly sessions = new Set<ConsoleSession>();
  private server: Server | null = null;

  constructor(options: ConsoleOptions) {
    this.options = options;
    this.arrange();
  }

  /** Adds commands and events behind those there are. */
  extend(extension: ConsoleExtension): void {
    this.extensions.add(extension);
    this.arrange();
  }

  /** Takes them away again. */
  retract(extension: ConsoleExtension): void {
    this.extensions.delete(extension);
    for (const { path } of extension.events) for (const session of this.sessions) session.follows.delete(path);
    this.arrange();
  }

  private arrange(): void {
    const { entries, events } = this.options;
    this.table = [...consoleTable(entries), ...[...this.extensions].flatMap((each) => each.entries)];
    this.events = [...events, ...[...this.extensions].flatMap((each) => each.events)];
  }

  /** Serves clients on a bound Unix stream socket, which is closed by `close`. */
  async listen(fd: number): Promise<void> {
    const server = createServer((socket) => this.accept(socket));
    this.server = server;
    await new Promise<void>((done, fail) => {
      server.once('error', fail);
      server.listen({ fd, backlog: MAX_CLIENTS }, () => {
        // From now on an error is an accept that failed (EMFILE): that client is lost, the console goes on.
        server.off('error', fail).on('error', () => {});
        done();
      });
    });
  }

  get clients(): number {
    return this.clientSessions.size;
  }

  /** The word of the prompt. */
  get name(): string {
    return this.options.prompt;
  }

  /** Words that may stand where the last word of `line` is begun, and that beginning; for completion at a terminal. */
  complete(line: string): [words: string[], begun: string] {
    const [, command = '', begun = ''] = /^\s*(?:(\S+)\s+)?(\S*)$/.exec(line) ?? [];
    const words: readonly { readonly path: string }[] =
      command === ''
        ? this.commands
        : command === 'help'
          ? this.table
          : command.startsWith('debug/')
            ? this.events
            : [];
    return [words.map(({ path }) => path).filter((path) => path.startsWith(begun)), begun];
  }

  private get commands(): readonly ConsoleEntry[] {
    return this.table.filter((entry) => !isMenuOf(this.table, entry));
  }

  /** Has events told to a session that is not a client of the socket; the function that ends that. */
  join(session: ConsoleSession): () => void {
    this.sessions.add(session);
    return () => this.sessions.delete(session);
  }

  /** Whether anybody follows a category: read it before building a costly text. */
  followed(category: EventCategory): boolean {
    for (const session of this.sessions) if (session.follows.has(category.path)) return true;
    return false;
  }

  /** Tells an event to the clients that follow its category. */
  event(category: EventCategory, text: string): void {
    if (this.sessions.size === 0) return;
    let line = '';
    for (const session of this.sessions) {
      if (!session.follows.has(category.path)) continue;
      line ||= `3${category.tag.toString(8).padStart(3, '0')} ${category.path} ${printable(text)}\n`;
      session.print(line);
    }
  }

  /** Prints a line as it is to the clients that follow a category. */
  tell(path: string, line: string): void {
    for (const session of this.sessions) if (session.follows.has(path)) session.print(`${printable(line)}\n`);
  }

  /** Ends all sessions and stops listening; safe to call twice. */
  close(): Promise<void> {
    const { server } = this;
    this.server = null;
    for (const session of this.clientSessions) session.end();
    return server === null ? Promise.resolve() : new Promise((done) => server.close(() => done()));
  }

  private accept(socket: Socket): void {
    socket.on('error', () => {}); // 'close' follows
    if (this.clientSessions.size >= MAX_CLIENTS) {
      socket.end(`${this.options.prompt}: no more than ${MAX_CLIENTS} management clients\n`);
      socket.destroySoon();
      return;
    }
    const session: Session = new Session(socket, this.options, (line) => this.answer(session, line));
    const leave = this.join(session);
    this.clientSessions.add(session);
    socket.once('close', () => {
      leave();
      this.clientSessions.delete(session);
    });
    session.begin();
  }

  /** Carries out one line: what is printed before the next prompt; null when the session has ended. */
  async answer(session: ConsoleSession, line: string, depth = 0): Promise<string | null> {
    if (line.length > MAX_LINE) return answerText(failure('EMSGSIZE'));
    const reply = isBlank(line) ? undefined : await this.execute(session, line, depth);
    return reply === undefined ? '' : reply === null ? null : answerText(reply);
  }

  /** The command that a line names, and its arguments. */
  private find(line: string): { path: string; run: ConsoleEntry['run']; text: string } {
    const trimmed = line.trim();
    const first = /^\S*/.exec(trimmed)![0];
    const commands = this.table.filter(({ path, run }) => run !== undefined || OWN_PATHS.has(path));
    const entry =
      commands.find(({ path }) => path === first) ??
      (this.options.prefixCommands ? commands.find(({ path }) => trimmed.startsWith(path)) : undefined);
    const path = entry?.path ?? '';
    return { path, run: entry?.run, text: trimmed.slice(path.length).trim() };
  }

  /** Carries out one line that is not blank; null: the session has ended. */
  private async execute(session: ConsoleSession, line: string, depth: number): Promise<Reply | null> {
    if (this.options.dialect !== undefined) return this.options.dialect(line, session);
    const { path, run, text } = this.find(line);
    switch (path) {
      case 'help':
        return data(helpLines(this.table, text));
      case 'logout':
        session.end();
        return null;
      case 'shutdown':
        session.end();
        this.options.shutdown();
        return null;
      case 'debug/list':
        return this.listEvents(session, text);
      case 'debug/add':
        return this.follow(session, text, true);
      case 'debug/del':
        return this.follow(session, text, false);
      case 'load':
        return await loadScript(this, session, text, depth);
    }
    if (run === undefined) return failure('ENOSYS');
    try {
      return await run(text === '' ? [] : text.split(/\s+/), text);
    } catch (error) {
      const reply = failureOf(error, 'EINVAL');
      if (!(error instanceof Error) || error.name !== 'VdeError')
        this.options.report(`console: ${path}: ${reply.detail}`);
      return reply;
    }
  }

  private listEvents(session: ConsoleSession, prefix: string): Reply {
    const row = (path: string, tag: string, status: string, help: string): string =>
      `${path.padEnd(22)} ${tag} ${status.padEnd(6)} ${help}`;
    const found = this.events.filter((each) => each.path.startsWith(prefix));
    const lines = [
      row('CATEGORY', 'TAG', 'STATUS', 'HELP'),
      row('------------', '---', '------', '----'),
      ...found.map(({ path, tag, help }) =>
        row(path, tag.toString(8).padStart(3, '0'), session.follows.has(path) ? 'ON' : 'OFF', help),
      ),
    ];
    return found.length > 0 ? data(lines) : { ...failure('ENOENT'), data: lines };
  }

  private follow(session: ConsoleSession, prefix: string, on: boolean): Reply {
    const found = this.events.filter((each) => each.path.startsWith(prefix));
    if (found.length === 0) return failure('EINVAL');
    const changed = found.filter((each) => session.follows.has(each.path) !== on);
    if (changed.length === 0) return failure(on ? 'EEXIST' : 'ENOENT');
    for (const { path } of changed) {
      if (on) session.follows.add(path);
      else session.follows.delete(path);
    }
    return SUCCESS;
  }
}

/** One client. */
class Session implements ConsoleSession {
  readonly follows = new Set<string>();
  private readonly socket: Socket;
  private readonly options: ConsoleOptions;
  private readonly execute: (line: string) => Promise<string | null>;
  /** Input that is no whole line yet, or that waits for the command under way. */
  private input: Buffer = Buffer.alloc(0);
  /** The line that is coming in is too long; it is skipped to its end. */
  private skipping = false;
  private busy = false;
  private ended = false;
  private silence: ReturnType<typeof setTimeout> | undefined;

  constructor(socket: Socket, options: ConsoleOptions, execute: (line: string) => Promise<string | null>) {
    this.socket = socket;
    this.options = options;
    this.execute = execute;
  }

  begin(): void {
    this.print(`${this.options.banner.join('\n')}\n${this.prompt}`);
    this.socket.once('close', () => clearTimeout(this.silence));
    // vdeterm sends `shutdown` without a line end and is gone.
    this.socket.once('end', () => this.silent(this.input));
    this.socket.on('data', (chunk) => {
      this.input = this.input.length === 0 ? chunk : Buffer.concat([this.input, chunk]);
      if (this.busy) this.socket.pause();
      else void this.work();
    });
  }

  print(text: string): void {
    if (this.ended) return;
    this.socket.write(text);
    if (this.socket.writableLength > MAX_QUEUED) {
      this.ended = true;
      this.socket.destroy();
    }
  }

  end(text = '9999 END OF SESSION'): void {
    this.print(text);
    this.ended = true;
    this.socket.destroySoon();
  }

  private get prompt(): string {
    return `\n${this.options.prompt}$ `;
  }

  /** Carries out the lines that are complete, one after the other. */
  private async work(): Promise<void> {
    clearTimeout(this.silence);
    this.busy = true;
    for (let line = this.nextLine(); line !== null && !this.ended; line = this.nextLine()) {
      const text = await this.execute(line);
      if (text === null) break;
      this.print(`${text}${this.prompt}`);
    }
    this.busy = false;
    if (this.ended) return;
    if (this.input.length > 0 && !this.skipping) {
      this.silence = setTimeout(() => this.silent(this.input), this.options.lineEndMs ?? LINE_END_MS);
    }
    this.socket.resume();
  }

  /** Nothing came for a while: what is there is a line, unless more has come that was not read yet. */
  private silent(input: Buffer): void {
    setImmediate(() => {
      if (this.input !== input || this.busy || this.ended || input.length === 0) return;
      this.input = Buffer.concat([input, Buffer.of(NEWLINE)]);
      void this.work();
    });
  }

  /** The next whole line without its end; one that is too long comes as MAX_LINE + 1 characters. */
  private nextLine(): string | null {
    for (;;) {
      const at = this.input.indexOf(NEWLINE);
      const tooLong = (at < 0 ? this.input.length : at) > MAX_LINE;
      if (at < 0) {
        if (!tooLong && !this.skipping) return null;
        this.input = Buffer.alloc(0);
        const first = !this.skipping;
        this.skipping = true;
        return first ? 'x'.repeat(MAX_LINE + 1) : null;
      }
      const line = this.input.subarray(0, at);
      this.input = this.input.subarray(at + 1);
      if (this.skipping) {
        this.skipping = false;
        continue;
      }
      return tooLong ? 'x'.repeat(MAX_LINE + 1) : line.toString('utf8').replace(/\r$/, '');
    }
  }
}

/** Lines that are no command: blanks and comments. */
export const isBlank = (line: string): boolean => /^\s*(#|$)/.test(line);

/** An answer as it goes over the wire, without the prompt behind it. */
export function answerText(reply: Reply): string {
  const lines = reply.data?.map((line) => (line === '.' ? ' .' : printable(line)));
  const block = lines === undefined ? '' : `0000 DATA END WITH '.'\n${lines.map((line) => `${line}\n`).join('')}.\n`;
  return `${block}${printable(statusLine(reply))}\n`;
}
