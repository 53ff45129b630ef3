// Options that several commands have in common, and how their values are read.

import { resolve } from 'node:path';
import type { OptionSpec } from './options.ts';
import type { ParsedCommand } from './parse.ts';
import type { ProcessOptions } from './run-service.ts';
import { UsageError } from './usage-error.ts';

const PROCESS = 'Process';
const CONSOLE = 'Management';

export const HELP_OPTIONS: readonly OptionSpec[] = [
  {
    key: 'help',
    short: ['h'],
    long: ['help'],
    argument: { kind: 'none' },
    immediate: true,
    group: 'Help',
    help: 'print this text and exit',
  },
  {
    key: 'version',
    short: ['V'],
    long: ['version'],
    added: true,
    argument: { kind: 'none' },
    immediate: true,
    group: 'Help',
    help: 'print the version and exit',
  },
];

/** Options of a command that stays. */
export const PROCESS_OPTIONS: readonly OptionSpec[] = [
  {
    key: 'daemon',
    short: ['d'],
    long: ['daemon'],
    argument: { kind: 'none' },
    group: PROCESS,
    help: 'go on in the background when ready',
    details: 'The command returns when the service is up, or with the reason why it is not.',
  },
  {
    key: 'pidfile',
    short: ['p'],
    long: ['pidfile'],
    argument: { kind: 'required', name: 'FILE' },
    group: PROCESS,
    help: 'write the process id to a file, removed at the end',
  },
  {
    key: 'log',
    short: [],
    long: ['log'],
    added: true,
    argument: { kind: 'required', name: 'FILE' },
    group: PROCESS,
    help: 'append messages to a file',
  },
  {
    key: 'quiet',
    short: ['q'],
    long: ['quiet'],
    added: true,
    argument: { kind: 'none' },
    group: PROCESS,
    help: 'print errors only',
  },
  {
    key: 'verbose',
    short: [],
    long: ['verbose'],
    added: true,
    argument: { kind: 'none' },
    group: PROCESS,
    help: 'print more about what happens',
  },
];

/** Options of a command that has a console. */
export const CONSOLE_OPTIONS: readonly OptionSpec[] = [
  {
    key: 'mgmt',
    short: ['M'],
    long: ['mgmt'],
    argument: { kind: 'required', name: 'SOCKET' },
    group: CONSOLE,
    help: 'serve a management console on this Unix socket',
    details: 'vdeterm, unixterm and unixcmd talk to it.',
  },
  {
    key: 'mgmtmode',
    short: [],
    long: ['mgmtmode'],
    argument: { kind: 'required', name: 'OCTAL' },
    group: CONSOLE,
    help: 'permissions of the management socket',
    defaultText: '0600',
  },
];

const textOf = (command: ParsedCommand, key: string): string | null => {
  const value = command.values.get(key);
  return typeof value === 'string' ? value : null;
};

/** The absolute path that an option names, or null. */
export function pathOf(command: ParsedCommand, key: string, cwd: string): string | null {
  const value = textOf(command, key);
  return value === null ? null : resolve(cwd, value);
}

/** The values of PROCESS_OPTIONS. Throws a UsageError. */
export function processOptions(command: ParsedCommand, cwd: string): ProcessOptions {
  const quiet = command.values.has('quiet');
  const verbose = command.values.has('verbose');
  if (quiet && verbose) throw new UsageError("'--quiet' and '--verbose' exclude each other");
  return {
    daemon: command.values.has('daemon'),
    pidfile: pathOf(command, 'pidfile', cwd),
    log: pathOf(command, 'log', cwd),
    quiet,
    verbose,
  };
}

export interface ConsoleSocket {
  readonly path: string;
  readonly mode: number;
}

/** The values of CONSOLE_OPTIONS; null without --mgmt. Throws a UsageError. */
export function consoleSocket(command: ParsedCommand, cwd: string): ConsoleSocket | null {
  const path = pathOf(command, 'mgmt', cwd);
  const mode = textOf(command, 'mgmtmode') ?? '0600';
  if (!/^0?[0-7]{1,3}$/.test(mode)) throw new UsageError(`option '--mgmtmode': '${mode}' is not a mode in octal`);
  if (path === null && command.values.has('mgmtmode')) throw new UsageError("'--mgmtmode' needs '--mgmt'");
  return path === null ? null : { path, mode: Number.parseInt(mode, 8) };
}
