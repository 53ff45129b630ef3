// The options of slirpvde and slirpvde6 that concern IPv6; what they mean is in slirpvde-ipv6.ts.

import type { OptionSpec } from './options.ts';

const IPV6 = 'IPv6';

export const IPV6_OPTIONS: readonly OptionSpec[] = [
  {
    key: 'radv',
    short: ['r'],
    long: ['radvd', 'radv'],
    added: true,
    argument: { kind: 'optional', name: 'PREFIX[,PREFIX]...', gluedStart: /^(?:[0-9a-f]{1,4}:|::)/i },
    group: IPV6,
    help: 'send router advertisements, so that guests have a default route and make themselves addresses',
    details:
      'Without PREFIX those of all IPv6 networks. Prefixes must be attached: `-r2001:db8::/64`. Only those of 64 bits ' +
      'are for addresses that guests make themselves; one that no --host holds becomes a network of guests, where the ' +
      'router has an address too. Name server, search list, MTU and the prefix of a translator are ' +
      'told as well. When slirpvde ends it says so with a last one of lifetime 0.',
  },
  {
    key: 'radvFile',
    short: ['R'],
    long: ['radvdrc'],
    added: true,
    argument: { kind: 'required', name: 'FILE' },
    group: IPV6,
    help: 'the same with the settings in FILE, which is written as for radvd',
    details: 'See docs/reference/ra-file.md for what FILE may hold.',
  },
  {
    key: 'radvFollowsHost',
    short: [],
    long: ['radv-follow-host'],
    added: true,
    argument: { kind: 'none' },
    group: IPV6,
    help: 'advertise no default route while this host has none for IPv6',
  },
  {
    key: 'dhcp6',
    short: [],
    long: ['dhcp6'],
    added: true,
    argument: { kind: 'none' },
    group: IPV6,
    help: 'lease addresses by DHCPv6 too, 4096 from host 0x1000 of the IPv6 network on',
    details:
      'Name servers and search list are told by DHCPv6 in any case. With --leases the leases are kept in a second file, ' +
      'whose name has `6` at its end.',
  },
  {
    key: 'nat64',
    short: [],
    long: ['nat64'],
    added: true,
    argument: { kind: 'required', name: 'PREFIX|off' },
    group: IPV6,
    help: 'addresses of IPv6 that stand for IPv4 ones (RFC 6052), by which guests reach IPv4 without having it',
    details:
      'PREFIX/LEN with 32, 40, 48, 56, 64 or 96 bits. ::ffff:a.b.c.d is taken for a.b.c.d too unless this is off.',
    defaultText: '64:ff9b::/96',
  },
  {
    key: 'dns64',
    short: [],
    long: ['dns64'],
    added: true,
    argument: { kind: 'required', name: 'on|off' },
    group: IPV6,
    help: 'give names that have no IPv6 address one of those (RFC 6147)',
    defaultText: 'on when there is no IPv4 network',
  },
  {
    key: 'pref64',
    short: [],
    long: ['pref64'],
    added: true,
    argument: { kind: 'required', name: 'on|off' },
    group: IPV6,
    help: 'tell guests that prefix in router advertisements (RFC 8781)',
    defaultText: 'on when there is no IPv4 network',
  },
];
