// slirpvde's options: the classic ones with all their names, and ours.

import { COMMON_EXIT_STATUS, type CommandSpec } from './options.ts';
import { IPV6_OPTIONS } from './slirpvde-ipv6-options.ts';
import { SUPERVISOR_OPTIONS, TAP_OPTIONS } from './slirpvde-tap-options.ts';

const NETWORK = 'Network';
const SERVICES = 'Services';
const SWITCH = 'Switch';
const GUESTS = 'Guests without VDE';
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
    {
      key: 'host',
      short: ['H', 'n'],
      long: ['host', 'network'],
      argument: { kind: 'required', name: 'ADDR[/LEN]' },
      repeatable: true,
      group: NETWORK,
      help: 'address of the router, and the network; IPv4 or IPv6',
      details:
        'May be given more than once, in any mix: `-H 10.0.2.1/24 -H 2001:db8::1/64`. LEN of IPv4 is 8 to 30, 24 when it ' +
        'is not written; of IPv6 16 to 126, 64 when it is not written. An address without host part names the network ' +
        'only: the router is host 2 then. The defaults of the other addresses follow from the first network of their ' +
        'family: name server host 3, first DHCP address host 15. With IPv6 alone guests reach IPv4 by --nat64.',
      defaultText: '10.0.2.2/24',
    },
    {
      key: 'nameserver',
      short: ['N'],
      long: ['nameserver', 'dns'],
      argument: { kind: 'required', name: 'ADDR' },
      repeatable: true,
      group: NETWORK,
      help: 'name server that guests are told, one of each family',
      details:
        'An address inside a network is answered by slirpvde itself, which passes queries on to the name servers of ' +
        'this host. An address outside is only told to guests; host 3 goes on answering.',
      defaultText: 'host 3 of the network, answered here',
    },
    {
      key: 'dhcp',
      short: ['D'],
      long: ['dhcp'],
      argument: { kind: 'optional', name: 'START[/COUNT]', gluedStart: /^[\d/]/ },
      group: NETWORK,
      help: 'serve DHCP, COUNT addresses from START upwards',
      details:
        'What follows must be attached: `--dhcp=10.0.2.100`, `-D10.0.2.100/20`, `-D/20`. START may be in any of the IPv4 ' +
        'networks, which then is the one that is served.',
      defaultText: 'off; START host 15 of the network, COUNT all that follow',
    },
    ...IPV6_OPTIONS,
    ...TAP_OPTIONS,
    ...SUPERVISOR_OPTIONS,
    {
      key: 'mtu',
      short: [],
      long: ['mtu'],
      added: true,
      argument: { kind: 'required', name: 'BYTES' },
      group: NETWORK,
      help: 'largest IP packet on the guest network, 576 (with IPv6 1280) to 9216',
      details:
        'Up to 65532 with --qemu-stream or --qemu-connect, when links of VDE carry 9216, and up to 65521 with --tap or --netns. A switch that is joined may carry less: classic ones stop at 1500.',
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
      key: 'udpFilter',
      short: [],
      long: ['udp-filter'],
      added: true,
      argument: { kind: 'required', name: 'MODE' },
      group: NETWORK,
      help: "who may send to a guest's UDP port: any, address or address-port",
      details:
        '`any`: whoever knows the port of this host that stands for it. `address`: those whom the guest has sent to from ' +
        'it. `address-port`: the same, and only from the port that the guest has sent to.',
      defaultText: 'any',
    },
    {
      key: 'udpTimeouts',
      short: [],
      long: ['udp-timeouts'],
      added: true,
      argument: { kind: 'required', name: 'PROFILE' },
      group: NETWORK,
      help: 'how long idle UDP ports of guests are kept: short or rfc',
      details:
        '`short`: 30 s while nothing was answered, then 180 s. `rfc`: 300 s (RFC 4787). Either way 10 s when only name ' +
        'servers were asked.',
      defaultText: 'short',
    },
    {
      key: 'leases',
      short: [],
      long: ['leases'],
      added: true,
      argument: { kind: 'required', name: 'FILE' },
      group: SERVICES,
      help: 'keep leases in FILE (mode 0600), so that they outlive a restart',
      details:
        'Every lease is on the disk before the guest hears of it. When FILE cannot be written the service goes on from ' +
        'memory and tries again every minute. One process at a time: another one that is told the same FILE does not start.',
      defaultText: 'leases end with the process',
    },
    {
      key: 'dhcpLeaseTime',
      short: [],
      long: ['dhcp-lease-time'],
      added: true,
      argument: { kind: 'required', name: 'SECONDS' },
      group: SERVICES,
      help: 'how long a lease lasts',
      defaultText: '86400',
    },
    {
      key: 'dhcpHost',
      short: [],
      long: ['dhcp-host'],
      added: true,
      argument: { kind: 'required', name: 'MAC,ADDR[,NAME]' },
      repeatable: true,
      group: SERVICES,
      help: 'address, and name, of one guest',
      details: 'ADDR is kept for that guest, inside the range of --dhcp or not. May be given more than once.',
    },
    {
      key: 'dhcpDomain',
      short: [],
      long: ['dhcp-domain'],
      added: true,
      argument: { kind: 'required', name: 'DOMAIN' },
      group: SERVICES,
      help: 'domain of the guests',
      details: 'Guests are told, and found as NAME.DOMAIN beside NAME.',
    },
    {
      key: 'dhcpSearch',
      short: [],
      long: ['dhcp-search'],
      added: true,
      argument: { kind: 'required', name: 'DOMAIN[,DOMAIN]...' },
      repeatable: true,
      group: SERVICES,
      help: 'domains that guests try for short names',
      details: 'The word `host` stands for the search list of this host, as it is at the time.',
    },
    {
      key: 'dhcpNextServer',
      short: [],
      long: ['dhcp-next-server'],
      added: true,
      argument: { kind: 'required', name: 'ADDR' },
      group: SERVICES,
      help: 'server that guests boot from (PXE)',
      defaultText: 'the router',
    },
    {
      key: 'dhcpFile',
      short: [],
      long: ['dhcp-file'],
      added: true,
      argument: { kind: 'required', name: 'NAME' },
      group: SERVICES,
      help: 'file that guests boot (PXE)',
    },
    {
      key: 'dhcpOption',
      short: [],
      long: ['dhcp-option'],
      added: true,
      argument: { kind: 'required', name: 'N,VALUE' },
      repeatable: true,
      group: SERVICES,
      help: 'send DHCP option N to guests that ask for it',
      details:
        'VALUE is addresses, a number, bytes (`01:04:0a`) or text, as the option wants it; routes for option 121 ' +
        '(`121,10.1.0.0/16,10.0.2.9`). May be given more than once.',
    },
    {
      key: 'dnsRecord',
      short: [],
      long: ['dns-record'],
      added: true,
      argument: { kind: 'required', name: 'NAME,ADDR' },
      repeatable: true,
      group: SERVICES,
      help: 'answer NAME with ADDR, an IPv4 or IPv6 address',
      details: 'IPv4 addresses lead back to the name too. May be given more than once, also for one name.',
    },
    {
      key: 'dnsRebindProtect',
      short: [],
      long: ['dns-rebind-protect'],
      added: true,
      argument: { kind: 'none' },
      group: SERVICES,
      help: 'refuse answers that give names of the world a private or loopback address',
    },
    {
      key: 'dnsRebindOk',
      short: [],
      long: ['dns-rebind-ok'],
      added: true,
      argument: { kind: 'required', name: 'DOMAIN' },
      repeatable: true,
      group: SERVICES,
      help: 'with --dns-rebind-protect: names under DOMAIN may have such addresses',
      details: 'May be given more than once.',
    },
    {
      key: 'tftp',
      short: ['t'],
      long: ['tftp'],
      argument: { kind: 'required', name: 'DIR' },
      group: SERVICES,
      help: 'serve the files below DIR by TFTP at the address of the router, read-only',
      details: 'Symbolic links must lead to files below DIR. With --dhcp-file guests boot from there.',
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
      help: 'let guests reach only services and ping of the router, answers to forwards, and what --allow names',
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
        'Without ADDR the port is opened on all addresses of this host, or where --forward-bind says. PORT may be a range, `8000-8009`, with a range of ' +
        'the same length at the guest; without GUESTPORT the ports are the same. PORT 0 is any free port, which is ' +
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
    {
      key: 'config',
      short: [],
      long: ['config'],
      added: true,
      argument: { kind: 'required', name: 'FILE' },
      group: PROCESS,
      help: 'read further options from FILE, and again on SIGHUP',
      details:
        'A line is the long name of an option and its value, `tcpfwd 8022:10.0.2.15:22`; empty lines and those that ' +
        'begin with `#` are skipped. The command line counts more; repeatable options add up, and of --allow and --deny ' +
        'those of the command line are asked first. SIGHUP applies changed ' +
        'forwards, --no-host-loopback, --quiet and --verbose; a file that is wrong changes nothing, and a line in the ' +
        'log says why.',
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
      help: 'append messages to FILE (mode 0600); without it those of --daemon go to syslog',
      details: 'Without it, messages of a daemon are lost once it is ready. Opened anew on SIGHUP.',
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
  exitStatus: [
    {
      status: 0,
      what: 'ended by SIGTERM or SIGINT, or with its terminal; with `-`: by the end of input; with -d: the service is ready; the interface of --tap was removed, or --exit-fd closed',
    },
    { status: 1, what: 'the service could not be started, or did not end in order' },
    ...COMMON_EXIT_STATUS,
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
    {
      command: 'slirpvde -d -H10.0.2.1/24 -H2001:db8::1/64 -s /tmp/vde.ctl -dhcp -r',
      what: 'IPv4 and IPv6, with DHCP and router advertisements.',
    },
    {
      command: 'slirpvde -H2001:db8::1/64 -r /tmp/vde.ctl',
      what: 'Guests have IPv6 only, and reach IPv4 through NAT64 and DNS64.',
    },
    {
      command: 'slirpvde --dhcp --qemu-stream /tmp/qemu.sock',
      what: 'Guests of QEMU without VDE: -netdev stream at that path.',
    },
    {
      command: 'dpipe vde_plug /tmp/vde.ctl = ssh HOST slirpvde -dhcp -',
      what: 'The switch is here, the way to the world is that of HOST.',
    },
  ],
  files: [
    { path: '/var/run/vde.ctl, /tmp/vde.ctl', what: 'control directories that are tried when none is given' },
    { path: '/etc/resolv.conf', what: 'name servers that queries of guests are passed on to' },
  ],
  seeAlso: ['vde_switch(1)', 'vde_plug(1)', 'vde_plug2tap(1)', 'vdens(1)', 'qemu-system(1)'],
};
