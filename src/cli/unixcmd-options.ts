// unixcmd's options: the original's, and --timeout.

import type { CommandSpec } from './options.ts';

export const UNIXCMD: CommandSpec = {
  name: 'unixcmd',
  summary: 'one command to the management console of a VDE program',
  usage: ['[OPTION]... COMMAND [ARGUMENT]...'],
  description: [
    'Sends one command to the console of vde_switch, slirpvde, wirefilter or another VDE program, prints the data of the ' +
      'answer, and ends with the status of the answer, so that scripts can tell success from failure.',
    'With --rcfile the dialogue is what a state machine in a file says, as in `/etc/vde2/vdecmd`; without it unixcmd ' +
      'knows the dialogue itself and needs no file.',
  ],
  positionals: [
    { name: 'COMMAND', help: 'the command, for example port/print' },
    { name: 'ARGUMENT', help: 'its arguments', rest: true },
  ],
  options: [
    {
      key: 'sock',
      short: ['s'],
      long: ['sock'],
      argument: { kind: 'required', name: 'SOCKET' },
      group: 'Console',
      help: 'management socket of the program',
      defaultText: '/var/run/unixcmd',
    },
    {
      key: 'rcfile',
      short: ['f'],
      long: ['rcfile'],
      argument: { kind: 'required', name: 'FILE' },
      group: 'Console',
      help: 'state machine of the dialogue',
      details:
        'Words: IN THROW SEND SHIFT IF IFARG GOTO COPY SKIP EXIT EXITRV EXITATOI RVATOI OUTTAG OUTSHIFT, and TIMEOUT. A ' +
        'file that makes no sense is refused with the number of the line.',
      defaultText: 'none, the dialogue is built in',
    },
    {
      key: 'timeout',
      short: [],
      long: ['timeout'],
      added: true,
      argument: { kind: 'required', name: 'MS' },
      group: 'Console',
      help: 'silence of the program after which it is given up, milliseconds',
      details: 'Without --rcfile only; a state machine has its TIMEOUT.',
      defaultText: '10000',
    },
    {
      key: 'verbose',
      short: ['v'],
      long: ['verbose'],
      argument: { kind: 'none' },
      group: 'Console',
      help: 'tell each step of the dialogue on standard error',
    },
    {
      key: 'help',
      short: ['h'],
      long: ['help'],
      added: true,
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
  ],
  exitStatus: [
    { status: 0, what: 'the command succeeded, or the program gives no statuses' },
    {
      status: 1,
      what: 'up to 254: the errno of the status that the program answered; with --rcfile what the file says',
    },
    { status: 255, what: 'no connection, no answer, or the command line makes no sense' },
  ],
  examples: [
    { command: 'unixcmd -s /tmp/vde.mgmt port/print 3', what: 'print port 3 of a switch' },
    { command: 'unixcmd -s /tmp/vde.mgmt -f /etc/vde2/vdecmd showinfo', what: 'the same dialogue from a file' },
  ],
  files: [{ path: '/etc/vde2/vdecmd', what: "Debian's state machine for the consoles of VDE programs (--rcfile)" }],
  seeAlso: ['vdeterm(1)', 'unixterm(1)', 'vde_switch(1)'],
};
