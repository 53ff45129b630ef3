// vde_autolink's options: the original's, and ours for times and messages.

import { COMMON_EXIT_STATUS, type CommandSpec } from './options.ts';
import { CONSOLE_OPTIONS, helpOptions, PROCESS_OPTIONS } from './shared-options.ts';

export const VDE_AUTOLINK: CommandSpec = {
  name: 'vde_autolink',
  summary: 'keep links between VDE switches alive',
  usage: ['[OPTION]... -s DIR -S SOCKET'],
  description: [
    'Runs commands that join a port of a switch to other switches, looks whether frames come, and starts the next command ' +
      'when one has ended or is silent. Links are described at the console (--mgmt) or in a file (--rcfile).',
    'A type of wire is a command: `addwire SSH dpipe vde_plug $mysock[$myport] = ssh $remotehost vde_plug`. It is run ' +
      'without a shell. A link has a port of the switch, hosts, and types of wires: `addlink L hostA hostB`, `addtypelink L ' +
      'SSH`, `linkonoff L 1`. Each host is tried with each type in turn; when all have failed there is a pause.',
    'When FSTP runs on the switch a link is up as long as BPDUs come from the other side; otherwise as long as its port ' +
      'has an endpoint.',
  ],
  positionals: [],
  options: [
    {
      key: 'sock',
      short: ['s'],
      long: ['sock'],
      argument: { kind: 'required', name: 'DIR' },
      group: 'Switch',
      help: 'control directory of the switch; needed',
    },
    {
      key: 'switchmgmt',
      short: ['S'],
      long: ['switchmgmt'],
      argument: { kind: 'required', name: 'SOCKET' },
      group: 'Switch',
      help: 'management socket of the switch; needed',
    },
    {
      key: 'rcfile',
      short: ['f'],
      long: ['rcfile'],
      argument: { kind: 'required', name: 'FILE' },
      group: 'Links',
      help: 'carry out the commands of this file at the start',
      details: 'A line that fails is told and the others are carried out.',
      defaultText: '~/.vde_autolinkrc or /etc/vde2/vde_autolink.rc, if there is one',
    },
    {
      key: 'check',
      short: [],
      long: ['check'],
      added: true,
      argument: { kind: 'required', name: 'SECONDS' },
      group: 'Links',
      help: 'time between looks at a link',
      defaultText: '30',
    },
    {
      key: 'retry',
      short: [],
      long: ['retry'],
      added: true,
      argument: { kind: 'required', name: 'SECONDS' },
      group: 'Links',
      help: 'pause when every way has failed; twice that from the second time on',
      defaultText: '60',
    },
    ...CONSOLE_OPTIONS,
    ...PROCESS_OPTIONS,
    ...helpOptions('V'),
  ],
  exitStatus: [
    { status: 0, what: 'ended by a signal or by `shutdown`' },
    { status: 1, what: 'the switch or a socket could not be used; the reason is on standard error' },
    ...COMMON_EXIT_STATUS,
  ],
  examples: [
    {
      command: 'vde_autolink -s /tmp/vde.ctl -S /tmp/vde.mgmt -M /tmp/autolink.mgmt',
      what: 'keep links of the switch at /tmp/vde.ctl, to be described at the console',
    },
  ],
  files: [
    { path: '~/.vde_autolinkrc', what: 'commands at the start' },
    { path: '/etc/vde2/vde_autolink.rc', what: 'the same, where the user has no file' },
  ],
  seeAlso: ['vde_switch(1)', 'vde_plug(1)', 'dpipe(1)', 'vdeterm(1)'],
};
