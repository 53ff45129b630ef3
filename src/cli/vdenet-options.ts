// What the command vdenet is: the verb `run`, and all other commands as verbs (bin/launch.cjs).

import { DPIPE } from './dpipe-options.ts';
import type { CommandSpec, VerbGroup } from './options.ts';
import { helpOptions } from './shared-options.ts';
import { SLIRPVDE } from './slirpvde-options.ts';
import { SLIRPVDE6 } from './slirpvde6-options.ts';
import { UNIXCMD } from './unixcmd-options.ts';
import { VDE_AUTOLINK } from './vde_autolink-options.ts';
import { VDE_L3 } from './vde_l3-options.ts';
import { VDE_PCAPPLUG } from './vde_pcapplug-options.ts';
import { VDE_PLUG } from './vde_plug-options.ts';
import { VDE_PLUG2TAP } from './vde_plug2tap-options.ts';
import { VDE_SWITCH } from './vde_switch-options.ts';
import { VDENET_RUN } from './vdenet-run-options.ts';
import { VDEKVM, VDEQ, VDEQEMU } from './vdeq-options.ts';
import { UNIXTERM, VDETERM } from './vdeterm-options.ts';
import { WIREFILTER } from './wirefilter-options.ts';

const group = (name: string, ...specs: readonly CommandSpec[]): VerbGroup => ({
  group: name,
  verbs: specs.map((spec) => ({ verb: spec.name.replace('vdenet ', ''), summary: spec.summary })),
});

const VERBS: readonly VerbGroup[] = [
  group('The way out', VDENET_RUN, SLIRPVDE, SLIRPVDE6),
  group('Virtual Ethernet', VDE_SWITCH, VDE_PLUG, DPIPE, WIREFILTER, VDE_PLUG2TAP, VDE_PCAPPLUG, VDE_L3, VDE_AUTOLINK),
  group('Consoles', VDETERM, UNIXTERM, UNIXCMD),
  group('Virtual machines', VDEQ, VDEQEMU, VDEKVM),
];

export const VDENET: CommandSpec = {
  name: 'vdenet',
  summary: 'virtual Ethernet, and a user-mode router for it',
  usage: ['VERB [ARG]...', 'VERB --help'],
  description: [
    'One word for all of this package: `vdenet vde_switch` is vde_switch. Nothing here needs root, except where a TAP or ' +
      'another interface of this host is the other end of a cable.',
  ],
  positionals: [{ name: 'VERB', help: 'what to do; the words behind it are its own', rest: true }],
  options: helpOptions('v'),
  exitStatus: [{ status: 2, what: 'there is no such verb; all others are those of the verb' }],
  examples: [
    { command: 'vdenet run -- curl https://example.org/', what: 'One command in a network of its own.' },
    { command: 'vdenet slirpvde --dhcp /tmp/vde.ctl', what: 'A switch, and a router with DHCP for its guests.' },
    {
      command: 'qemu-system-x86_64 -nic vde,sock=/tmp/vde.ctl ...',
      what: 'A virtual machine on that switch.',
    },
    { command: 'vdenet help wirefilter', what: 'What wirefilter takes.' },
  ],
  files: [],
  seeAlso: ['vdenet-run(1)', 'slirpvde(1)', 'vde_switch(1)', 'vde_plug(1)'],
  verbs: VERBS,
};
