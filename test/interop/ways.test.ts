// Ways in that need no QEMU: the plug stream, Unix sockets, and SIGHUP on the real command.

import { existsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GATEWAY, SERVER, SLIRPVDE, WORLD } from './lab/lab.ts';
import { patternDigest } from './lab/pattern.ts';
import { until } from './lab/process.ts';
import { Suite } from './lab/suite.ts';

const UNIXCMD = join(import.meta.dirname, '../../bin/unixcmd');
const BYTES = 5_000_000;
const GUEST = '10.0.2.15';

const plug = new Suite('plug stream', 'debian', { start: false });

plug.test('dpipe vde_plug = slirpvde -', ['dpipe', 'vde_plug', 'curl', 'sha256sum'], async (t, lab) => {
  const cable = lab.world.start(['dpipe', 'vde_plug', `vde://${lab.ctl}`, '=', ...SLIRPVDE, '-dhcp', '-']);
  t.regex(await lab.guest.dhcp(), /^10\.0\.2\.\d+\/24$/);
  const { stdout } = await lab.guest.shell(`curl -sS --fail http://${SERVER}/bytes/${BYTES} | sha256sum`);
  t.is(stdout.split(' ')[0], patternDigest(BYTES));
  t.is(cable.stderr, '', 'quiet');
  // The end of the switch is the end of the plug, of the pipe, of the router.
  await lab.switch.stop();
  await until(() => !cable.running, 5000, 'dpipe has ended');
});

plug.test('the end of standard input ends it, with status 0', ['sh'], async (t, lab) => {
  const { code, stderr } = await lab.world.run(['sh', '-c', 'sleep 1 | "$@" - | cat; exit', 'sh', ...SLIRPVDE]);
  t.deepEqual([code, stderr], [0, '']);
  const direct = lab.world.start([...SLIRPVDE, '-']);
  direct.end();
  t.deepEqual(await direct.exited, { code: 0, signal: null });
});

plug.end();

const sockets = new Suite('unix sockets', 'embedded', { start: false, guests: 0 });

sockets.test('-L PATH leads to the guest, -x PORT to a socket of the host', ['curl', 'socat'], async (t, lab) => {
  const [path, service] = [join(lab.dir, 'to-guest'), join(lab.dir, 'service')];
  await lab.startRouter(['-dhcp', '-L', `${path}:${GUEST}:80`, '-x', `6010:${service}`, '--no-host-loopback']);
  await until(() => existsSync(path), 5000, 'the forward is open');
  t.is(statSync(path).mode & 0o777, 0o600);
  const guest = await lab.addGuest();
  await guest.configure(GUEST);

  const server = guest.space.start(lab.script('test/interop/lab/server.ts'));
  await server.until((child) => child.stdout.includes('ready'), 10_000, 'the guest’s servers listen');
  const line = `curl -sS --fail --unix-socket ${path} http://guest/bytes/${BYTES} | sha256sum`;
  t.is((await lab.world.must(['sh', '-c', line])).split(' ')[0], patternDigest(BYTES));

  const refused = await guest.run(['socat', '-', `TCP:${GATEWAY}:6010`]);
  t.regex(refused.stderr, /Connection refused/);
  lab.world.start(['socat', `UNIX-LISTEN:${service},fork`, `EXEC:cat`]);
  await until(() => existsSync(service), 5000, 'the service listens');
  t.is(await guest.must(['socat', '-', `TCP:${GATEWAY}:6010`], { input: 'in and out\n' }), 'in and out\n');
});

sockets.test('-X takes the first port that is free', ['socat'], async (t, lab) => {
  await lab.stopRouter();
  const taken = lab.world.start(['socat', 'TCP-LISTEN:6000,fork', 'EXEC:true']);
  const busy = async (): Promise<boolean> =>
    (await lab.world.run(['socat', '-u', 'TCP:127.0.0.1:6000', '-'])).code === 0;
  await until(busy, 5000, 'port 6000 is taken');
  await lab.startRouter(['-X', `${GUEST}:2`]);
  await lab.guest.join();
  await lab.router.until((child) => child.stderr.includes('redir X     =6001:10.0.2.15:6002\n'), 5000, 'the port');
  await lab.guest.configure(GUEST);
  lab.guest.space.start(['socat', 'TCP-LISTEN:6002,reuseaddr,fork', 'EXEC:echo display']);
  const answer = async (): Promise<boolean> =>
    (await lab.server.run(['socat', '-u', `TCP:${WORLD}:6001`, '-'])).stdout === 'display\n';
  await until(answer, 5000, 'the display answers');
  await taken.stop();
  t.pass();
});

sockets.test('SIGHUP and reload apply --config', ['socat', 'dig'], async (t, lab) => {
  await lab.stopRouter();
  const file = join(lab.dir, 'conf');
  writeFileSync(file, '');
  const mgmt = join(lab.dir, 'mgmt');
  await lab.startRouter(['--config', file, '-M', mgmt]);
  await lab.guest.join();
  await lab.guest.configure(GUEST);
  lab.guest.space.start(['socat', 'TCP-LISTEN:7,reuseaddr,fork', 'EXEC:echo here']);
  const ask = async (): Promise<string> => (await lab.server.run(['socat', '-u', `TCP:${WORLD}:8007`, '-'])).stdout;
  t.is(await ask(), '');
  writeFileSync(file, `tcpfwd 8007:${GUEST}:7\n`);
  lab.router.process.kill('SIGHUP');
  await lab.router.until((child) => child.stderr.includes(`opened TCP 8007:${GUEST}:7`), 5000, 'reload');
  t.is(await ask(), 'here\n');
  writeFileSync(file, 'nonsense\n');
  lab.router.process.kill('SIGHUP');
  await lab.router.until((child) => child.stderr.includes(`nothing was changed: ${file}:1:`), 5000, 'refusal');
  t.is(await ask(), 'here\n');
  const reload = (): Promise<{ code: number | null; stdout: string }> =>
    lab.world.run([process.execPath, UNIXCMD, '-s', mgmt, 'reload']);
  t.not((await reload()).code, 0, 'the file still is wrong');
  writeFileSync(file, `tcpfwd 8007:${GUEST}:7\ndns-record nas,10.0.2.9\nmtu 1400\n`);
  const { code, stdout } = await reload();
  t.is(code, 0);
  t.regex(stdout, /--dns-record: changed\r?\n--mtu: the old value stays/);
  t.is((await lab.guest.space.run(['dig', '+short', '@10.0.2.3', 'nas'])).stdout, '10.0.2.9\n');
});

sockets.end();
