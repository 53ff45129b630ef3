import test from 'ava';
import { parseCommandLine } from '../../src/cli/parse.ts';
import { type SlirpvdeConfig, slirpvdeConfig } from '../../src/cli/slirpvde-config.ts';
import { SLIRPVDE } from '../../src/cli/slirpvde-options.ts';
import { applyConfig } from '../../src/cli/slirpvde-reload.ts';
import { RouterHarness } from '../support/router-harness.ts';

const config = (line: string): SlirpvdeConfig =>
  slirpvdeConfig(parseCommandLine(SLIRPVDE, line === '' ? [] : line.split(' ')), '/');

/** What is open: listeners by address or path, UDP by port. */
const open = (h: RouterHarness): string[] =>
  [
    ...h.host.listeners.filter((l) => !l.closed).map((l) => (l.path === '' ? `tcp ${l.local.port}` : l.path)),
    ...h.host.openUdpSockets.map((s) => `udp ${s.localPort}`),
  ].sort();

test('forwards come, go and change; the rest stays untouched', async (t) => {
  const h = new RouterHarness();
  const first = config('-L 80:10.0.2.15:80 -L 81:10.0.2.15:81 -U 53:10.0.2.15:53 -L /a:10.0.2.15:22 -x 6010:/x');
  t.is((await applyConfig(h.router, config(''), first)).length, 5);
  t.deepEqual(open(h), ['/a', 'tcp 80', 'tcp 81', 'udp 53']);
  const untouched = h.host.listeners.find((l) => l.local.port === 80)!;
  const second = config('-L 80:10.0.2.15:80 -L 81:10.0.2.16:81 -L /b:10.0.2.15:22');
  const lines = await applyConfig(h.router, first, second);
  t.deepEqual(lines, [
    'closed TCP 81:10.0.2.15:81',
    'closed UDP 53:10.0.2.15:53',
    'closed socket /a:10.0.2.15:22',
    'closed router port 6010:/x',
    'opened TCP 81:10.0.2.16:81',
    'opened socket /b:10.0.2.15:22',
  ]);
  t.deepEqual(open(h), ['/b', 'tcp 80', 'tcp 81']);
  t.false(untouched.closed);
  t.deepEqual(
    await applyConfig(h.router, second, config('-L 80:10.0.2.15:80 -L 81:10.0.2.16:81 -L /b:10.0.2.15:22')),
    [],
  );
});

test('one that cannot be opened: all is as it was', async (t) => {
  const h = new RouterHarness();
  const first = config('-L 80:10.0.2.15:80 -L 81:10.0.2.15:81 -x 6010:/x');
  await applyConfig(h.router, config(''), first);
  h.host.takenPorts.add(99);
  const bad = config('-L 80:10.0.2.16:80 -U 70:10.0.2.15:70 -L 99:10.0.2.15:99 --no-host-loopback');
  await t.throwsAsync(applyConfig(h.router, first, bad), { code: 'ERR_VDE_LISTEN' });
  t.deepEqual(open(h), ['tcp 80', 'tcp 81']);
  t.true(h.router.policy.hostLoopback);
  t.deepEqual(await applyConfig(h.router, first, config('-L 81:10.0.2.15:81')), [
    'closed TCP 80:10.0.2.15:80',
    'closed router port 6010:/x',
  ]);
});

test('the loopback of the host is closed and opened', async (t) => {
  const h = new RouterHarness();
  t.deepEqual(await applyConfig(h.router, config(''), config('--no-host-loopback')), [
    'guests no longer reach the loopback services of this host',
  ]);
  t.false(h.router.policy.hostLoopback);
  await applyConfig(h.router, config('--no-host-loopback'), config(''));
  t.true(h.router.policy.hostLoopback);
});

test('what needs a restart is named, the log level is not', async (t) => {
  const h = new RouterHarness();
  const lines = await applyConfig(h.router, config('-X 10.0.2.15'), config('-X 10.0.2.16 --mtu 1400 --verbose'));
  t.deepEqual(lines, ['changed, but only used after a restart: mtu, displays']);
});

test('rules, --restrict and --no-host are named', async (t) => {
  const h = new RouterHarness();
  const lines = await applyConfig(h.router, config(''), config('--deny 10.0.0.0/8 --restrict --no-host'));
  t.deepEqual(lines, [
    'guests no longer reach the loopback services of this host',
    'changed, but only used after a restart: noHost, restrict, rules',
  ]);
});

test('ranges that overlap: the old one makes room, and comes back when the new one cannot be opened', async (t) => {
  const h = new RouterHarness();
  const first = config('-L 80-82:10.0.2.15 -U 0:10.0.2.15:53');
  await applyConfig(h.router, config(''), first);
  h.host.takenPorts.add(84);
  const ports = (): string[] => open(h).filter((line) => line.startsWith('tcp'));
  const bad = config('-L 80:10.0.2.16:80 -L 81-84:10.0.2.15 -U 0:10.0.2.15:53');
  await t.throwsAsync(applyConfig(h.router, first, bad), { code: 'ERR_VDE_LISTEN' });
  t.deepEqual(ports(), ['tcp 80', 'tcp 81', 'tcp 82']);
  await applyConfig(h.router, first, config('-L 80:10.0.2.16:80 -L 81-83:web'));
  t.deepEqual(ports(), ['tcp 80', 'tcp 81', 'tcp 82', 'tcp 83']);
  t.is(h.host.openUdpSockets.length, 0, 'also the one at any port is closed');
});

test('a forward that the console has closed does not come back when a reload fails', async (t) => {
  const h = new RouterHarness();
  const first = config('-L 80:10.0.2.15:80');
  await applyConfig(h.router, config(''), first);
  h.router.forwards.remove(1);
  h.host.takenPorts.add(99);
  const bad = config('-L 80:10.0.2.16:80 -L 99:10.0.2.15:99');
  await t.throwsAsync(applyConfig(h.router, first, bad), { code: 'ERR_VDE_LISTEN' });
  t.deepEqual(open(h), []);
});
