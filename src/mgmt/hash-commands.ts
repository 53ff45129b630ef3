// Menu `hash` of a switch: the stations, printed as vde_switch prints its hash table.

import type { FdbEntry, Switch } from '../switch/index.ts';
import { atoi } from './c-numbers.ts';
import { four, MAX_LINES, macText } from './columns.ts';
import type { ConsoleEntry } from './console.ts';
import { emptyData } from './port-commands.ts';
import { data, failure, type Reply, SUCCESS } from './replies.ts';

export function hashCommands(sw: Switch): ConsoleEntry[] {
  const { hash } = sw;
  const set =
    (change: (value: number) => void) =>
    (_words: readonly string[], text: string): Reply => {
      change(atoi(text));
      return SUCCESS;
    };
  return [
    { path: 'hash', help: 'HASH TABLE MENU' },
    {
      path: 'hash/showinfo',
      help: 'show hash info',
      run: () => {
        const { hashSize, gcIntervalSec, ageSec, minPersistenceSec } = hash.info;
        return data([
          `Hash size ${hashSize}`,
          `GC interval ${gcIntervalSec} secs`,
          `GC expire ${ageSec} secs`,
          `Min persistence ${minPersistenceSec} secs`,
        ]);
      },
    },
    {
      path: 'hash/setsize',
      syntax: 'N',
      help: 'change hash size',
      details: 'Rounded up to a power of two; forgets all stations, and makes room for at least that many.',
      run: (_words, text) => (hash.setSize(atoi(text)) ? SUCCESS : failure('EINVAL')),
    },
    {
      path: 'hash/setgcint',
      syntax: 'N',
      help: 'change garbage collector interval',
      run: set((seconds) => hash.setGcInterval(seconds)),
    },
    {
      path: 'hash/setexpire',
      syntax: 'N',
      help: 'change hash entries expire time',
      run: set((seconds) => hash.setAge(seconds)),
    },
    {
      path: 'hash/setminper',
      syntax: 'N',
      help: 'minimum persistence time',
      details: 'A station moves to another port when its own has not heard it for longer.',
      run: set((seconds) => hash.setMinPersistence(seconds)),
    },
    {
      path: 'hash/print',
      help: 'print the hash table',
      run: () => data(stationLines([...sw.stations()], hash.info.hashSize)),
    },
    {
      path: 'hash/find',
      syntax: 'MAC [VLAN]',
      help: 'MAC lookup',
      run: ([mac = '', vlan = '']) => findStation(sw, mac, atoi(vlan)),
    },
  ];
}

function stationLines(stations: readonly FdbEntry[], size: number): string[] {
  return stations
    .map((entry) => ({ entry, bucket: bucketOf(entry, size) }))
    .sort((a, b) => a.bucket - b.bucket || a.entry.macHi - b.entry.macHi || a.entry.macLo - b.entry.macLo)
    .slice(0, MAX_LINES)
    .map(
      ({ entry: { macHi, macLo, vlan, port, ageSec }, bucket }) =>
        `Hash: ${four(bucket)} Addr: ${macText(macHi, macLo)} VLAN ${four(vlan)} to port: ` +
        `${String(port).padStart(3, '0')}  age ${Math.floor(ageSec)} secs`,
    );
}

function findStation(sw: Switch, mac: string, vlan: number): Reply {
  if (!/^([0-9a-f]{1,2}[:.]){5}[0-9a-f]{1,2}$/i.test(mac)) return emptyData('EINVAL');
  const bytes = mac.split(/[:.]/).map((byte) => Number.parseInt(byte, 16)) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const [a, b, c, d, e, f] = bytes;
  const found = sw.hash.find(vlan, (a << 8) | b, ((c << 24) | (d << 16) | (e << 8) | f) >>> 0);
  return found === null ? emptyData('ENODEV') : data(stationLines([found], sw.hash.info.hashSize));
}

/** The bucket in which the classic switch keeps a station: a 64-bit finalizer over MAC (little endian) and VLAN. */
export function bucketOf({ macHi, macLo, vlan }: Pick<FdbEntry, 'macHi' | 'macLo' | 'vlan'>, size: number): number {
  let k = BigInt(vlan) << 48n;
  const mac = macText(macHi, macLo).split(':');
  for (let i = 0; i < 6; i++) k |= BigInt(Number.parseInt(mac[i]!, 16)) << BigInt(8 * i);
  k ^= k >> 33n;
  k = BigInt.asUintN(64, k * 0xff51afd7ed558ccdn);
  k ^= k >> 33n;
  k = BigInt.asUintN(64, k * 0xc4ceb9fe1a85ec53n);
  return Number(k % BigInt(size));
}
