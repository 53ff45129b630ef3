// Options that several commands have, said once.

import type { OptionSpec } from './options.ts';

export const PROCESS = 'Process';
export const HELP = 'Help';

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
  group: 'Switch',
  help: 'join the switch again when it has gone and come back',
  details: 'Tried for ever, every 5 seconds at least. Without it the command ends with the switch, with status 0.',
};

export const HELP_OPTIONS: readonly OptionSpec[] = [
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
    short: ['v'],
    long: ['version'],
    added: true,
    argument: { kind: 'none' },
    immediate: true,
    group: HELP,
    help: 'print the version',
  },
];
