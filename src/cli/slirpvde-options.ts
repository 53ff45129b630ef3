// slirpvde's options: the classic ones with all their names, and ours.

import type { CommandSpec } from './options.ts';

const NETWORK = 'Network';
const SWITCH = 'Switch';
const POLICY = 'What guests may reach';
const FORWARDS = 'Port forwards';
const CONSOLE = 'Management';
const PROCESS = 'Process';
const HELP = 'Help';

export const SLIRPVDE: CommandSpec = {
  name: 'slirpvde',
  summary: 'user-mode NAT router for VDE networks',
  usage: ['[OPTION]... [SOCKET]'],
  description: [
    'Connects the guests of a VDE network to the networks of this host, as a NAT router that needs no root, no TAP ' +
      'device and no kernel module. Joins the switch that listens at SOCKET; if none does, it becomes switch and router ' +
      'there.',
    'To its guests slirpvde is the default router (host 2 of the network, 10.0.2.2 unless -H says otherwise), the name ' +
      'server (host 3) and, with --dhcp, the DHCP server. Every connection of a guest is made again by a socket of this ' +
      'process, so guests reach what the user who runs slirpvde can reach. The router address itself leads to the ' +
      'loopback services of this host unless --no-host-loopback is given.',
  ],
  positionals: [{ name: 'SOCKET', help: 'control directory of the switch, the same as --sock' }],
  options: [
    {
      key: 'sock',
      short: ['s'],
      long: ['sock', 'socket', 'vdesock', 'unix'],
      argument: { kind: 'required', name: 'DIR' },
      group: SWITCH,
      help: 'control directory of the switch',
      details:
        'May also be given as the only argument without an option. A switch port may be named in brackets behind it: ' +
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
      key: 'host',
      short: ['H', 'n'],
      long: ['host', 'network'],
      argument: { kind: 'required', name: 'ADDR[/LEN]' },
      group: NETWORK,
      help: 'address of the router, and the network',
      details:
        'LEN is 8 to 30, 24 when it is not written. An address without host part names the network only: the router is ' +
        'host 2 then. The defaults of the other addresses follow: name server host 3, first DHCP address host 15.',
      defaultText: '10.0.2.2/24',
    },
    {
      key: 'nameserver',
      short: ['N'],
      long: ['nameserver', 'dns'],
      argument: { kind: 'required', name: 'ADDR' },
      group: NETWORK,
      help: 'name server that guests are told',
      details:
        'An address inside the network is answered by slirpvde itself, which passes queries on to the name servers of ' +
        'this host. An address outside is only told to DHCP clients; host 3 goes on answering.',
      defaultText: 'host 3 of the network, answered here',
    },
    {
      key: 'dhcp',
      short: ['D'],
      long: ['dhcp'],
      argument: { kind: 'optional', name: 'START', gluedStart: /^\d/ },
      group: NETWORK,
      help: 'serve DHCP, from START upwards',
      details: 'START must be attached: `--dhcp=10.0.2.100` or `-D10.0.2.100`.',
      defaultText: 'off; START host 15 of the network',
    },
    {
      key: 'mtu',
      short: [],
      long: ['mtu'],
      added: true,
      argument: { kind: 'required', name: 'BYTES' },
      group: NETWORK,
      help: 'largest IP packet on the guest network, 576 to 9216',
      details: 'A switch that is joined may carry less: classic ones stop at 1500.',
      defaultText: '1500',
    },
    {
      key: 'noHostLoopback',
      short: [],
      long: ['no-host-loopback'],
      added: true,
      argument: { kind: 'none' },
      group: POLICY,
      help: 'refuse guests the loopback services of this host, which they otherwise reach at the address of the router',
    },
    {
      key: 'noHost',
      short: [],
      long: ['no-host'],
      added: true,
      argument: { kind: 'none' },
      group: POLICY,
      help: 'refuse guests this host: all its own addresses, and its loopback services',
      details: 'Addresses that the host gets later are noticed within two seconds. No --allow opens them.',
    },
    {
      key: 'restrict',
      short: [],
      long: ['restrict'],
      added: true,
      argument: { kind: 'none' },
      group: POLICY,
      help: 'let guests reach only DHCP, DNS and ping of the router, answers to forwards, and what --allow names',
    },
    {
      key: 'allow',
      short: [],
      long: ['allow'],
      added: true,
      argument: { kind: 'required', name: 'RULE' },
      repeatable: true,
      group: POLICY,
      help: 'let guests reach a destination: CIDR[:PORT[-PORT]][/tcp|/udp|/icmp]',
      details:
        'May be given more than once, and mixed with --deny: the first of them that fits a destination decides, in the ' +
        'order of the command line. The loopback services of this host are 127.0.0.1 in rules. An address in ' +
        '169.254.0.0/16 (link-local, cloud metadata) is reached only when a rule allows exactly that address. What is ' +
        'never a destination (0.0.0.0/8, 127.0.0.0/8 written by a guest, multicast, broadcast) is not opened by a rule.',
    },
    {
      key: 'deny',
      short: [],
      long: ['deny'],
      added: true,
      argument: { kind: 'required', name: 'RULE' },
      repeatable: true,
      group: POLICY,
      help: 'refuse guests a destination; the same form',
      details: 'TCP is answered by a reset, all else by ICMP "administratively prohibited".',
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
        'Without ADDR the port is opened on all addresses of this host. PORT may be a range, `8000-8009`, with a range of ' +
        'the same length at the guest; without GUESTPORT the ports are the same. PORT 0 is any free port, which is ' +
        'printed. GUEST is an address, a DHCP host name or a hardware address; names are looked up when a client comes. ' +
        'May be given more than once. A forward that cannot be parsed or opened ends the start.',
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
      key: 'mgmt',
      short: ['M'],
      long: ['mgmt'],
      added: true,
      argument: { kind: 'required', name: 'SOCK' },
      group: CONSOLE,
      help: 'serve the management console on a Unix socket',
      details:
        'In the dialect of vde_switch: `vdeterm SOCK`, `unixterm SOCK` and `unixcmd -s SOCK COMMAND` speak it, and so does ' +
        '`socat - SOCK`. `help` lists the commands: flows, leases, forwards, drop counters, neighbors, captures, policy.',
    },
    {
      key: 'mgmtMode',
      short: [],
      long: ['mgmtmode'],
      added: true,
      argument: { kind: 'required', name: 'OCTAL' },
      group: CONSOLE,
      help: 'permissions of that socket',
      defaultText: '600',
    },
    {
      key: 'mgmtGroup',
      short: [],
      long: ['mgmtgroup'],
      added: true,
      argument: { kind: 'required', name: 'GROUP' },
      group: CONSOLE,
      help: 'group of that socket',
    },
    {
      key: 'daemon',
      short: ['d'],
      long: ['daemon'],
      argument: { kind: 'none' },
      group: PROCESS,
      help: 'run in the background; returns when the service is ready',
      details: 'When the start fails, the reason is on standard error and the exit status is not 0.',
    },
    {
      key: 'pidfile',
      short: ['p'],
      long: ['pidfile'],
      argument: { kind: 'required', name: 'FILE' },
      group: PROCESS,
      help: 'write the process id to FILE, remove it at the end',
      details: 'A file left by a process that is gone is taken over; that of a running one ends the start.',
    },
    {
      key: 'log',
      short: [],
      long: ['log'],
      added: true,
      argument: { kind: 'required', name: 'FILE' },
      group: PROCESS,
      help: 'append messages to FILE (mode 0600)',
      details: 'Without it, messages of a daemon are lost once it is ready.',
    },
    {
      key: 'capture',
      short: [],
      long: ['capture'],
      added: true,
      argument: { kind: 'required', name: 'FILE' },
      group: PROCESS,
      help: 'write all frames to FILE (pcapng, mode 0600)',
    },
    {
      key: 'quiet',
      short: ['q'],
      long: ['quiet'],
      argument: { kind: 'none' },
      group: PROCESS,
      help: 'print errors only',
    },
    {
      key: 'verbose',
      short: [],
      long: ['verbose'],
      added: true,
      argument: { kind: 'none' },
      group: PROCESS,
      help: 'print what happens in more detail',
    },
    {
      key: 'help',
      short: ['h'],
      long: ['help'],
      argument: { kind: 'none' },
      immediate: true,
      group: HELP,
      help: 'print this text',
    },
    {
      key: 'version',
      short: ['v'],
      long: ['version'],
      added: true,
      argument: { kind: 'none' },
      immediate: true,
      group: HELP,
      help: 'print the version',
    },
  ],
  examples: [
    {
      command: 'slirpvde --dhcp /tmp/vde.ctl',
      what: 'Router with DHCP on the switch at /tmp/vde.ctl, or as that switch.',
    },
    {
      command: 'slirpvde -d -p /tmp/slirpvde.pid -s /tmp/vde.ctl -dhcp',
      what: 'The same in the background.',
    },
    {
      command: 'slirpvde -s /tmp/vde.ctl -dhcp -L 127.0.0.1:8022:10.0.2.15:22',
      what: "Port 8022 of this host's loopback leads to the ssh server of a guest.",
    },
    {
      command: 'slirpvde -dhcp --restrict --allow 192.0.2.0/24:443/tcp -M /tmp/mgmt',
      what: 'One network by HTTPS, nothing else; `vdeterm /tmp/mgmt` shows flows.',
    },
    {
      command: 'slirpvde -H 192.168.5.1/24 -N 192.168.5.1 /tmp/vde.ctl',
      what: 'Another network; router and DNS are one.',
    },
  ],
  files: [
    { path: '/var/run/vde.ctl, /tmp/vde.ctl', what: 'control directories that are tried when none is given' },
    { path: '/etc/resolv.conf', what: 'name servers that queries of guests are passed on to' },
  ],
  seeAlso: ['vde_switch(1)', 'vde_plug(1)', 'vde_plug2tap(1)', 'vdens(1)', 'qemu-system(1)'],
};
