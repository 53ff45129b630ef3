// vdeterm's and unixterm's options. The originals have none.

import { COMMON_EXIT_STATUS, type CommandSpec } from './options.ts';
import { helpOptions } from './shared-options.ts';

export const VDETERM: CommandSpec = {
  name: 'vdeterm',
  summary: 'terminal for the management consoles of VDE programs',
  usage: ['[OPTION]... SOCKET'],
  description: [
    'Talks to the management console of vde_switch, slirpvde, wirefilter or another VDE program: line editing, history, ' +
      'completion of commands by the tab key. Events are printed above the line that is being edited.',
    'Completion asks the program for its `help` the first time. Ctrl-C clears the line, and ends vdeterm on an empty one; ' +
      'Ctrl-D ends it too. When standard input is not a terminal, its lines are carried out one by one, data is written ' +
      'to standard output and refusals to standard error, and the end of the input ends vdeterm when the last answer has ' +
      'come.',
  ],
  positionals: [{ name: 'SOCKET', help: 'management socket of the program, what it was given with -M' }],
  options: [
    {
      key: 'history',
      short: [],
      long: ['history'],
      added: true,
      argument: { kind: 'required', name: 'FILE' },
      group: 'Terminal',
      help: 'keep the history of commands in this file',
      details: 'The newest 500 lines; the file is made with mode 0600.',
      defaultText: 'the history ends with vdeterm',
    },
    ...helpOptions('V'),
  ],
  exitStatus: [
    { status: 0, what: 'the session ended as it was asked to' },
    { status: 1, what: 'no connection, no console at the other end, or the program ended the session' },
    { status: 2, what: 'the command line makes no sense' },
    { status: 3, what: 'input that was not a terminal held a command that was refused' },
    COMMON_EXIT_STATUS.at(-1)!,
  ],
  examples: [
    { command: 'vdeterm /tmp/vde.mgmt', what: 'a session with the switch that was started with -M /tmp/vde.mgmt' },
    { command: "printf 'vlan/create 5\\nvlan/print\\n' | vdeterm /tmp/vde.mgmt", what: 'a script' },
  ],
  files: [],
  seeAlso: ['unixterm(1)', 'unixcmd(1)', 'vde_switch(1)'],
};

export const UNIXTERM: CommandSpec = {
  name: 'unixterm',
  summary: 'bare terminal for Unix stream sockets',
  usage: ['SOCKET'],
  description: [
    'Copies standard input to a Unix stream socket and what comes from the socket to standard output, byte by byte. For ' +
      'the consoles of VDE programs vdeterm is more comfortable.',
    'At the end of standard input the sending direction is closed, and unixterm ends when the program has closed the ' +
      'connection or was silent for two seconds.',
  ],
  positionals: [{ name: 'SOCKET', help: 'the socket' }],
  options: helpOptions('V'),
  exitStatus: [
    { status: 0, what: 'one of both ends closed the connection in order' },
    { status: 1, what: 'no connection, or it broke' },
    ...COMMON_EXIT_STATUS,
  ],
  examples: [{ command: 'unixterm /tmp/vde.mgmt', what: 'a session with the console at /tmp/vde.mgmt' }],
  files: [],
  seeAlso: ['vdeterm(1)', 'unixcmd(1)'],
};
