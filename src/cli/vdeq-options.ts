// Options of vdeq, vdeqemu and vdekvm: what stands before the words for QEMU.

import type { CommandSpec, OptionSpec, Positional } from './options.ts';

const OPTIONS: readonly OptionSpec[] = [
  {
    key: 'verbose',
    short: [],
    long: ['verbose'],
    added: true,
    argument: { kind: 'none' },
    group: 'Options, before the words for QEMU',
    help: 'print the command that is run on standard error',
  },
  {
    key: 'dry-run',
    short: [],
    long: ['dry-run'],
    added: true,
    argument: { kind: 'none' },
    group: 'Options, before the words for QEMU',
    help: 'print the command on standard output and do not run it',
  },
  {
    key: 'help',
    short: ['h'],
    long: ['help'],
    argument: { kind: 'none' },
    immediate: true,
    group: 'Help',
    help: 'print this text and exit',
  },
  {
    key: 'version',
    short: [],
    long: ['version'],
    added: true,
    argument: { kind: 'none' },
    immediate: true,
    group: 'Help',
    help: 'print the version and exit',
  },
];

const WORDS: Positional = { name: 'ARGUMENT', help: 'words for QEMU', rest: true };

function spec(name: string, program: string, usage: string, positionals: readonly Positional[]): CommandSpec {
  return {
    name,
    summary: 'start a QEMU virtual machine on VDE networks',
    usage: [usage],
    description: [
      `Starts ${program} with a command line in which what older QEMU or vdeq itself understood is rewritten to QEMU's own ` +
        'support of VDE: `-net vde` with `vlan=`, `-sock` and `--mod`. Everything else passes as it is.',
      'Words for QEMU: `-net vde[,vlan=N][,sock=DIR][,port=N][,group=G][,mode=OCTAL]` connects vlan N to a switch; ' +
        '`-net nic[,vlan=N][,macaddr=M][,model=M]` and other backends with `vlan=` are understood too. A vlan of one card ' +
        'and one backend becomes one -nic, any other a hub. `-sock DIR[,DIR...]` gives a card for each switch, and ' +
        '`--mod OCTAL` is the mode of the sockets. `-netdev vde` and `-nic vde` are passed on.',
      'Descriptors named by fd= and fds= are inherited. Signals are passed on, and the exit status is that of QEMU.',
    ],
    positionals,
    options: OPTIONS,
    exitStatus: [
      { status: 0, what: 'as QEMU, which takes the place of this process' },
      { status: 2, what: 'the command line makes no sense, or has no counterpart in QEMU' },
      { status: 126, what: 'QEMU could not be started' },
      { status: 127, what: 'there is no such program' },
    ],
    examples: [
      {
        command: `${name === 'vdeq' ? 'vdeq qemu-system-x86_64' : name} -net nic,vlan=1 -net vde,vlan=1,sock=/tmp/vde.ctl disk`,
        what: 'a machine with one card on the switch at /tmp/vde.ctl',
      },
      {
        command: `${name === 'vdeq' ? 'vdeq --dry-run qemu-system-x86_64' : `${name} --dry-run`} -sock /tmp/a.ctl,/tmp/b.ctl disk`,
        what: 'print the command for a machine with two cards on two switches',
      },
    ],
    files: [],
    seeAlso: ['vde_switch(1)', 'vde_plug(1)', 'qemu-system(1)'],
  };
}

export const VDEQ = spec('vdeq', 'a QEMU', '[OPTION]... QEMU [ARGUMENT]...', [
  { name: 'QEMU', help: 'the program; `qemu` and `kvm` stand for the one of this machine' },
  WORDS,
]);
export const VDEQEMU = spec('vdeqemu', 'QEMU', '[OPTION]... [ARGUMENT]...', [WORDS]);
export const VDEKVM = spec('vdekvm', 'QEMU with KVM', '[OPTION]... [ARGUMENT]...', [WORDS]);
