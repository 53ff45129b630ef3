// slirpvde6's options: those of slirpvde, with the defaults and the differences of the original of that name.

import type { CommandSpec, OptionSpec } from './options.ts';
import { SLIRPVDE } from './slirpvde-options.ts';

const CHANGES: Readonly<Record<string, Partial<OptionSpec>>> = {
  host: {
    details:
      'May be given more than once, in any mix: `-H 10.0.2.1/24 -H 2001:db8::1/64`. LEN of IPv4 is 8 to 30, 24 when it is ' +
      'not written; of IPv6 16 to 126, 64 when it is not written. An address without host part names the network only: ' +
      'the router is host 1 then.',
    defaultText: '10.0.2.1/24',
  },
  nameserver: {
    argument: { kind: 'optional', name: 'ADDR', gluedStart: /^(?:\d|[0-9a-f]{0,4}:)/i },
    help: 'answer names at the addresses of the router, by asking ADDR',
    details:
      'ADDR must be attached: `-N192.0.2.53`, `--dns=2001:db8::53`. Without -N guests are told the first name server of ' +
      'this host, unless that is a loopback address.',
    defaultText: 'off; ADDR the name servers of this host',
  },
  dhcp: { defaultText: 'off; START 14 behind the router, COUNT 10' },
  radv: { added: ['radv'] },
};

/** The option without `added` where the original has it too. */
function changed(option: OptionSpec): OptionSpec {
  if (option.key !== 'radvFile') return { ...option, ...CHANGES[option.key] };
  const { added: _added, ...rest } = option;
  return rest;
}

export const SLIRPVDE6: CommandSpec = {
  ...SLIRPVDE,
  name: 'slirpvde6',
  summary: 'user-mode NAT router for VDE networks, IPv4 and IPv6',
  description: [
    'slirpvde with the defaults of the slirpvde6 of View-OS: the router is host 1 of its networks, names are answered at ' +
      'its own addresses and only with -N, and DHCP leases ten addresses. Everything else is as slirpvde(1) has it.',
    'To its guests slirpvde6 is the default router. Every connection of a guest is made again by a socket of this process, ' +
      'so guests reach what the user who runs slirpvde6 can reach. The router address itself leads to the loopback ' +
      'services of this host unless --no-host-loopback is given.',
  ],
  options: SLIRPVDE.options.map(changed),
  examples: [
    {
      command: 'slirpvde6 -d -H10.0.2.1/24 -H2001:db8::1/64 -s /tmp/vde.ctl -dhcp -r -N',
      what: 'IPv4 and IPv6 with DHCP, router advertisements and names.',
    },
    {
      command: 'slirpvde6 -H2001:db8::1/64 -r -N /tmp/vde.ctl',
      what: 'Guests have IPv6 only, and reach IPv4 through NAT64 and DNS64.',
    },
    {
      command: 'slirpvde6 -H2001:db8::1/64 -r -L "[::1]:8080:[2001:db8::15]:80" /tmp/vde.ctl',
      what: "Port 8080 of this host's IPv6 loopback leads to a guest.",
    },
  ],
  seeAlso: ['slirpvde(1)', ...SLIRPVDE.seeAlso],
};
