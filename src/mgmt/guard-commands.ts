// Menu `guard` of vde_switch: what ports that are not trusted may do. The original has nothing like it.

import { formatAddress, parseAddress, parseMac } from '../core/address.ts';
import {
  GUARD_KINDS,
  type GuardKind,
  type GuardMode,
  type Refusal,
  STORM_BURST,
  STORM_KINDS,
  STORM_RATE,
  type StormKind,
  type Switch,
} from '../switch/index.ts';
import { i32, u16 } from '../wire/bytes.ts';
import { columns, MAX_LINES, macText } from './columns.ts';
import type { ConsoleEntry } from './console.ts';
import { isPort, replyTo } from './port-commands.ts';
import { data, failure, type Reply, SUCCESS } from './replies.ts';

const MODES: readonly string[] = ['off', 'warn', 'enforce'] satisfies GuardMode[];
/** Kinds that `all` stands for; BPDUs are a matter of their own. */
const ADDRESS_KINDS = GUARD_KINDS.filter((kind) => kind !== 'bpdu');

/** Sets how ARP, DHCP, router advertisements and source addresses are guarded. */
export function setGuard(sw: Switch, mode: GuardMode): void {
  for (const kind of ADDRESS_KINDS) sw.guard.setMode(kind, mode);
}

/** Sets what becomes of BPDUs where none are expected. */
export function setBpduGuard(sw: Switch, mode: GuardMode | 'disable'): void {
  sw.guard.closesPorts = mode === 'disable';
  sw.guard.setMode('bpdu', mode === 'disable' ? 'enforce' : mode);
}

export function guardCommands(sw: Switch): ConsoleEntry[] {
  const { guard, admin } = sw;
  const port = (words: readonly string[], change: (number: number, on: boolean) => Refusal | null): Reply => {
    const [number = '', on = ''] = words;
    if (!/^(\d{1,5}|all)$/.test(number) || !/^[01]$/.test(on)) return failure('EINVAL');
    if (number !== 'all') return replyTo(change(Number(number), on === '1'));
    for (const each of sw.ports()) change(each.number, on === '1');
    return SUCCESS;
  };
  return [
    { path: 'guard', help: 'PROTECTION MENU' },
    {
      path: 'guard/showinfo',
      help: 'show what is guarded, and which ports are special',
      run: () => {
        const modes = GUARD_KINDS.map((kind) => {
          const closes = kind === 'bpdu' && guard.closesPorts && guard.mode(kind) === 'enforce';
          return `${kind}=${closes ? 'disable' : guard.mode(kind)}`;
        });
        const numbers = (wanted: (each: ReturnType<typeof sw.ports>[number]) => boolean): string => {
          const found = sw.ports().filter(wanted);
          return found.length === 0 ? 'none' : found.map(({ number }) => number).join(',');
        };
        return data([
          ...modes,
          `trusted=${numbers((each) => each.trusted)}`,
          `isolated=${numbers((each) => each.isolated)}`,
          `transparent=${numbers((each) => each.transparent)}`,
          `closed=${numbers((each) => each.disabled)}`,
        ]);
      },
    },
    {
      path: 'guard/mode',
      syntax: 'KIND MODE',
      help: 'guard arp, dhcp, ra, source, all of these, or bpdu: off, warn or enforce',
      details:
        '`warn` counts what `enforce` drops: see `drops/list`. `guard/mode bpdu disable` closes the port that a BPDU came ' +
        'from until `guard/enable`.',
      run: ([kind = '', mode = '']) => {
        if (kind === 'bpdu' && mode === 'disable') setBpduGuard(sw, 'disable');
        else if (!MODES.includes(mode)) return failure('EINVAL');
        else if (kind === 'all') setGuard(sw, mode as GuardMode);
        else if (kind === 'bpdu') setBpduGuard(sw, mode as GuardMode);
        else if ((GUARD_KINDS as readonly string[]).includes(kind)) guard.setMode(kind as GuardKind, mode as GuardMode);
        else return failure('EINVAL');
        return SUCCESS;
      },
    },
    {
      path: 'guard/bind',
      syntax: 'PORT MAC ADDR [VLAN]',
      help: 'an address belongs to a station on a port, whatever it says itself',
      details: 'Others are learned: from DHCP, from duplicate address detection, and from trusted ports.',
      run: (words) => bind(sw, words),
    },
    {
      path: 'guard/unbind',
      syntax: 'ADDR [VLAN]',
      help: 'forget whose an address is',
      run: ([text = '', vlan = '']) => {
        const address = parseAddress(text);
        if (address === null || !/^\d{0,4}$/.test(vlan)) return failure('EINVAL');
        return guard.bindings.unbind(Number(vlan), ...address) ? SUCCESS : failure('ENOENT');
      },
    },
    {
      path: 'guard/bindings',
      help: 'list whose addresses are',
      run: () => {
        const rows = guard.bindings
          .list()
          .sort((a, b) => a.vlan - b.vlan || a.port - b.port)
          .slice(0, MAX_LINES)
          .map(({ vlan, port: number, macHi, macLo, a0, a1, a2, a3, source }) => [
            ...[String(vlan), String(number), macText(macHi, macLo)],
            ...[formatAddress(a0, a1, a2, a3), source],
          ]);
        return data(columns(['VLAN', 'PORT', 'MAC', 'ADDRESS', 'SOURCE'], rows));
      },
    },
    {
      path: 'guard/trust',
      syntax: 'N 1/0',
      help: 'a port of a router, server or another switch: not guarded',
      run: (words) => port(words, (number, on) => admin.setTrusted(number, on)),
    },
    {
      path: 'guard/isolate',
      syntax: 'N 1/0',
      help: 'isolated ports hear only ports that are not',
      run: (words) => port(words, (number, on) => admin.setIsolated(number, on)),
    },
    {
      path: 'guard/transparent',
      syntax: 'N 1/0',
      help: 'let tagged frames of VLANs that the port is not a member of pass as they are',
      details: 'Inside the untagged VLAN of the port. `all` for every port, also those to come.',
      run: (words) =>
        words[0] === 'all' && /^[01]$/.test(words[1] ?? '')
          ? replyTo(admin.setTransparent(-1, words[1] === '1'))
          : port(words, (number, on) => admin.setTransparent(number, on)),
    },
    {
      path: 'guard/enable',
      syntax: 'N',
      help: 'open a port that the BPDU guard has closed',
      run: ([number = '']) => (isPort(number) ? replyTo(admin.enable(Number(number))) : failure('EINVAL')),
    },
    {
      path: 'guard/storm',
      syntax: 'N KIND RATE [BURST]',
      help: 'limit broadcast, multicast, unknown or all frames from a port, frames a second',
      details: `0 ends the limit; N may be \`all\`. ${STORM_RATE} with a burst of ${STORM_BURST} is a good value.`,
      run: (words) => setStorm(sw, words),
    },
    {
      path: 'guard/stormlist',
      help: 'list these limits',
      run: () => {
        const rows = sw.storm
          .list()
          .map(({ port: number, kind, rate, burst }) => [number, kind, rate, burst].map(String));
        return data(columns(['PORT', 'KIND', 'RATE', 'BURST'], rows));
      },
    },
    {
      path: 'guard/moves',
      help: 'list how often stations moved to a port, and how many frames came from stations that are held elsewhere',
      details: 'Ports where neither happened are left out. A move is told in the log, too.',
      run: () => {
        const rows = sw
          .ports()
          .filter(({ counters }) => counters.moves + counters.movesHeld > 0)
          .map(({ number, counters }) => [number, counters.moves, counters.movesHeld].map(String));
        return data(columns(['PORT', 'MOVES', 'HELD'], rows));
      },
    },
    {
      path: 'guard/share',
      syntax: 'N STATIONS',
      help: 'how many stations are learned from a port at most',
      run: ([number = '', share = '']) => {
        if (!isPort(number) || !/^\d{1,7}$/.test(share)) return failure('EINVAL');
        if (sw.port(Number(number)) === null) return failure('ENXIO');
        sw.fdb.setShare(Number(number), Number(share));
        return SUCCESS;
      },
    },
  ];
}

function bind(sw: Switch, [number = '', mac = '', text = '', vlan = '']: readonly string[]): Reply {
  const bytes = parseMac(mac);
  const address = parseAddress(text);
  if (!isPort(number) || bytes === null || address === null || !/^\d{0,4}$/.test(vlan)) return failure('EINVAL');
  if (sw.port(Number(number)) === null || sw.vlans.get(Number(vlan)) === null) return failure('ENXIO');
  const owner = {
    macHi: u16(bytes, 0),
    macLo: i32(bytes, 2),
    port: Number(number),
    source: 'static',
    lifetimeSec: 0,
  } as const;
  return sw.guard.bindings.bind(Number(vlan), ...address, owner) ? SUCCESS : failure('ENOSPC');
}

function setStorm(sw: Switch, [number = '', kind = '', rate = '', burst = '']: readonly string[]): Reply {
  const kinds = kind === 'all' ? STORM_KINDS : STORM_KINDS.filter((each) => each === kind);
  if (!/^(\d{1,5}|all)$/.test(number) || kinds.length === 0) return failure('EINVAL');
  if (!/^\d{1,8}$/.test(rate) || !/^\d{0,8}$/.test(burst)) return failure('EINVAL');
  return replyTo(
    limitStorm(sw, number === 'all' ? -1 : Number(number), kinds, Number(rate), burst === '' ? null : Number(burst)),
  );
}

/**
 * Limits what a port may flood.
 *
 * @param number  port, or -1 for all that exist
 * @param rate    frames a second; 0: no limit
 * @param burst   frames at once; null for a fifth of the rate
 */
export function limitStorm(
  sw: Switch,
  number: number,
  kinds: readonly StormKind[],
  rate: number,
  burst: number | null,
): Refusal | null {
  for (const kind of kinds) {
    const refusal = sw.setStorm(number, kind, rate, burst ?? Math.max(1, Math.ceil(rate / 5)));
    if (refusal !== null) return refusal;
  }
  return null;
}
