// The options of slirpvde and `vdenet run` for guests that are network namespaces; what they mean is in slirpvde-tap.ts.

import type { OptionSpec } from './options.ts';

const NAMESPACES = 'Guests that are namespaces';

/** Told by slirpvde, and implied by `vdenet run`. */
export const TAP_OPTIONS: readonly OptionSpec[] = [
  {
    key: 'tap',
    short: [],
    long: ['tap'],
    added: true,
    argument: { kind: 'required', name: 'NAME' },
    group: NAMESPACES,
    help: 'no switch: the TAP interface NAME of this host, or of --netns, is the cable to the guest',
    details:
      'TCP crosses it in pieces of up to 64 KiB whatever the MTU. Needs the right to make the interface: root, or a user ' +
      'namespace of this user. slirpvde ends when the interface is removed.',
  },
  {
    key: 'netns',
    short: [],
    long: ['netns'],
    added: true,
    argument: { kind: 'required', name: 'PID|PATH' },
    group: NAMESPACES,
    help: 'make the interface in the network namespace of a process, or in that at PATH',
    details: 'Its user namespace is entered too. The interface is brought up with the MTU of --mtu, and `lo` with it.',
    defaultText: '--tap is then tap0',
  },
  {
    key: 'userns',
    short: [],
    long: ['userns'],
    added: true,
    argument: { kind: 'required', name: 'PATH' },
    group: NAMESPACES,
    help: 'the user namespace that owns the one of --netns, where that is a path and not of this one',
  },
  {
    key: 'configure',
    short: [],
    long: ['configure'],
    added: true,
    argument: { kind: 'none' },
    group: NAMESPACES,
    help: 'with --netns: also set the first address for guests, and the default route',
  },
];

/** For programs that start slirpvde or `vdenet run`. */
export const SUPERVISOR_OPTIONS: readonly OptionSpec[] = [
  {
    key: 'readyFd',
    short: [],
    long: ['ready-fd'],
    added: true,
    argument: { kind: 'required', name: 'FD' },
    group: NAMESPACES,
    help: 'write "1" to this descriptor when guests are served, and close it',
  },
  {
    key: 'exitFd',
    short: [],
    long: ['exit-fd'],
    added: true,
    argument: { kind: 'required', name: 'FD' },
    group: NAMESPACES,
    help: 'end when the other end of this descriptor is closed',
  },
];
