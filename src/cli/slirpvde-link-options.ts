// The options of slirpvde and slirpvde6 that concern the switch, and guests that come without one; slirpvde-link.ts.

import type { OptionSpec } from './options.ts';

const SWITCH = 'Switch';
const GUESTS = 'Guests without VDE';

export const SWITCH_OPTIONS: readonly OptionSpec[] = [
  {
    key: 'sock',
    short: ['s'],
    long: ['sock', 'socket', 'vdesock', 'unix'],
    argument: { kind: 'required', name: 'DIR' },
    group: SWITCH,
    help: 'control directory of the switch',
    details:
      'May also be given as the only argument without an option. `-` stands for frames on standard input and output, ' +
      'as vde_plug has them; it implies --quiet. A switch port may be named in brackets behind it: ' +
      '`/tmp/vde.ctl[7]`. Without it the places where switches usually are get tried in turn.',
    defaultText: '/var/run/vde.ctl or /tmp/vde.ctl',
  },
  {
    key: 'port',
    short: ['P'],
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
    help: 'group that may use the sockets made here',
  },
  {
    key: 'mode',
    short: ['m'],
    long: ['mode', 'mod'],
    argument: { kind: 'required', name: 'OCTAL' },
    group: SWITCH,
    help: 'permissions of the sockets made here',
    details: 'Octal, 0 to 777. Without -m and -g only the own user may connect.',
  },
  {
    key: 'noSwitch',
    short: [],
    long: ['no-switch'],
    added: true,
    argument: { kind: 'none' },
    group: SWITCH,
    help: 'only join a switch that runs, never become one',
  },
  {
    key: 'guard',
    short: [],
    long: ['guard'],
    added: true,
    argument: { kind: 'required', name: 'MODE' },
    group: SWITCH,
    help: 'where slirpvde is the switch: watch what guests say to each other: off, warn or enforce',
    details:
      '`warn` tells the log of false ARP and neighbor discovery and of DHCP servers and routers among the guests. ' +
      '`enforce` drops those, and packets from addresses that neither DHCP nor duplicate address detection gave.',
    defaultText: 'warn',
  },
];

export const GUEST_OPTIONS: readonly OptionSpec[] = [
  {
    key: 'qemuStream',
    short: [],
    long: ['qemu-stream'],
    added: true,
    argument: { kind: 'required', name: 'PATH' },
    repeatable: true,
    group: GUESTS,
    help: 'listen at PATH for guests of QEMU: -netdev stream,id=n0,addr.type=unix,addr.path=PATH',
    details:
      'Any number of guests, each a port of the embedded switch; --no-switch is refused. Needs no native addon: ' +
      'where that is missing, and without --sock, the VDE socket is left out.',
  },
  {
    key: 'qemuConnect',
    short: [],
    long: ['qemu-connect'],
    added: true,
    argument: { kind: 'required', name: 'PATH' },
    repeatable: true,
    group: GUESTS,
    help: 'the same with a QEMU that listens at PATH (server=on)',
    details: 'Tried again until it does, and when it has ended.',
  },
  {
    key: 'qemuDgram',
    short: [],
    long: ['qemu-dgram'],
    added: true,
    argument: { kind: 'required', name: 'LOCAL,REMOTE' },
    repeatable: true,
    group: GUESTS,
    help: 'a guest of QEMU on datagrams: LOCAL is made here, REMOTE by QEMU',
    details:
      'The other side is `-netdev dgram,id=n0,local.type=unix,local.path=REMOTE,remote.type=unix,remote.path=LOCAL`.',
  },
];
