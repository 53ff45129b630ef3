// slirpvde's options: the classic ones with all their names, and ours. The tables are those of the areas.

import { COMMON_EXIT_STATUS, type CommandSpec, type OptionSpec } from './options.ts';
import {
  CONSOLE_GROUP,
  CONSOLE_OPTIONS,
  DAEMON,
  helpOptions,
  LOG,
  originals,
  ours,
  PROCESS,
  pidfileOption,
  QUIET,
  VERBOSE,
} from './shared-options.ts';
import { FORWARD_OPTIONS } from './slirpvde-forward-options.ts';
import { IPV6_OPTIONS } from './slirpvde-ipv6-options.ts';
import { GUEST_OPTIONS, SWITCH_OPTIONS } from './slirpvde-link-options.ts';
import { NETWORK_OPTIONS, POLICY_OPTIONS } from './slirpvde-network-options.ts';
import { SERVICE_OPTIONS } from './slirpvde-service-options.ts';
import { START_OPTIONS } from './slirpvde-settings.ts';
import { SUPERVISOR_OPTIONS, TAP_OPTIONS } from './slirpvde-tap-options.ts';

const CONFIG: OptionSpec = {
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
    'those of the command line are asked first. SIGHUP puts in force what has changed, without harm to connections that ' +
    'are open; the log has a line for each change. A file that is wrong changes nothing: the log names the line and says ' +
    'why. Only a new start changes, and the log names when they differ: ' +
    `${START_OPTIONS.join(', ')}. So do DHCP, DHCPv6 and advertising at all, and prefixes of --radvd that no --host holds.`,
};

const CAPTURE: OptionSpec = {
  key: 'capture',
  short: [],
  long: ['capture'],
  added: true,
  argument: { kind: 'required', name: 'FILE' },
  group: PROCESS,
  help: 'write all frames to FILE (pcapng, mode 0600)',
};

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
    ...SWITCH_OPTIONS,
    ...GUEST_OPTIONS,
    ...NETWORK_OPTIONS,
    ...IPV6_OPTIONS,
    ...TAP_OPTIONS,
    ...SUPERVISOR_OPTIONS,
    ...POLICY_OPTIONS,
    ...SERVICE_OPTIONS,
    ...FORWARD_OPTIONS,
    CONFIG,
    ...[...CONSOLE_OPTIONS, CONSOLE_GROUP].map(ours),
    DAEMON,
    pidfileOption('p'),
    { ...LOG, details: 'Opened anew on SIGHUP.' },
    CAPTURE,
    originals(QUIET),
    VERBOSE,
    ...helpOptions('v'),
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
