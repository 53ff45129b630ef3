// Messages of a command: `slirpvde: ...` on standard error, and with --log in a file. In the background without --log they
// go to syslog (syslog.ts).
//
// Levels: `error` is always printed, `warn` and `info` unless --quiet, `debug` with --verbose. What guests or peers can
// cause again and again goes through `limited`: one line per key and 10 seconds, with the number of those left out.
// Writing never throws and never ends the process: a reader that has gone away, or a full disk, costs the message only.

import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { VdeError } from '../core/errors.ts';
import { printable } from './stdio.ts';

/** From the gravest on. */
export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface Log {
  /** True when `debug` lines are wanted: read it before building a costly text. */
  readonly verbose: boolean;
  /** Messages of this level and graver ones are written; may be changed. */
  level: LogLevel;
  /** The level of --quiet and --verbose. */
  setLevel(settings: LogSettings): void;
  /** Has finished lines go to one more place. */
  addSink(sink: LogSink): void;
  error(text: string): void;
  warn(text: string): void;
  info(text: string): void;
  debug(text: string): void;
  /** At most one line per `key` and 10 s. Keys are few and fixed (`dhcp-exhausted`), never text from a guest. */
  limited(level: LogLevel, key: string, text: string): void;
}

/** Where finished lines go (without newline). */
export type LogSink = (line: string, level: LogLevel) => void;

const RANK: Record<LogLevel, number> = { error: 0, warn: 1, info: 2, debug: 3 };
const LIMIT_MS = 10_000;
/** Keys that are kept apart; a program with more has made keys of something that is not fixed. */
const MAX_KEYS = 256;

export interface LogSettings {
  readonly quiet?: boolean;
  readonly verbose?: boolean;
}

const levelOf = ({ quiet, verbose }: LogSettings): LogLevel => (quiet ? 'error' : verbose ? 'debug' : 'info');

export interface LoggerOptions extends LogSettings {
  /** Name in front of every line. */
  readonly name: string;
  readonly sinks: readonly LogSink[];
  /** Monotonic milliseconds. */
  readonly now?: () => number;
}

export class Logger implements Log {
  level: LogLevel;
  private readonly name: string;
  private readonly now: () => number;
  private sinks: LogSink[];
  private readonly keys = new Map<string, { untilMs: number; left: number }>();

  constructor(options: LoggerOptions) {
    this.name = options.name;
    this.level = levelOf(options);
    this.now = options.now ?? (() => performance.now());
    this.sinks = [...options.sinks];
  }

  get verbose(): boolean {
    return this.level === 'debug';
  }

  setLevel(settings: LogSettings): void {
    this.level = levelOf(settings);
  }

  addSink(sink: LogSink): void {
    this.sinks.push(sink);
  }

  removeSink(sink: LogSink): void {
    this.sinks = this.sinks.filter((each) => each !== sink);
  }

  error(text: string): void {
    this.write('error', text);
  }

  warn(text: string): void {
    this.write('warn', text);
  }

  info(text: string): void {
    this.write('info', text);
  }

  debug(text: string): void {
    this.write('debug', text);
  }

  limited(level: LogLevel, key: string, text: string): void {
    if (RANK[level] > RANK[this.level]) return;
    const now = this.now();
    const entry = this.keys.get(key);
    if (entry !== undefined && now < entry.untilMs) {
      entry.left++;
      return;
    }
    if (entry === undefined && this.keys.size >= MAX_KEYS) this.keys.clear();
    this.keys.set(key, { untilMs: now + LIMIT_MS, left: 0 });
    this.write(
      level,
      entry !== undefined && entry.left > 0 ? `${text} (${entry.left} more since the last line)` : text,
    );
  }

  private write(level: LogLevel, text: string): void {
    if (RANK[level] > RANK[this.level]) return;
    for (const line of text.split('\n')) {
      const full = `${this.name}: ${printable(line)}`;
      for (const sink of this.sinks) sink(full, level);
    }
  }
}

/** Lines to standard error. Node ignores SIGPIPE; guardStdio (stdio.ts) takes the EPIPE. */
export const stderrSink: LogSink = (line) => {
  process.stderr.write(`${line}\n`);
};

/** An open --log file: a sink, and what ends it. */
export interface LogFile {
  readonly sink: (line: string) => void;
  /** Goes on in a new file when the old one was moved away. Throws ERR_VDE_SYSTEM, and then goes on in the old one. */
  reopen(): void;
  close(): void;
}

/**
 * Opens a log file for appending, mode 0600 when it is made; a symbolic link is not followed.
 *
 * @throws VdeError  ERR_VDE_SYSTEM
 */
export function openLogFile(path: string, wallClock: () => Date = () => new Date()): LogFile {
  let fd = openForAppend(path);
  let open = true;
  return {
    sink: (line) => {
      if (!open) return;
      try {
        writeSync(fd, `${wallClock().toISOString()} ${line}\n`);
      } catch {
        // The disk is full or the file system gone: the service matters more than its log.
      }
    },
    reopen: () => {
      if (!open) return;
      const fresh = openForAppend(path);
      closeSync(fd);
      fd = fresh;
    },
    close: () => {
      if (open) closeSync(fd);
      open = false;
    },
  };
}

function openForAppend(path: string): number {
  try {
    const flags =
      constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    return openSync(path, flags, 0o600);
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code;
    const why = reason === 'ELOOP' ? 'it is a symbolic link' : reason;
    throw new VdeError('ERR_VDE_SYSTEM', `cannot open the log file ${path}: ${why}`, { cause: error });
  }
}
