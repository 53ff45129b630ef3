// The options of slirpvde and slirpvde6 for port forwards and Unix sockets; forward.ts, ways.ts.

import type { OptionSpec } from './options.ts';

const FORWARDS = 'Port forwards';

export const FORWARD_OPTIONS: readonly OptionSpec[] = [
  {
    key: 'forwardBind',
    short: [],
    long: ['forward-bind'],
    added: true,
    argument: { kind: 'required', name: 'ADDR' },
    group: FORWARDS,
    help: 'where forwards listen that name no address',
    details: 'For -L, -U and -X; 127.0.0.1 opens them to this host only.',
    defaultText: '0.0.0.0, all IPv4 addresses of this host',
  },
  {
    key: 'tcp',
    short: ['L'],
    long: ['tcpfwd'],
    added: ['tcpfwd'],
    argument: { kind: 'required', name: 'FORWARD' },
    repeatable: true,
    group: FORWARDS,
    help: 'forward a TCP port of this host to a guest: [ADDR:]PORT:GUEST[:GUESTPORT]',
    details:
      'Without ADDR the port is opened on all addresses of this host, or where --forward-bind says. PORT may be a range, ' +
      '`8000-8009`, with a range of the same length at the guest; without GUESTPORT the ports are the same. PORT 0 is any free port, which is ' +
      'printed. GUEST is an address, a DHCP host name or a hardware address; names are looked up when a client comes. ' +
      '`/PATH:GUEST:GUESTPORT` forwards a Unix socket that is made at PATH, mode 0600. May be given more than once. A ' +
      'forward that cannot be parsed or opened ends the start.',
  },
  {
    key: 'udp',
    short: ['U'],
    long: ['udpfwd'],
    added: ['udpfwd'],
    argument: { kind: 'required', name: 'FORWARD' },
    repeatable: true,
    group: FORWARDS,
    help: 'the same for UDP',
  },
  {
    key: 'display',
    short: ['X'],
    long: ['x11fwd'],
    added: ['x11fwd'],
    argument: { kind: 'required', name: 'GUEST[:DISPLAY]' },
    repeatable: true,
    group: FORWARDS,
    help: 'forward the first free port of this host from 6000 to 6100 to an X display of a guest',
    details: 'The port is printed. `.SCREEN` behind the display is ignored.',
  },
  {
    key: 'unix',
    short: ['x'],
    long: ['unixfwd'],
    added: ['unixfwd'],
    argument: { kind: 'required', name: 'PORT:PATH' },
    repeatable: true,
    group: FORWARDS,
    help: 'lead TCP connections of guests to PORT of the router to the Unix socket PATH of this host',
  },
];
