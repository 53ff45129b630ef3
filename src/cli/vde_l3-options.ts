// vde_l3's options: the original's, and ours for the process.

import { COMMON_EXIT_STATUS, type CommandSpec, type OptionSpec } from './options.ts';
import { CONSOLE_OPTIONS, helpOptions, PROCESS_OPTIONS } from './shared-options.ts';

/** The original knows none of them. */
const added = (options: readonly OptionSpec[]): OptionSpec[] => options.map((option) => ({ ...option, added: true }));

export const VDE_L3: CommandSpec = {
  name: 'vde_l3',
  summary: 'IPv4 router between VDE networks',
  usage: ['[OPTION]... -v SWITCH:ADDRESS/MASK [-v ...]'],
  description: [
    'Joins several VDE switches and forwards IPv4 packets between them by static routes. Nothing is translated: stations need ' +
      'vde_l3 as their gateway, and the way back.',
    'An interface answers ARP and ping, and shapes what it sends when the console says so (tc). A switch that was restarted is ' +
      'joined again.',
  ],
  positionals: [],
  options: [
    {
      key: 'interface',
      short: ['v'],
      long: ['interface'],
      added: ['interface'],
      argument: { kind: 'required', name: 'SWITCH:ADDRESS/MASK' },
      repeatable: true,
      group: 'Network',
      help: 'an interface, vd0 and so on in this order; needed',
      details:
        'SWITCH is a control directory, `[PORT]` behind it names a port; nothing before the colon is the default switch. MASK ' +
        'is a number of bits or has four parts.',
    },
    {
      key: 'route',
      short: ['r'],
      long: ['route'],
      added: ['route'],
      argument: { kind: 'required', name: 'NETWORK/MASK:GATEWAY' },
      repeatable: true,
      group: 'Network',
      help: 'a static route',
    },
    {
      key: 'gateway',
      short: ['G'],
      long: ['gateway'],
      added: ['gateway'],
      argument: { kind: 'required', name: 'ADDRESS' },
      group: 'Network',
      help: 'default gateway',
    },
    ...CONSOLE_OPTIONS,
    ...added(PROCESS_OPTIONS),
    ...helpOptions('V'),
  ],
  exitStatus: [
    { status: 0, what: 'ended by a signal or by `shutdown`' },
    { status: 1, what: 'a switch or a socket could not be used; the reason is on standard error' },
    ...COMMON_EXIT_STATUS,
  ],
  examples: [
    {
      command: 'vde_l3 -v /tmp/s1.ctl:192.168.0.1/24 -v /tmp/s2.ctl:10.0.0.254/16 -G 10.0.0.1',
      what: 'forward between two networks, everything else to 10.0.0.1',
    },
  ],
  files: [],
  seeAlso: ['vde_switch(1)', 'slirpvde(1)', 'vdeterm(1)'],
};
