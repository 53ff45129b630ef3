// The options of slirpvde and slirpvde6 that concern the guests' network and what they may reach; slirpvde-networks.ts,
// src/mgmt/policy-text.ts.

import type { OptionSpec } from './options.ts';

const NETWORK = 'Network';
const POLICY = 'What guests may reach';

export const NETWORK_OPTIONS: readonly OptionSpec[] = [
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
  {
    key: 'mtu',
    short: [],
    long: ['mtu'],
    added: true,
    argument: { kind: 'required', name: 'BYTES' },
    group: NETWORK,
    help: 'largest IP packet on the guest network, 576 (with IPv6 1280) to 9216',
    details:
      'Up to 65532 with --qemu-stream or --qemu-connect, when links of VDE carry 9216, and up to 65521 with --tap or --netns. ' +
      'A switch that is joined may carry less: classic ones stop at 1500.',
    defaultText: '1500',
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
];

export const POLICY_OPTIONS: readonly OptionSpec[] = [
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
];
