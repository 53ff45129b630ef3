// Options that several commands have, said once.

import type { OptionSpec } from './options.ts';

export const PROCESS = 'Process';
export const SWITCH = 'Switch';
const HELP = 'Help';
export const CONSOLE = 'Management';

export const DAEMON: OptionSpec = {
  key: 'daemon',
  short: ['d'],
  long: ['daemon'],
  argument: { kind: 'none' },
  group: PROCESS,
  help: 'run in the background; returns when all is ready',
  details: 'When the start fails, the reason is on standard error and the exit status is not 0.',
};

/** @param letter  one-letter name: `p`, and `P` where `-p` is a port */
export const pidfileOption = (letter: 'p' | 'P'): OptionSpec => ({
  key: 'pidfile',
  short: [letter],
  long: ['pidfile'],
  argument: { kind: 'required', name: 'FILE' },
  group: PROCESS,
  help: 'write the process id to FILE, remove it at the end',
  details: 'A file left by a process that is gone is taken over; that of a running one ends the start.',
});

export const LOG: OptionSpec = {
  key: 'log',
  short: [],
  long: ['log'],
  added: true,
  argument: { kind: 'required', name: 'FILE' },
  group: PROCESS,
  help: 'append messages to FILE (mode 0600); without it those of --daemon go to syslog',
};

export const QUIET: OptionSpec = {
  key: 'quiet',
  short: ['q'],
  long: ['quiet'],
  added: true,
  argument: { kind: 'none' },
  group: PROCESS,
  help: 'print errors only',
};

export const VERBOSE: OptionSpec = {
  key: 'verbose',
  short: [],
  long: ['verbose'],
  added: true,
  argument: { kind: 'none' },
  group: PROCESS,
  help: 'print what happens in more detail',
};

export const RECONNECT: OptionSpec = {
  key: 'reconnect',
  short: [],
  long: ['reconnect'],
  added: true,
  argument: { kind: 'none' },
  group: SWITCH,
  help: 'join the switch again when it has gone and come back',
  details: 'Tried for ever, every 5 seconds at least. Without it the command ends with the switch, with status 0.',
};

/**
 * How a plug joins its switch.
 *
 * @param mode  long name of the permissions, which the originals call differently
 */
export const portAccess = (mode: 'mod' | 'mode'): readonly OptionSpec[] => [
  {
    key: 'port',
    short: ['p'],
    long: ['port'],
    argument: { kind: 'required', name: 'N' },
    group: SWITCH,
    help: 'port of the switch to take',
    defaultText: 'any free one',
  },
  {
    key: 'group',
    short: ['g'],
    long: ['group'],
    argument: { kind: 'required', name: 'GROUP' },
    group: SWITCH,
    help: 'group of the socket made for the switch',
  },
  {
    key: 'mode',
    short: ['m'],
    long: [mode],
    argument: { kind: 'required', name: 'OCTAL' },
    group: SWITCH,
    help: 'permissions of that socket',
    defaultText: '700',
  },
];

/** @param letter  one-letter name of --version where the command has that free */
export const helpOptions = (letter: 'v' | 'V' | null = null): readonly OptionSpec[] => [
  {
    key: 'help',
    short: ['h'],
    long: ['help'],
    argument: { kind: 'none' },
    immediate: true,
    group: HELP,
    help: 'print this text',
  },
  {
    key: 'version',
    short: letter === null ? [] : [letter],
    long: ['version'],
    added: true,
    argument: { kind: 'none' },
    immediate: true,
    group: HELP,
    help: 'print the version',
  },
];

/** Options of a command that stays, all of them, with their usual letters. */
export const PROCESS_OPTIONS: readonly OptionSpec[] = [DAEMON, pidfileOption('p'), LOG, QUIET, VERBOSE];

/** Options of a command that has a console; values.ts, `managementSocket`. */
export const CONSOLE_OPTIONS: readonly OptionSpec[] = [
  {
    key: 'mgmt',
    short: ['M'],
    long: ['mgmt'],
    argument: { kind: 'required', name: 'SOCK' },
    group: CONSOLE,
    help: 'serve the management console on a Unix socket',
    details:
      'For `vdeterm SOCK`, `unixterm SOCK`, `unixcmd -s SOCK COMMAND`, or `socat - SOCK`. `help` there lists the commands.',
  },
  {
    key: 'mgmtMode',
    short: [],
    long: ['mgmtmode'],
    argument: { kind: 'required', name: 'OCTAL' },
    group: CONSOLE,
    help: 'permissions of that socket',
    defaultText: '600',
  },
];

/** Where the socket of the console can have a group of its own. */
export const CONSOLE_GROUP: OptionSpec = {
  key: 'mgmtGroup',
  short: [],
  long: ['mgmtgroup'],
  argument: { kind: 'required', name: 'GROUP' },
  group: CONSOLE,
  help: 'group of that socket',
};

/** An option that the original command does not have. */
export const ours = (option: OptionSpec): OptionSpec => ({ ...option, added: true });

/** An option that the original command has too. */
export function originals({ added: _added, ...option }: OptionSpec): OptionSpec {
  return option;
}

/** Options whose letters mean something else to the command. */
export const withoutLetters = (options: readonly OptionSpec[]): OptionSpec[] =>
  options.map((option) => ({ ...option, short: [] }));
