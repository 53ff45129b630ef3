// Menus `port` and `hash` of a switch, printed as vde_switch prints them.

import { nameOfUser, VdeEndpoint } from '../link/index.ts';
import type { Endpoint, FdbEntry, Port, Switch } from '../switch/index.ts';
import { MAX_LINES, macText } from './columns.ts';
import type { ConsoleEntry } from './console.ts';
import { data, failure, type Reply } from './replies.ts';

/** Buckets of the classic switch's hash table, whose numbers `hash/print` shows. */
const CLASSIC_BUCKETS = 128n;

export function switchCommands(sw: Switch): ConsoleEntry[] {
  return [
    { path: 'port', help: 'PORT STATUS MENU' },
    {
      path: 'port/showinfo',
      help: 'show port info',
      run: () => data([`Numports=${sw.numPorts}`, 'HUB=false', 'counters=true']),
    },
    {
      path: 'port/print',
      syntax: '[N]',
      help: 'print the port/endpoint table',
      run: ([number]) => printPorts(sw, number, true),
    },
    {
      path: 'port/allprint',
      syntax: '[N]',
      help: 'print the port/endpoint table (including inactive port)',
      run: ([number]) => printPorts(sw, number, false),
    },
    { path: 'hash', help: 'HASH TABLE MENU' },
    {
      path: 'hash/print',
      help: 'print the hash table',
      run: () => data(stationLines([...sw.stations()])),
    },
    {
      path: 'hash/find',
      syntax: 'MAC [VLAN]',
      help: 'MAC lookup',
      run: ([mac = '', vlan = '0']) => findStation(sw, mac, vlan),
    },
  ];
}

function printPorts(sw: Switch, number: string | undefined, onlyActive: boolean): Reply {
  const shown = (port: Port | null): boolean => port !== null && (port.active || !onlyActive);
  if (number === undefined) return data(sw.ports().filter(shown).flatMap(portLines).slice(0, MAX_LINES));
  const n = /^\d{1,5}$/.test(number) ? Number(number) : -1;
  if (n < 0 || n >= sw.numPorts) return { ...failure('EINVAL'), data: [] };
  const port = sw.port(n);
  return shown(port) ? data(portLines(port!)) : { ...failure('ENXIO'), data: [] };
}

function portLines(port: Port): string[] {
  const { counters: c } = port;
  const count = (frames: number, bytes: number): string =>
    `pkts ${String(frames).padStart(10)}          bytes ${String(bytes).padStart(20)}`;
  const allocatable = port.allocatable ? '' : 'NOT ';
  return [
    `Port ${four(port.number)} untagged_vlan=0000 ${port.active ? '' : 'IN'}ACTIVE - ${allocatable}Unnamed Allocatable`,
    ` Current User: ${nameOfUser(port.uid)} Access Control: (User: NONE - Group: NONE)`,
    ` IN:  ${count(c.rxFrames, c.rxBytes)}`,
    ` OUT: ${count(c.txFrames, c.txBytes)}`,
    ...port.endpoints.toReversed().map(endpointLine),
  ];
}

function endpointLine({ link, description }: Endpoint): string {
  const [id, module] = link instanceof VdeEndpoint ? [link.endpointId, 'unix prog'] : [0, 'internal'];
  return `  -- endpoint ID ${four(id)} module ${module.padEnd(12)}: ${description || 'no endpoint description'}`;
}

function stationLines(stations: FdbEntry[]): string[] {
  return stations
    .map((entry) => ({ entry, bucket: bucketOf(entry) }))
    .sort((a, b) => a.bucket - b.bucket || a.entry.macHi - b.entry.macHi || a.entry.macLo - b.entry.macLo)
    .slice(0, MAX_LINES)
    .map(
      ({ entry: { macHi, macLo, vlan, port, ageSec }, bucket }) =>
        `Hash: ${four(bucket)} Addr: ${macText(macHi, macLo)} VLAN ${four(vlan)} to port: ` +
        `${String(port).padStart(3, '0')}  age ${Math.floor(ageSec)} secs`,
    );
}

function findStation(sw: Switch, mac: string, vlan: string): Reply {
  const bytes = /^([0-9a-f]{1,2}[:.]){5}[0-9a-f]{1,2}$/i.test(mac) ? mac.split(/[:.]/) : null;
  if (bytes === null || !/^\d{1,4}$/.test(vlan)) return { ...failure('EINVAL'), data: [] };
  const text = bytes.map((byte) => byte.toLowerCase().padStart(2, '0')).join(':');
  const found = [...sw.stations()].filter(
    (each) => macText(each.macHi, each.macLo) === text && each.vlan === Number(vlan),
  );
  return found.length > 0 ? data(stationLines(found)) : { ...failure('ENODEV'), data: [] };
}

/** The bucket in which the classic switch keeps a station: a 64-bit finalizer over MAC (little endian) and VLAN. */
export function bucketOf({ macHi, macLo, vlan }: Pick<FdbEntry, 'macHi' | 'macLo' | 'vlan'>): number {
  let k = BigInt(vlan) << 48n;
  const mac = macText(macHi, macLo).split(':');
  for (let i = 0; i < 6; i++) k |= BigInt(Number.parseInt(mac[i]!, 16)) << BigInt(8 * i);
  k ^= k >> 33n;
  k = BigInt.asUintN(64, k * 0xff51afd7ed558ccdn);
  k ^= k >> 33n;
  k = BigInt.asUintN(64, k * 0xc4ceb9fe1a85ec53n);
  return Number(k % CLASSIC_BUCKETS);
}

const four = (n: number): string => String(n).padStart(4, '0');
