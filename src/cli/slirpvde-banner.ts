// Start-up text: the original's lines, which scripts read, then ours.

import { formatIpv4 } from '../core/address.ts';
import { formatForward, listensEverywhere } from './forward.ts';
import type { SlirpvdeConfig } from './slirpvde-config.ts';
import type { SlirpvdeState } from './slirpvde-service.ts';

/** The block that the original prints, same columns. */
export function classicBanner(
  config: SlirpvdeConfig,
  state: Pick<SlirpvdeState, 'socket' | 'forwards' | 'displays'>,
): string[] {
  const values: [string, string][] = [
    ['virtual_host', `${formatIpv4(config.network.address)}/${config.network.prefixLen}`],
    ['DNS         ', formatIpv4(config.nameserver)],
  ];
  if (config.dhcp !== null) values.push(['dhcp_start  ', formatIpv4(config.dhcp.start)]);
  values.push(['vde switch  ', state.socket]);
  for (const forward of state.forwards)
    values.push([`redir ${forward.protocol.toUpperCase()}   `, formatForward(forward)]);
  for (const { path, guest } of config.unixForwards) values.push(['redir TCP   ', `${path}:${guest}`]);
  for (const display of state.displays) values.push(['redir X     ', formatForward(display)]);
  for (const { port, path } of config.unixServices) values.push(['redir UNIX  ', `${port}:${path}`]);
  const head = 'Starting slirpvde: ';
  return values.map(([name, value], i) => `${i === 0 ? head : ' '.repeat(head.length)}${name}=${value}`);
}

/** What the original does not say: role, how guests join, what they reach. Each line is for the log. */
export function stateLines(config: SlirpvdeConfig, state: SlirpvdeState): string[] {
  const router = formatIpv4(config.network.address);
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
  if (state.forwards.some(listensEverywhere)) {
    lines.push('forwards without an address are open on all addresses of this host');
  }
  return lines;
}
