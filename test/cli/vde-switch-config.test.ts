import { join } from 'node:path';
import test from 'ava';
import { parseCommandLine } from '../../src/cli/parse.ts';
import { UsageError } from '../../src/cli/usage-error.ts';
import { type VdeSwitchConfig, vdeSwitchConfig } from '../../src/cli/vde_switch-config.ts';
import { VDE_SWITCH } from '../../src/cli/vde_switch-options.ts';
import { defaultControlDirectory } from '../../src/link/index.ts';

const CWD = '/srv/here';
const read = (...words: string[]): VdeSwitchConfig => vdeSwitchConfig(parseCommandLine(VDE_SWITCH, words), CWD);

test('without options: the original’s defaults', (t) => {
  t.like(read(), {
    numPorts: 32,
    hub: false,
    tree: 'off',
    mac: null,
    priority: 0x8000,
    hashSize: 128,
    mtu: 9216,
    socket: defaultControlDirectory(),
    mode: null,
    dirMode: null,
    guard: 'off',
    bpduGuard: 'off',
    storm: null,
    mgmt: null,
    stdin: true,
    daemon: false,
  });
});

const cases: readonly (readonly [string, Partial<VdeSwitchConfig>])[] = [
  ['-n 64', { numPorts: 64 }],
  ['-numports 64', { numPorts: 64 }],
  ['-x', { hub: true }],
  ['-hub -F', { hub: true, tree: 'off' }],
  ['-F', { tree: 'fstp' }],
  ['--rstp', { tree: 'rstp' }],
  ['--macaddr 00.ff.11.22.33.44', { mac: Uint8Array.of(0, 255, 0x11, 0x22, 0x33, 0x44) }],
  ['--priority 0x1000', { priority: 4096 }],
  ['--priority 010', { priority: 8 }],
  ['--hashsize 1000', { hashSize: 1000 }],
  ['-sock x', { socket: join(CWD, 'x') }],
  ['--unix /x', { socket: '/x' }],
  ['--vdesock /x', { socket: '/x' }],
  ['-s /x', { socket: '/x' }],
  ['-m 660', { mode: 0o660 }],
  ['--mod 0660', { mode: 0o660 }],
  ['--dirmode 2770', { dirMode: 0o2770 }],
  ['-g kvm', { group: 'kvm' }],
  ['-daemon', { daemon: true, stdin: false }],
  ['--nostdin', { stdin: false }],
  ['-p pid', { pidfile: join(CWD, 'pid') }],
  ['-f /rc', { rcFile: '/rc' }],
  ['-M /m --mgmtmode 660 --mgmtgroup 5', { mgmt: { path: '/m', mode: 0o660, group: '5' } }],
  ['-D 5', { stdin: true }],
  ['-t tap0 -tap tap1', { taps: ['tap0', 'tap1'] }],
  ['--storm 1000', { storm: { rate: 1000, burst: 200 } }],
  ['--storm 1000,7', { storm: { rate: 1000, burst: 7 } }],
  ['--guard enforce --bpdu-guard disable', { guard: 'enforce', bpduGuard: 'disable' }],
  [
    '--mac-table 10 --mac-share 5 --mtu 1500 --transparent',
    { macTable: 10, macShare: 5, mtu: 1500, transparent: true },
  ],
];
for (const [line, want] of cases) test(`options: ${line}`, (t) => t.like(read(...line.split(' ')), want));

const refused: readonly (readonly [string, RegExp])[] = [
  ['-n x', /'--numports': 'x' is not a number from 2 to 65536/],
  ['-n 65537', /not a number/],
  ['--priority 65536', /not a number/],
  ['--macaddr zz', /not the address of one station/],
  ['--macaddr 01:00:00:00:00:00', /not the address of one station/],
  ['-m 9', /not a mode/],
  ['-m 1777', /not a mode/],
  ['-t a/b', /cannot be the name of an interface/],
  ['-t abcdefghijklmnop', /cannot be the name of an interface/],
  ['-t a -t a', /given twice/],
  ['--fstp --rstp', /exclude each other/],
  ['--hub --rstp', /exclude each other/],
  ['--mgmtmode 600', /needs the management socket/],
  ['--storm 1,2,3', /not RATE/],
  ['--storm 0', /not a number/],
  ['--guard maybe', /not one of off, warn, enforce/],
  ['--mtu 100', /not a number/],
  ['-s -x', /looks like an option/],
  ['extra', /too many arguments/],
  ['--d', /ambiguous/],
];
for (const [line, why] of refused)
  test(`refused: ${line}`, (t) => {
    const error = t.throws(() => read(...line.split(' ')), { instanceOf: UsageError });
    t.regex(error.message, why);
  });
