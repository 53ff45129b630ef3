// vde_l3 between networks of Debian's switches, with Linux stations, alone and in a row with Debian's vde_l3.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { Namespace, PROJECT } from './lab/namespace.ts';
import { type Child, type Result, until } from './lab/process.ts';
import { interopTest } from './lab/suite.ts';

const dir = mkdtempSync(join(tmpdir(), 'vdenet-l3-'));
const at = (name: string): string => join(dir, name);
const ours = (name: string): string[] => [process.execPath, join(PROJECT, 'bin', name)];
const spaces: Namespace[] = [];

test.after.always(async () => {
  for (const space of spaces.reverse()) await space.close();
  rmSync(dir, { recursive: true, force: true });
});

async function open(name: string): Promise<Namespace> {
  const space = await Namespace.open(name, dir, spaces[0] ?? null);
  spaces.push(space);
  return space;
}

const world = (): Namespace => spaces[0]!;
const ask = (...words: string[]): Promise<Result> => world().run([...ours('unixcmd'), '-s', at('l3.mgmt'), ...words]);

/** A station with an address and a default gateway on the switch at `ctl`. */
async function station(name: string, ctl: string, address: string, gateway: string): Promise<Namespace> {
  const space = await open(name);
  space.start(['vde_plug2tap', '-s', ctl, 'tap0']);
  const up = async (): Promise<boolean> => (await space.run(['ip', 'link', 'set', 'tap0', 'up'])).code === 0;
  await until(up, 5000, `tap0 of ${name}`);
  await space.must(['ip', 'address', 'add', address, 'dev', 'tap0']);
  await space.must(['ip', 'route', 'add', 'default', 'via', gateway]);
  return space;
}

async function startSwitch(name: string): Promise<Child> {
  const child = world().start(['vde_switch', '-s', at(`${name}.ctl`), '-M', at(`${name}.mgmt`)]);
  const listens = async (): Promise<boolean> =>
    (await world().run([...ours('unixcmd'), '-s', at(`${name}.mgmt`), 'help'])).code === 0;
  await until(listens, 10_000, `switch ${name} answers`);
  return child;
}

const pings = async (from: Namespace, to: string): Promise<boolean> =>
  (await from.run(['ping', '-n', '-c', '1', '-W', '1', to])).code === 0;

const NEEDS = ['namespaces', 'tap', 'vde_switch', 'vde_plug2tap', 'vde_l3', 'ip', 'ping', 'nc', 'unixcmd', 'unixterm'];

interopTest("vde_l3: stations on two of Debian's switches, shaping, a switch that is restarted", NEEDS, async (t) => {
  await open('world');
  await startSwitch('a');
  const b = await startSwitch('b');
  const faces = ['-v', `${at('a.ctl')}:10.0.0.1/24`, '-v', `${at('b.ctl')}:10.1.0.1/255.255.255.0`];
  const router = world().start([...ours('vde_l3'), ...faces, '-M', at('l3.mgmt')]);
  await until(async () => (await ask('help')).code === 0, 10_000, 'the console answers');
  const left = await station('left', at('a.ctl'), '10.0.0.10/24', '10.0.0.1');
  const right = await station('right', at('b.ctl'), '10.1.0.10/24', '10.1.0.1');
  await until(
    () => pings(left, '10.1.0.10'),
    10_000,
    () => `a ping crosses: ${router.stderr}`,
  );
  const trace = await left.run(['ping', '-n', '-c', '1', '-W', '15', '-t', '1', '10.1.0.10']);
  t.regex(trace.stdout, /From 10\.0\.0\.1 .*Time to live exceeded/);
  t.regex((await left.run(['ping', '-n', '-c', '1', '-W', '15', '10.9.0.1'])).stdout, /10\.0\.0\.1 .*Net Unreachable/);
  const nobody = await left.run(['ping', '-n', '-c', '1', '-W', '15', '10.1.0.200']);
  t.regex(nobody.stdout, /10\.0\.0\.1 .*Host Unreachable/);
  await until(() => pings(left, '10.1.0.1'), 5000, 'the other address of the router');
  const large = await left.run(['ping', '-n', '-c', '1', '-W', '15', '-s', '4000', '10.1.0.10']);
  t.is(large.code, 0, 'fragments of stations cross');

  // 300,000 bytes by TCP at 200,000 bytes a second.
  t.is((await ask('tc', 'set', 'vd1', 'tbf', 'rate', '200000', 'latency', '200')).code, 0);
  const sink = right.start(['sh', '-c', 'nc -l -p 7000 | wc -c']);
  await until(async () => /:7000/.test(await right.must(['ss', '-ltn'])), 5000, 'nc listens');
  const sent = await left.run(['sh', '-c', 'head -c 300000 /dev/zero | nc -N 10.1.0.10 7000']);
  t.is(sent.code, 0, sent.stderr);
  await sink.until(({ stdout }) => stdout.includes('300000'), 5000, 'all bytes came');
  t.true(sent.ms > 1000, `${sent.ms} ms`);
  t.regex((await ask('tc', 'ls')).stdout, /^vd1: tbf\. Shaping at Rate = 200000 Bytes\/s/m);

  // Debian's terminals on our console.
  const line = ['unixcmd', '-s', at('l3.mgmt'), '-f', '/etc/vde2/vdecmd', 'ifconfig', 'vd1'];
  t.regex((await world().run(line)).stdout.replaceAll('\0', ''), /^vd1\tLink encap: vde HWaddr 00:AA:0A:01:00:01\n/);

  await b.stop();
  await router.until(({ stderr }) => stderr.includes('vd1 10.1.0.1 has lost its switch'), 5000, 'the end is told');
  await until(() => pings(left, '10.0.0.1'), 5000, 'the other side goes on');
  await startSwitch('b');
  await router.until(({ stderr }) => stderr.includes('has joined its switch again'), 10_000, 'it is joined again');
  t.is((await ask('shutdown')).code, 0);
  t.is((await router.exited).code, 0);
});

interopTest("vde_l3: in a row with Debian's vde_l3, by static routes", NEEDS, async (t) => {
  for (const name of ['c', 'm', 'd']) await startSwitch(name);
  const mine = ['-v', `${at('c.ctl')}:10.2.0.1/24`, '-v', `${at('m.ctl')}:10.3.0.1/24`, '-r', '10.4.0.0/24:10.3.0.2'];
  const router = world().start([...ours('vde_l3'), ...mine]);
  const mask = '255.255.255.0';
  const theirs = ['-v', `${at('m.ctl')}:10.3.0.2/${mask}`, '-v', `${at('d.ctl')}:10.4.0.1/${mask}`];
  await router.until(({ stderr }) => stderr.includes('vd1 '), 5000, 'ours has joined');
  // Debian's now and then ends while it starts, without a word: it is started again then.
  let debian: Child | null = null;
  const across = (from: Namespace, to: string): Promise<void> =>
    until(
      async () => {
        if (debian?.running !== true) debian = world().start(['vde_l3', ...theirs, '-r', `10.2.0.0/${mask}:10.3.0.1`]);
        return await pings(from, to);
      },
      60_000,
      () => `a ping to ${to} goes by both routers: ${router.stderr}${debian!.stderr}`,
    );
  const near = await station('near', at('c.ctl'), '10.2.0.10/24', '10.2.0.1');
  const far = await station('far', at('d.ctl'), '10.4.0.10/24', '10.4.0.1');
  await across(near, '10.4.0.10');
  await across(far, '10.2.0.10');
  router.kill('SIGTERM');
  t.is((await router.exited).code, 0);
});

interopTest('vde_l3: what makes no sense, and a switch that is not there', [], async (t) => {
  if (spaces.length === 0) await open('world');
  const run = (...words: string[]): Promise<Result> => world().run([...ours('vde_l3'), ...words]);
  const usage: [string[], RegExp][] = [
    [[], /which networks\?/],
    [['-v', 'a:10.0.0.1'], /'10\.0\.0\.1' is not ADDRESS\/MASK/],
    [['-v', 'a:10.0.0.1/24', '-v', 'b:10.0.0.1/24'], /two interfaces have the address 10\.0\.0\.1/],
    [['-v', 'a:10.0.0.1/24', '-G', '10.9.0.1'], /no interface is on the network of the gateway 10\.9\.0\.1/],
  ];
  for (const [words, message] of usage) {
    const done = await run(...words);
    t.is(done.code, 2);
    t.regex(done.stderr, message);
  }
  const none = await run('-v', `${at('none.ctl')}:10.0.0.1/24`);
  t.is(none.code, 1);
  t.regex(none.stderr, /none listens at .*none\.ctl/);
});
