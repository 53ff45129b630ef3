// vde_pcapplug's options: the classic ones, and ours.

import { COMMON_EXIT_STATUS, type CommandSpec } from './options.ts';
import { DAEMON, helpOptions, LOG, pidfileOption, portAccess, QUIET, SWITCH, VERBOSE } from './shared-options.ts';

const INTERFACE = 'Interface';

export const VDE_PCAPPLUG: CommandSpec = {
  name: 'vde_pcapplug',
  summary: 'a cable between a VDE switch and a network interface',
  usage: ['[OPTION]... INTERFACE'],
  description: [
    'Plugs a network interface of this machine into a switch: what comes in at the interface goes to the switch, and what ' +
      'the switch sends goes out by the interface. Frames for all stations are taken (promiscuous mode). Needs root or ' +
      'CAP_NET_RAW.',
    'The machine itself keeps using the interface as before: its own frames reach the switch too, but frames of the switch ' +
      'do not reach it, only what is connected to the interface.',
  ],
  positionals: [{ name: 'INTERFACE', help: 'name of the interface, for example eth0' }],
  options: [
    {
      key: 'sock',
      short: ['s'],
      long: ['sock'],
      argument: { kind: 'required', name: 'SWITCH' },
      group: SWITCH,
      help: 'the switch',
      details:
        'A control directory, a vde://, vxlan:// or vxvde:// address, or `-` for frames on standard input and output.',
      defaultText: '/var/run/vde.ctl or /tmp/vde.ctl',
    },
    ...portAccess('mod'),
    {
      key: 'noPromisc',
      short: [],
      long: ['no-promisc'],
      added: true,
      argument: { kind: 'none' },
      group: INTERFACE,
      help: 'take only what the interface takes by itself',
    },
    DAEMON,
    pidfileOption('P'),
    LOG,
    QUIET,
    VERBOSE,
    ...helpOptions(),
  ],
  exitStatus: [
    { status: 0, what: 'ended by a signal, or by the end of standard input; with -d: frames pass' },
    { status: 1, what: 'the switch could not be joined, or the interface not be used' },
    ...COMMON_EXIT_STATUS,
  ],
  examples: [{ command: 'vde_pcapplug -d -s /tmp/vde.ctl eth0', what: 'The network at eth0 and the switch are one.' }],
  files: [],
  seeAlso: ['vde_switch(1)', 'vde_plug2tap(1)', 'vde_plug(1)'],
};
