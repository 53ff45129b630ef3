// Console of vde_l3: the original's commands and the form of what they print.

import { formatIpv4, formatMac, ipv4Mask } from '../core/address.ts';
import { dropSnapshot } from '../core/drop.ts';
import type { Forwarder, L3Interface } from '../l3/index.ts';
import type { ConsoleEntry, EventCategory } from './console.ts';
import { checkHost, POLICY_FORMS, parseHost, parseMask, parseNetwork, parsePolicy } from './l3-text.ts';
import { data, failure, type Reply, SUCCESS } from './replies.ts';

export const L3_EVENTS = {
  'if/+': { path: 'if/+', tag: 0o021, help: 'interface joined its switch' },
  'if/-': { path: 'if/-', tag: 0o022, help: 'the switch of an interface is gone' },
} as const satisfies Record<string, EventCategory>;

/** @param banner  first lines of `showinfo` */
export function l3Commands(router: Forwarder, banner: readonly string[]): readonly ConsoleEntry[] {
  const face = (name: string | undefined): L3Interface | null =>
    router.interfaces.find((each) => each.name === name) ?? null;
  return [
    {
      path: 'showinfo',
      help: 'show version, traffic and drops of each interface',
      run: () =>
        data([
          ...banner,
          '',
          `pid ${process.pid} uptime ${Math.floor(process.uptime())}`,
          ...router.interfaces.flatMap(counters),
        ]),
    },
    {
      path: 'ifconfig',
      syntax: '[vdN [ADDRESS [netmask NETMASK]]]',
      help: 'show or configure interfaces',
      details:
        'The hardware address stays what it was made of at the start. Without a netmask the present one is kept.',
      run: ([name, address, word, mask]) => {
        if (name === undefined) return data(router.interfaces.flatMap(ifconfigLines));
        const found = face(name);
        if (found === null) return failure('ENODEV');
        if (address === undefined) return data(ifconfigLines(found));
        if (word !== undefined && (word !== 'netmask' || mask === undefined)) return failure('EINVAL');
        const next = checkHost(parseHost(address), mask === undefined ? found.mask : parseMask(mask), address);
        if (router.interfaces.some((each) => each !== found && each.address === next.address))
          return failure('EADDRINUSE');
        found.configure(next.address, next.mask);
        return SUCCESS;
      },
    },
    {
      path: 'route',
      syntax: 'list|net|default|del',
      help: 'show or change the routing table',
      details:
        '`route list`; `route net ADDRESS/NETMASK gw GATEWAY`; `route default gw GATEWAY`; `route del ADDRESS/NETMASK`, ' +
        '`route del default`. Gateways must be stations of a network that an interface is on.',
      run: (words) => route(router, words),
    },
    {
      path: 'tc',
      syntax: 'ls|set DEV POLICY ARGS',
      help: 'show or change the traffic shaping of interfaces',
      details: `Policies: ${POLICY_FORMS.map((form) => `\`${form}\``).join(', ')}. Speeds in bytes per second.`,
      run: ([what, device, ...policy]) => {
        if (what === 'ls') return data(router.interfaces.map(policyLine));
        if (what !== 'set') return failure('EINVAL', 'tc ls, or tc set DEV POLICY ARGS');
        const found = face(device);
        if (found === null) return failure('ENODEV');
        found.out.set(parsePolicy(policy));
        return SUCCESS;
      },
    },
  ];
}

function route(router: Forwarder, words: readonly string[]): Reply {
  const [what, ...rest] = words;
  if (what === 'list') return data(routeLines(router));
  if (what === 'del') {
    const { network, mask } = rest[0] === 'default' ? { network: 0, mask: 0 } : parseNetwork(rest[0] ?? '');
    return router.routes.remove(network, mask) ? SUCCESS : failure('ENOENT');
  }
  const [target, gw, gateway, ...more] = what === 'default' ? ['0.0.0.0/0', ...rest] : rest;
  if ((what !== 'default' && what !== 'net') || gw !== 'gw' || gateway === undefined || more.length > 0)
    return failure('EINVAL', 'route list, route net ADDRESS/NETMASK gw GATEWAY, route default gw GATEWAY, route del');
  const via = parseHost(gateway);
  if (router.connected(via) === null) return failure('EADDRNOTAVAIL', `no interface is on the network of ${gateway}`);
  router.routes.set({ ...parseNetwork(target!), gateway: via });
  return SUCCESS;
}

/** The hardware address in capitals, as the original prints it. */
function macOf({ macHi, macLo }: L3Interface): string {
  const bytes = [macHi >>> 8, macHi & 255, macLo >>> 24, (macLo >>> 16) & 255, (macLo >>> 8) & 255, macLo & 255];
  return formatMac(Uint8Array.from(bytes)).toUpperCase();
}

const ifconfigLines = (face: L3Interface): string[] => [
  `${face.name}\tLink encap: vde HWaddr ${macOf(face)}`,
  `\tinet addr:${formatIpv4(face.address)} Netmask:${formatIpv4(face.mask)}`,
  '',
];

function routeLines(router: Forwarder): string[] {
  const row = (network: number, gateway: number, mask: number, name: string): string =>
    `${formatIpv4(network)}\t${formatIpv4(gateway)}\t\t${formatIpv4(mask)}\t\t${name}`;
  return [
    'Destination\tGateway\t\tGenmask\t\tIface',
    ...router.interfaces.map((face) => row(face.network, 0, face.mask, face.name)),
    ...router.routes
      .list()
      .map(({ network, gateway, mask }) => row(network, gateway, mask, router.connected(gateway)?.name ?? '-')),
  ];
}

function policyLine({ name, out, link }: L3Interface): string {
  const { policy, overlimits } = out;
  switch (policy.kind) {
    case 'ufifo':
      return `${name}: ufifo. No Statistics Available.`;
    case 'tbf':
      return (
        `${name}: tbf. Shaping at Rate = ${policy.rate} Bytes/s, bucket limit: ${policy.limit} bytes. ` +
        `Overlimits: ${overlimits} packets. MTU=${link.mtu}`
      );
    default:
      return `${name}: ${policy.kind}. Limit: ${policy.limit}. Overlimits: ${overlimits} packets.`;
  }
}

function counters(face: L3Interface): string[] {
  const { link, neighbors, out } = face;
  const drops = Object.entries(dropSnapshot(link.drops)).map(([reason, count]) => `${reason} ${count}`);
  return [
    `${face.name} in ${link.stats.rxFrames} frames, out ${link.stats.txFrames} frames, waiting ${out.backlog} bytes, ` +
      `neighbors ${neighbors.size} of ${neighbors.capacity}, prefix /${prefixOf(face.mask)}`,
    ...(drops.length === 0 ? [] : [`${face.name} drops: ${drops.join(', ')}`]),
  ];
}

const prefixOf = (mask: number): number => [...Array(33).keys()].find((len) => ipv4Mask(len) === mask) ?? 0;
