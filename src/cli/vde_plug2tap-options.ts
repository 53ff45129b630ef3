// vde_plug2tap's options: those of vde2, and ours.

import { COMMON_EXIT_STATUS, type CommandSpec } from './options.ts';
import { DAEMON, helpOptions, pidfileOption, portAccess, QUIET, RECONNECT, SWITCH, VERBOSE } from './shared-options.ts';

export const VDE_PLUG2TAP: CommandSpec = {
  name: 'vde_plug2tap',
  summary: 'plug of a VDE network into a TAP interface',
  usage: ['[OPTION]... TAP'],
  description: [
    'Joins a VDE network and the TAP interface TAP of this host, which is made when it is not there, and then goes again ' +
      'with the command. Addresses, and `ip link set TAP up`, are up to you.',
    'Needs the right to open the interface: root, CAP_NET_ADMIN, a user namespace (`unshare -rn`), or an interface that root ' +
      'has made for the user: `ip tuntap add TAP mode tap user USER`.',
  ],
  positionals: [{ name: 'TAP', help: 'name of the interface, at most 15 bytes' }],
  options: [
    {
      key: 'sock',
      short: ['s'],
      long: ['sock'],
      argument: { kind: 'required', name: 'URL' },
      group: SWITCH,
      help: 'control directory of the switch, or any other URL of vde_plug',
      details: '`-` stands for a plug stream on standard input and output.',
      defaultText: 'the default switch',
    },
    ...portAccess('mode'),
    RECONNECT,
    DAEMON,
    pidfileOption('P'),
    QUIET,
    VERBOSE,
    ...helpOptions('v'),
  ],
  exitStatus: [
    {
      status: 0,
      what: 'the switch, the stream or the interface has gone, or SIGTERM or SIGINT came; with -d: it runs',
    },
    { status: 1, what: 'the switch could not be joined, or the interface not be opened' },
    ...COMMON_EXIT_STATUS,
  ],
  examples: [
    { command: 'vde_plug2tap -s /tmp/vde.ctl tap0', what: 'tap0 becomes a station of the network.' },
    { command: 'vde_plug2tap -d -P /run/tap0.pid -s /tmp/vde.ctl tap0', what: 'The same in the background.' },
  ],
  files: [],
  seeAlso: ['vde_plug(1)', 'vde_switch(1)', 'ip-tuntap(8)'],
};
