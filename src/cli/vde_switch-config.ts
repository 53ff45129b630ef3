// From vde_switch's command line to a configuration without loose ends. What the original takes for a number that is
// none (`-n x` is 0 ports) is an error here.

import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { defaultControlDirectory } from '../link/index.ts';
import { type GuardMode, MAX_PORTS, type TreeMode } from '../switch/index.ts';
import type { ParsedCommand } from './parse.ts';
import type { ProcessOptions } from './run-service.ts';
import { UsageError } from './usage-error.ts';
import {
  absolutePath,
  type ManagementSocket,
  managementSocket,
  octalMode,
  oneOf,
  stationAddress,
  wholeNumber,
} from './values.ts';

/** What becomes of BPDUs where none are expected; `disable` closes the port. */
export type BpduGuard = GuardMode | 'disable';

export interface VdeSwitchConfig extends ProcessOptions {
  readonly numPorts: number;
  readonly hub: boolean;
  readonly tree: TreeMode;
  /** Address of the switch; null for a random one. */
  readonly mac: Uint8Array | null;
  readonly priority: number;
  readonly hashSize: number;
  readonly mtu: number;
  readonly transparent: boolean;
  /** TAP interfaces to connect. */
  readonly taps: readonly string[];
  /** Control directory, absolute. */
  readonly socket: string;
  /** Permissions; null where they follow from the other one. */
  readonly mode: number | null;
  readonly dirMode: number | null;
  /** Group of the control directory, name or number. */
  readonly group: string | null;
  readonly guard: GuardMode;
  readonly bpduGuard: BpduGuard;
  /** Frames a second and at once that a port may flood of each kind; null: no limit. */
  readonly storm: { readonly rate: number; readonly burst: number } | null;
  readonly macTable: number;
  readonly macShare: number;
  readonly mgmt: ManagementSocket | null;
  /** Commands to carry out at the start, absolute; null: none. */
  readonly rcFile: string | null;
  /** Standard input is a console. */
  readonly stdin: boolean;
}

const MIN_MTU = 576; // RFC 791 section 3.1: what every host must take
const MAX_MTU = 9216; // a VDE frame holds 9234 bytes: Ethernet header, one tag, and this
const MAX_STATIONS = 1 << 20;
const MAX_RATE = 10_000_000;
const MAX_INTERFACE_NAME = 15; // IFNAMSIZ, less the NUL

/**
 * Makes the configuration.
 *
 * @param cwd  directory that relative paths start from
 * @throws UsageError
 */
export function vdeSwitchConfig(parsed: ParsedCommand, cwd: string): VdeSwitchConfig {
  const text = (key: string): string | null => {
    const value = parsed.values.get(key);
    return typeof value === 'string' ? value : null;
  };
  const flag = (key: string): boolean => parsed.values.get(key) === true;
  const path = (key: string): string | null => {
    const value = text(key);
    return value === null ? null : absolutePath(`--${key}`, value, cwd);
  };
  const number = (key: string, option: string, least: number, most: number, otherwise: number): number => {
    const value = text(key);
    return value === null ? otherwise : wholeNumber(option, value, least, most, key === 'priority');
  };
  const mac = text('macaddr');
  const daemon = flag('daemon');
  if (flag('fstp') && flag('rstp')) throw new UsageError('--fstp and --rstp exclude each other');
  if (flag('hub') && flag('rstp'))
    throw new UsageError('a hub has no spanning tree: --hub and --rstp exclude each other');
  return {
    numPorts: number('numports', '--numports', 2, MAX_PORTS, 32),
    hub: flag('hub'),
    // As in the original, --hub wins over --fstp.
    tree: flag('hub') ? 'off' : flag('rstp') ? 'rstp' : flag('fstp') ? 'fstp' : 'off',
    mac: mac === null ? null : stationAddress('--macaddr', mac),
    priority: number('priority', '--priority', 0, 0xffff, 0x8000),
    hashSize: number('hashsize', '--hashsize', 1, MAX_STATIONS, 128),
    mtu: number('mtu', '--mtu', MIN_MTU, MAX_MTU, MAX_MTU),
    transparent: flag('transparent'),
    taps: interfaces(parsed.values.get('tap')),
    socket: path('sock') ?? defaultControlDirectory(),
    mode: octalMode('--mode', text('mode')),
    dirMode: octalMode('--dirmode', text('dirmode'), 0o7777),
    group: text('group'),
    guard: oneOf('--guard', text('guard'), ['off', 'warn', 'enforce']),
    bpduGuard: oneOf('--bpdu-guard', text('bpduGuard'), ['off', 'warn', 'enforce', 'disable']),
    storm: stormLimit(text('storm')),
    macTable: number('macTable', '--mac-table', 1, MAX_STATIONS, 8192),
    macShare: number('macShare', '--mac-share', 1, MAX_STATIONS, 1024),
    mgmt: managementSocket(path('mgmt'), text('mgmtMode'), text('mgmtGroup')),
    rcFile: path('rcfile') ?? defaultRcFile(),
    stdin: !daemon && !flag('nostdin'),
    daemon,
    pidfile: path('pidfile'),
    log: path('log'),
    quiet: flag('quiet'),
    verbose: flag('verbose'),
  };
}

function interfaces(value: true | string | readonly string[] | undefined): readonly string[] {
  const names = Array.isArray(value) ? value : [];
  for (const [i, name] of names.entries()) {
    const bad = name === '.' || name === '..' || /[/\s:\0]/.test(name) || Buffer.byteLength(name) > MAX_INTERFACE_NAME;
    if (bad) throw new UsageError(`option '--tap': '${name}' cannot be the name of an interface`);
    if (names.indexOf(name) !== i) throw new UsageError(`option '--tap': '${name}' was given twice`);
  }
  return names;
}

function stormLimit(value: string | null): VdeSwitchConfig['storm'] {
  if (value === null) return null;
  const [rate = '', burst, ...more] = value.split(',');
  if (more.length > 0) throw new UsageError(`option '--storm': '${value}' is not RATE[,BURST]`);
  const frames = wholeNumber('--storm', rate, 1, MAX_RATE);
  return {
    rate: frames,
    burst: burst === undefined ? Math.ceil(frames / 5) : wholeNumber('--storm', burst, 1, MAX_RATE),
  };
}

/** The first of the usual files that is there, or null. */
function defaultRcFile(): string | null {
  const places = [join(homedir(), '.vde2/vde_switch.rc'), '/etc/vde2/vde_switch.rc'];
  return places.find((place) => existsSync(place)) ?? null;
}
