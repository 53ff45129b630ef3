// dpipe's options: those of plug4, and ours.

import type { CommandSpec } from './options.ts';
import { COMMON_EXIT_STATUS } from './options.ts';
import { DAEMON, helpOptions, PROCESS, pidfileOption } from './shared-options.ts';

export const DPIPE: CommandSpec = {
  name: 'dpipe',
  summary: 'pipes commands both ways',
  usage: ['[OPTION]... COMMAND [ARGUMENT]... = COMMAND... [= COMMAND...]...'],
  description: [
    'Runs commands side by side, each joined to the next by two pipes: what one writes to its standard output the other ' +
      'reads as its standard input, and the other way round.',
    'With more than two, a command in the middle has its left neighbour on standard input and output and its right one on ' +
      'two more descriptors, whose numbers are in ALTERNATE_STDIN and ALTERNATE_STDOUT.',
    'A command between `=}` and `}=` stands in the stream from left to right only, one between `={` and `{=` in the stream ' +
      'from right to left only: `a =} b }={ c {= d` is a to b to d, and d to c to a. Where both ends meet they are one ' +
      'word: `}={`.',
  ],
  positionals: [{ name: 'COMMAND', help: 'commands, their arguments, and the words between them', rest: true }],
  options: [
    DAEMON,
    pidfileOption('p'),
    {
      key: 'pgrpfile',
      short: ['P'],
      long: ['pgrpfile'],
      argument: { kind: 'required', name: 'FILE' },
      group: PROCESS,
      help: 'write the process group of dpipe and all commands to FILE, as a negative number; remove it at the end',
      details: 'dpipe makes a group of its own then: `kill -- $(cat FILE)` ends everything.',
    },
    {
      key: 'nowrapproc',
      short: ['n'],
      long: ['nowrapproc'],
      argument: { kind: 'none' },
      group: PROCESS,
      help: 'let --pidfile name the last command instead of dpipe',
      details:
        'The original then has no process of its own; here it stays, to pass on signals and collect the commands.',
    },
    {
      key: 'nowrapnoclean',
      short: ['N'],
      long: ['nowrapnoclean'],
      argument: { kind: 'none' },
      group: PROCESS,
      help: 'the same, and leave the files of --pidfile and --pgrpfile',
    },
    ...helpOptions('v'),
  ],
  exitStatus: [
    { status: 0, what: 'all commands have ended, the last one with this status; with -d: they run' },
    { status: 1, what: 'that of the last command, whatever it is; 128 and the signal if one has ended it' },
    { status: 126, what: 'a command may not be run' },
    { status: 127, what: 'there is no such command' },
    ...COMMON_EXIT_STATUS,
  ],
  examples: [
    { command: 'dpipe vde_plug /tmp/one.ctl = vde_plug /tmp/two.ctl', what: 'A cable between two switches.' },
    { command: 'dpipe vde_plug = ssh HOST vde_plug', what: 'A cable to the switch of another host.' },
    {
      command: 'dpipe vde_plug /tmp/one.ctl = wirefilter -M /tmp/wf = vde_plug /tmp/two.ctl',
      what: 'The first cable with a wire that can be disturbed.',
    },
  ],
  files: [],
  seeAlso: ['vde_plug(1)', 'wirefilter(1)', 'slirpvde(1)'],
};
