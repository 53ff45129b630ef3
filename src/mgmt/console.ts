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
// command. Here lines are put together from whatever pieces they arrive in, several may come at once, a command is its
// whole first word, and a line of data that would be `.` is indented: the block cannot end early. But Debian's vdeterm
// ends no line: so input that is followed by nothing for `lineEndMs` counts as a line too. It also wants an answer and the
// prompt behind it in one piece, so each goes out in one write.
//
// Whoever may open the socket has control of everything; what it cannot do is to fill our memory: a line has MAX_LINE
// bytes (a longer one is skipped and answered by an error), input waits while a command is carried out, a client that
// does not read what it asked for (MAX_QUEUED bytes) is cut off, and there are MAX_CLIENTS of them.
//
// A menu is an entry without `run`; help, the `debug` menu and the reference of the console come from the table.

import { createServer, type Server, type Socket } from 'node:net';
import { data, failure, failureOf, type Reply, SUCCESS, statusLine } from './replies.ts';

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
  /** Carries the command out. `words` are the arguments, `text` the same unsplit. What it throws becomes an error. */
  readonly run?: (words: readonly string[], text: string) => Reply | Promise<Reply>;
}

/** Where commands come from and answers go to. */
export interface ConsoleSession {
  /** Paths of the event categories that are printed to this session. */
  readonly follows: Set<string>;
  /** Prints whole lines between answers. */
  print(text: string): void;
  /** Ends the session with `text` as its last words; default those of vde_switch. */
  end(text?: string): void;
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
  /** Commands in the order of help; the console's own come first. */
  readonly entries: readonly ConsoleEntry[];
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

const DEBUG: readonly ConsoleEntry[] = [
  { path: 'debug', help: 'DEBUG MENU' },
  { path: 'debug/list', syntax: '[dbgpath]', help: 'list debug categories' },
  {
    path: 'debug/add',
    syntax: '[dbgpath]',
    help: 'enable debug info for a given category',
    details: 'Events of the categories whose path begins so are printed to this client as they happen.',
  },
  { path: 'debug/del', syntax: '[dbgpath]', help: 'disable debug info for a given category' },
];

/** The whole table of a console, in the order of help. */
export const consoleTable = (entries: readonly ConsoleEntry[]): readonly ConsoleEntry[] => [
  ...OWN,
  ...entries,
  ...DEBUG,
];

/** `help`: all entries whose path begins with `prefix`, under their heading. */
export function helpLines(table: readonly ConsoleEntry[], prefix: string): string[] {
  const isMenu = ({ path }: ConsoleEntry): boolean => table.some((other) => other.path.startsWith(`${path}/`));
  const row = (path: string, syntax: string, help: string): string => `${path.padEnd(18)} ${syntax.padEnd(15)} ${help}`;
  return [
    row('COMMAND PATH', 'SYNTAX', 'HELP'),
    row('------------', '--------------', '------------'),
    ...table
      .filter((entry) => entry.path.startsWith(prefix))
      .map((entry) => row(entry.path, isMenu(entry) ? '============' : (entry.syntax ?? ''), entry.help)),
  ];
}

export class Console {
  private readonly options: ConsoleOptions;
  private readonly table: readonly ConsoleEntry[];
  private readonly byPath: ReadonlyMap<string, ConsoleEntry>;
  private readonly sessions = new Set<Session>();
  private server: Server | null = null;

  constructor(options: ConsoleOptions) {
    this.options = options;
    this.table = consoleTable(options.entries);
    this.byPath = new Map(this.table.map((entry) => [entry.path, entry]));
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
    return this.sessions.size;
  }

  /** Tells an event to the clients that follow its category. */
  event(category: EventCategory, text: string): void {
    const line = `3${category.tag.toString(8).padStart(3, '0')} ${category.path} ${printable(text)}\n`;
    for (const session of this.sessions) if (session.follows.has(category.path)) session.write(line);
  }

  /** Prints a line as it is to the clients that follow a category. */
  tell(path: string, line: string): void {
    for (const session of this.sessions) if (session.follows.has(path)) session.print(`${printable(line)}\n`);
  }

  /** Ends all sessions and stops listening; safe to call twice. */
  close(): Promise<void> {
    const { server } = this;
    this.server = null;
    for (const session of this.sessions) session.end();
    return server === null ? Promise.resolve() : new Promise((done) => server.close(() => done()));
  }

  private accept(socket: Socket): void {
    socket.on('error', () => {}); // 'close' follows
    if (this.sessions.size >= MAX_CLIENTS) {
      socket.end(`${this.options.prompt}: no more than ${MAX_CLIENTS} management clients\n`);
      socket.destroySoon();
      return;
    }
    const session: Session = new Session(socket, this.options, (line) => this.execute(session, line));
    this.sessions.add(session);
    socket.once('close', () => this.sessions.delete(session));
    session.begin();
  }

  /** Carries out one line; null: the session has ended. */
  private async execute(session: Session, line: string): Promise<Reply | null> {
    if (this.options.dialect !== undefined) return this.options.dialect(line, session);
    const [path = '', ...words] = line.trim().split(/\s+/);
    const text = line.trim().slice(path.length).trim();
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
    }
    const run = this.byPath.get(path)?.run;
    if (run === undefined) return failure('ENOSYS');
    try {
      return await run(words, text);
    } catch (error) {
      const reply = failureOf(error, 'EINVAL');
      if (!(error instanceof Error) || error.name !== 'VdeError')
        this.options.report(`console: ${path}: ${reply.detail}`);
      return reply;
    }
  }

  private listEvents(session: Session, prefix: string): Reply {
    const row = (path: string, tag: string, status: string, help: string): string =>
      `${path.padEnd(22)} ${tag} ${status.padEnd(6)} ${help}`;
    const found = this.options.events.filter((each) => each.path.startsWith(prefix));
    const lines = [
      row('CATEGORY', 'TAG', 'STATUS', 'HELP'),
      row('------------', '---', '------', '----'),
      ...found.map(({ path, tag, help }) =>
        row(path, tag.toString(8).padStart(3, '0'), session.follows.has(path) ? 'ON' : 'OFF', help),
      ),
    ];
    return found.length > 0 ? data(lines) : { ...failure('ENOENT'), data: lines };
  }

  private follow(session: Session, prefix: string, on: boolean): Reply {
    const found = this.options.events.filter((each) => each.path.startsWith(prefix));
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
  /** Paths of the event categories that are printed to this client. */
  readonly follows = new Set<string>();
  private readonly socket: Socket;
  private readonly options: ConsoleOptions;
  private readonly execute: (line: string) => Promise<Reply | null>;
  /** Input that is no whole line yet, or that waits for the command under way. */
  private input: Buffer = Buffer.alloc(0);
  /** The line that is coming in is too long; it is skipped to its end. */
  private skipping = false;
  private busy = false;
  private ended = false;
  private silence: ReturnType<typeof setTimeout> | undefined;

  constructor(socket: Socket, options: ConsoleOptions, execute: (line: string) => Promise<Reply | null>) {
    this.socket = socket;
    this.options = options;
    this.execute = execute;
  }

  begin(): void {
    this.write(`${this.options.banner.join('\n')}\n${this.prompt}`);
    this.socket.once('close', () => clearTimeout(this.silence));
    // vdeterm sends `shutdown` without a line end and is gone.
    this.socket.once('end', () => this.silent(this.input));
    this.socket.on('data', (chunk) => {
      this.input = this.input.length === 0 ? chunk : Buffer.concat([this.input, chunk]);
      if (this.busy) this.socket.pause();
      else void this.work();
    });
  }

  write(text: string): void {
    if (this.ended) return;
    this.socket.write(text);
    if (this.socket.writableLength > MAX_QUEUED) {
      this.ended = true;
      this.socket.destroy();
    }
  }

  print(text: string): void {
    this.write(text);
  }

  end(text = '9999 END OF SESSION'): void {
    this.write(text);
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
      const blank = line === '' || /^\s*$|^#/.test(line);
      const reply = line.length > MAX_LINE ? failure('EMSGSIZE') : blank ? undefined : await this.execute(line);
      if (reply === null) break;
      this.write(`${reply === undefined ? '' : answer(reply)}${this.prompt}`);
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

/** An answer as it goes over the wire, without the prompt behind it. */
export function answer(reply: Reply): string {
  const lines = reply.data?.map((line) => (line === '.' ? ' .' : printable(line)));
  const block = lines === undefined ? '' : `0000 DATA END WITH '.'\n${lines.map((line) => `${line}\n`).join('')}.\n`;
  return `${block}${printable(statusLine(reply))}\n`;
}

/** One line of text without control characters, which names of guests and files may hold. */
const printable = (text: string): string =>
  text.replace(/[\x00-\x08\x0a-\x1f\x7f-\x9f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
