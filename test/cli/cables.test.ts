import test from 'ava';
import { parseCommandLine } from '../../src/cli/parse.ts';
import { UsageError } from '../../src/cli/usage-error.ts';
import { pcapplugConfig } from '../../src/cli/vde_pcapplug.ts';
import { VDE_PCAPPLUG } from '../../src/cli/vde_pcapplug-options.ts';
import { wirefilterConfig } from '../../src/cli/wirefilter-config.ts';
import { WIREFILTER } from '../../src/cli/wirefilter-options.ts';

const wirefilter = (...words: string[]) => wirefilterConfig(parseCommandLine(WIREFILTER, words), '/cwd');
const pcapplug = (...words: string[]) => pcapplugConfig(parseCommandLine(VDE_PCAPPLUG, words), '/cwd');

test('wirefilter: both sides, by -v or as two words; relative paths are those of the caller', (t) => {
  t.is(wirefilter().ends, null);
  t.deepEqual(wirefilter('-v', '/a:b').ends, ['/a', '/cwd/b']);
  t.deepEqual(wirefilter('-v', ':').ends, ['', '']);
  t.deepEqual(wirefilter('-v', 'vde:///a:vxlan://192.0.2.1/vni=7').ends, ['vde:///a', 'vxlan://192.0.2.1/vni=7']);
  t.deepEqual(wirefilter('-v', '/a[7]:-').ends, ['/a[7]', '-']);
  t.deepEqual(wirefilter('/a', 'vde:///b').ends, ['/a', 'vde:///b']);
  t.is(wirefilter('-v', '/a:/b').console, true);
  t.is(wirefilter('-v', '/a:/b', '--nostdin').console, false);
  t.is(wirefilter('-v', '/a:/b', '--daemon').console, false);
  t.is(wirefilter('-v', '/a:-').console, false);
});

test('wirefilter: values by short, long and single-dash names, several times', (t) => {
  const config = wirefilter(
    ...'-l 10 --delay LR50+10N -delay RL20 -b1M -c64K -capacity 3 -N --seed 9 -D 3 -s 1 -n 2 -m 1500 -L 4'.split(' '),
  );
  const seen = config.settings.map(
    ({ parameter, direction, value }) => `${parameter} ${direction} ${value.value}+${value.plus}`,
  );
  t.true(seen.includes('delay 0 50+10') && seen.includes('delay 1 20+0'));
  t.true(seen.includes('bandwidth 1 1048576+0') && seen.includes('chanbufsize 0 3+0'));
  t.is(seen.length, 2 + 2 + 2 + 4 + 2 + 2 + 2 + 2 + 2);
  t.deepEqual([config.fifo, config.seed], [false, 9]);
});

test('wirefilter: files and modes', (t) => {
  const config = wirefilter(
    '-v',
    'a:b',
    '-M',
    'm',
    '--mgmtmode',
    '660',
    '-f',
    'rc',
    '--blink',
    'bl',
    '--blinkid',
    'x',
    '--pidfile',
    'p',
  );
  t.deepEqual(config.mgmt, { path: '/cwd/m', mode: 0o660 });
  t.deepEqual([config.rcfile, config.pidfile, config.blink], ['/cwd/rc', '/cwd/p', { path: '/cwd/bl', id: 'x' }]);
  t.is(wirefilter('-v', 'a:b', '-M', '/m').mgmt?.mode, 0o700);
});

for (const words of [
  '-l ten',
  '-l 5[1]',
  '-v /a',
  '/a',
  '/a /b /c',
  '-v /a:/b /c',
  '--daemon',
  '-v /a:- --daemon',
  '-v -:-',
  '--mgmtmode 600',
  '-M m --mgmtmode 999',
  '--seed -1',
  '--seed x',
])
  test(`wirefilter: refused: ${words}`, (t) => {
    t.throws(() => wirefilter(...words.split(' ')), { instanceOf: UsageError });
  });

test('vde_pcapplug: options of the original', (t) => {
  const config = pcapplug('-s', 'sw', '-p', '5', '-g', 'users', '-m', '660', '-d', '-P', 'pid', 'eth0');
  t.deepEqual(
    [config.interface, config.sock, config.port, config.group, config.mode, config.daemon, config.pidfile],
    ['eth0', '/cwd/sw', 5, 'users', 0o660, true, '/cwd/pid'],
  );
  t.deepEqual([pcapplug('eth0').sock, pcapplug('eth0').promiscuous], ['', true]);
  t.false(pcapplug('--no-promisc', 'eth0').promiscuous);
  for (const bad of [[], ['eth0', 'eth1'], ['-p', '0', 'eth0'], ['-s', '-', '-d', 'eth0']])
    t.throws(() => pcapplug(...bad), { instanceOf: UsageError });
});
