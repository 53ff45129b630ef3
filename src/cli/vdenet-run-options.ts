// The options of `vdenet run`: slirpvde's, less those of switches and of a process in the background.

import type { CommandSpec, OptionSpec } from './options.ts';
import { LOG } from './shared-options.ts';
import { SLIRPVDE } from './slirpvde-options.ts';

/** Keys of slirpvde's options that make no sense here: the guest is the command, and its interface is made for it. */
const LEFT_OUT: readonly string[] = [
  ...['sock', 'port', 'group', 'mode', 'noSwitch', 'qemuStream', 'qemuConnect', 'qemuDgram'],
  ...['tap', 'netns', 'userns', 'configure', 'daemon', 'pidfile', 'config', 'guard'],
];

const MTU: OptionSpec = {
  key: 'mtu',
  short: [],
  long: ['mtu'],
  argument: { kind: 'required', name: 'BYTES' },
  group: 'Network',
  help: 'largest IP packet, 576 (with IPv6 1280) to 65521',
  defaultText: '65520',
};

/** Options that are said otherwise here, by key. */
const OTHERWISE = new Map(
  [MTU, { ...LOG, help: 'append messages to FILE (mode 0600)' }].map((option) => [option.key, option]),
);

export const VDENET_RUN: CommandSpec = {
  name: 'vdenet run',
  summary: 'run a command in a network of its own behind a user-mode router',
  usage: ['[OPTION]... [--] COMMAND [ARG]...'],
  description: [
    'Runs COMMAND in a user and network namespace of its own, whose only way out is the router of slirpvde(1). Needs no ' +
      'root: COMMAND is root in its namespace, and with files it is the user who started it.',
    'The interface is tap0, at the first address for guests, 10.0.2.15 unless -H says otherwise; /etc/resolv.conf of ' +
      'COMMAND names the router. The options are those of slirpvde. Ends when COMMAND ends, with its status.',
  ],
  positionals: [{ name: 'COMMAND', help: 'what to run; its own options may follow', rest: true }],
  options: SLIRPVDE.options
    .filter(({ key }) => !LEFT_OUT.includes(key))
    .map((option) => OTHERWISE.get(option.key) ?? option),
  exitStatus: [
    { status: 1, what: 'the router or the namespaces could not be set up' },
    { status: 2, what: 'the command line makes no sense' },
    { status: 126, what: 'COMMAND could not be run' },
    { status: 127, what: 'there is no such COMMAND' },
    { status: 128, what: 'and the number of a signal: COMMAND ended by it; other statuses are those of COMMAND' },
  ],
  examples: [
    { command: 'vdenet run -- curl https://example.org/', what: 'One command behind the router.' },
    {
      command: 'vdenet run -L 8080:10.0.2.15:80 -- ./server',
      what: "Port 8080 of this host leads to the command's port 80.",
    },
    {
      command: 'vdenet run --restrict --allow 192.0.2.0/24:443 -- bash',
      what: 'A shell that reaches one network only.',
    },
  ],
  files: [],
  seeAlso: ['vdenet(1)', 'slirpvde(1)', 'unshare(1)', 'slirp4netns(1)', 'pasta(1)'],
};
