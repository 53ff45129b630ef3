// vde_plug's options: those of plug4, and ours.

import { COMMON_EXIT_STATUS, type CommandSpec, type OptionSpec } from './options.ts';
import { DAEMON, helpOptions, PROCESS, pidfileOption, QUIET, RECONNECT, VERBOSE } from './shared-options.ts';

const SWITCH = 'Switch';

/** Options of the first plug, and the same for the second. */
function access(second: boolean): OptionSpec[] {
  const suffix = second ? '2' : '';
  const which = second ? ' of the second plug' : '';
  const letter = (first: string): string[] => [second ? first.toUpperCase() : first];
  return [
    {
      key: `port${suffix}`,
      short: [],
      long: [`port${suffix}`],
      argument: { kind: 'required', name: 'N' },
      group: SWITCH,
      help: `port of the switch to take${which}; the same as brackets: /tmp/vde.ctl[N]`,
      defaultText: 'any free one',
    },
    {
      key: `group${suffix}`,
      short: letter('g'),
      long: [`group${suffix}`],
      argument: { kind: 'required', name: 'GROUP' },
      group: SWITCH,
      help: `group of the socket made for the switch${which}`,
    },
    {
      key: `mode${suffix}`,
      short: letter('m'),
      long: [`mod${suffix}`, `mode${suffix}`],
      added: [`mode${suffix}`],
      argument: { kind: 'required', name: 'OCTAL' },
      group: SWITCH,
      help: `permissions of that socket${which}`,
      defaultText: '700',
    },
  ];
}

export const VDE_PLUG: CommandSpec = {
  name: 'vde_plug',
  summary: 'plug of a VDE network: to a byte stream, a command, or another network',
  usage: ['[OPTION]... [URL]', '[OPTION]... URL URL2', '[OPTION]... [URL] = COMMAND [ARGUMENT]...'],
  description: [
    'Carries the frames of a VDE network. With one URL they come out of standard output and go in by standard input, as a ' +
      'byte stream for dpipe or ssh. With two URLs it is a cable between two networks. Behind `=` stands a command whose ' +
      'standard input and output carry the stream.',
    'In the stream each frame stands behind its length, two bytes in network order. The plug ends with status 0 when the ' +
      'stream, the switch or the other network ends.',
    'URLs: vde://DIR[PORT], tap://NAME, udp://[A:]PORT->B:PORT, vxlan:// and vxvde://GROUP/vni=N, ptp://PATH, ' +
      'cmd://COMMAND, seqpacket://FD, null://; and nodes that other plugs join at a directory made here: switch://DIR, ' +
      'hub://DIR, multi://DIR (what this end sends goes to all, what they send to this end) and bonding://DIR (what this ' +
      'end sends goes to one after the other).',
    'Installed as a login shell it lets the user of ssh do nothing but `vde_plug`, from and to the default switch.',
  ],
  positionals: [
    {
      name: 'URL',
      help: 'control directory of a switch, or SCHEME://ARGUMENT; a regular file holds one; empty or absent: the default',
    },
    { name: 'URL2', help: 'the other end of a cable' },
  ],
  options: [
    ...access(false),
    ...access(true),
    {
      key: 'descr',
      short: ['D'],
      long: ['descr'],
      argument: { kind: 'required', name: 'TEXT' },
      group: SWITCH,
      help: 'what the switch shows of this plug',
      defaultText: 'vdeplug:',
    },
    RECONNECT,
    DAEMON,
    pidfileOption('p'),
    {
      key: 'syslog',
      short: ['l'],
      long: ['log'],
      argument: { kind: 'none' },
      group: PROCESS,
      help: 'tell syslog of start and end, with the user and the address of the ssh client',
    },
    {
      key: 'iplog',
      short: ['L'],
      long: ['iplog'],
      argument: { kind: 'none' },
      group: PROCESS,
      help: 'the same, and each IP address when it is first seen in what comes in',
      details:
        'That is: by the byte stream, the command, or the second URL. The 4096 addresses heard last are remembered.',
    },
    {
      key: 'command',
      short: ['c'],
      long: ['command'],
      added: true,
      argument: { kind: 'required', name: 'COMMAND' },
      group: PROCESS,
      help: 'as sshd calls a login shell: everything but the word vde_plug is refused',
      details:
        'Start and end go to syslog, and the addresses too when the user belongs to the group vdeplug_iplog. Refusals are ' +
        'logged, and end with status 255.',
    },
    QUIET,
    VERBOSE,
    ...helpOptions('v'),
  ],
  exitStatus: [
    { status: 0, what: 'the stream, the command or the switch has ended, or SIGTERM or SIGINT came; with -d: it runs' },
    {
      status: 1,
      what: 'a network could not be joined, the stream is out of step, or the command failed or could not be started',
    },
    ...COMMON_EXIT_STATUS,
    { status: 255, what: 'refused as a login shell' },
  ],
  examples: [
    { command: 'vde_plug /tmp/one.ctl /tmp/two.ctl', what: 'A cable between two switches.' },
    { command: 'vde_plug /tmp/vde.ctl = ssh HOST vde_plug', what: 'A cable to the default switch of another host.' },
    { command: 'vde_plug vxlan://239.1.2.3/vni=7 tap://tap0', what: 'A VXLAN on a TAP interface.' },
    { command: 'dpipe vde_plug /tmp/one.ctl = vde_plug /tmp/two.ctl', what: 'The cable once more, by two processes.' },
  ],
  files: [
    { path: '~/.vdeplug/default', what: 'the default: its first line is a URL, or it is a link to a switch' },
    { path: '~/.vde2/default.switch', what: 'the same, looked at when that is not there' },
    { path: '/var/run/vde.ctl, /tmp/vde.ctl', what: 'looked for when neither is there' },
  ],
  seeAlso: ['dpipe(1)', 'vde_switch(1)', 'vde_plug2tap(1)', 'slirpvde(1)'],
};
