// Start-up text: the original's lines, which scripts read, then ours.

import { formatIpv4 } from '../core/address.ts';
import { formatIpv6 } from '../core/ipv6-network.ts';
import { formatForward, listensEverywhere } from './forward.ts';
import type { SlirpvdeConfig } from './slirpvde-config.ts';
import { cidr6 } from './slirpvde-networks.ts';
import type { SlirpvdeState } from './slirpvde-service.ts';

/** The block that the original of this name prints, same columns. */
export function classicBanner(
  name: string,
  config: SlirpvdeConfig,
  state: Pick<SlirpvdeState, 'socket' | 'forwards' | 'displays'>,
): string[] {
  const { networks, names, dhcp, ipv6 } = config;
  const values: [string, string][] = [];
  for (const { address, prefixLen } of networks.ipv4)
    values.push(['virtual_host', `${formatIpv4(address)}/${prefixLen}`]);
  for (const { address, prefixLen } of networks.ipv6)
    values.push(['virtual_host', `${formatIpv6(address)}/${prefixLen}`]);
  if (names.told4 !== null) values.push(['DNS         ', formatIpv4(names.told4)]);
  if (names.told6 !== null) values.push(['DNS         ', formatIpv6(names.told6)]);
  if (dhcp !== null) {
    const count = dhcp.count === 0 ? '' : ` nclients ${dhcp.count}`;
    values.push(['dhcp_start  ', `${formatIpv4(dhcp.start)}${count}`]);
  }
  if (ipv6.dhcp6 !== null) values.push(['dhcp6       ', cidr6(ipv6.dhcp6)]);
  for (const { prefix, prefixLen } of ipv6.radv?.prefixes ?? []) {
    values.push(['router adv  ', `${formatIpv6(prefix)}/${prefixLen}`]);
  }
  values.push(['vde switch  ', state.socket]);
  for (const forward of state.forwards)
    values.push([`redir ${forward.protocol.toUpperCase()}   `, formatForward(forward)]);
  for (const { path, guest } of config.unixForwards) values.push(['redir TCP   ', `${path}:${guest}`]);
  for (const display of state.displays) values.push(['redir X     ', formatForward(display)]);
  for (const { port, path } of config.unixServices) values.push(['redir UNIX  ', `${port}:${path}`]);
  const head = `Starting ${name}: `;
  return values.map(([key, value], i) => `${i === 0 ? head : ' '.repeat(head.length)}${key}=${value}`);
}

/** What the original does not say: role, how guests join, what they reach. Each line is for the log. */
export function stateLines(config: SlirpvdeConfig, state: SlirpvdeState): string[] {
  const { ipv4, ipv6 } = config.networks;
  const router = [...ipv4.map((n) => formatIpv4(n.address)), ...ipv6.map((n) => formatIpv6(n.address))].join(', ');
  const lines: string[] = [];
  if (state.role === 'joined') {
    lines.push(`joined the switch at ${state.socket}`);
  } else if (state.role === 'embedded') {
    lines.push(
      `no switch was listening at ${state.socket}: serving as switch too; guests join it with`,
      `  qemu-system-x86_64 -netdev vde,id=n0,sock=${state.socket} -device virtio-net-pci,netdev=n0 ...`,
      `  vde_plug vde://${state.socket} tap://tap0`,
      `  vdens vde://${state.socket}`,
    );
  }
  for (const path of config.qemuStreams) {
    lines.push(
      'guests of QEMU join with',
      `  qemu-system-x86_64 -netdev stream,id=n0,addr.type=unix,addr.path=${path} -device virtio-net-pci,netdev=n0 ...`,
    );
  }
  lines.push(
    config.hostLoopback
      ? `guests reach the loopback services of this host at ${router} (--no-host-loopback refuses them)`
      : `guests do not reach ${config.noHost ? 'this host' : 'the loopback services of this host'}`,
    ...(config.restrict ? ['guests reach nothing but services of the router and what --allow names'] : []),
    state.pingProblem === null
      ? 'ping of guests is forwarded'
      : `ping of guests is not forwarded: ${state.pingProblem}`,
  );
  const { nat64, dns64 } = config.ipv6;
  if (nat64 !== null) {
    const prefix = `${formatIpv6(nat64.words)}/${nat64.prefixLen}`;
    lines.push(`guests reach IPv4 by IPv6 at ${prefix}${dns64 ? ', and are led there by DNS64' : ''}`);
  }
  if (state.forwards.some(listensEverywhere)) {
    lines.push('forwards without an address are open on all addresses of this host');
  }
  return lines;
}
