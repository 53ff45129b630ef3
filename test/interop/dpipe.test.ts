// dpipe with Debian's plugs and ours, and Debian's dpipe with ours.
import { existsSync, readFileSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import { isRunning, until } from './lab/process.ts';
import { type Bench, benchTest, connected, ours } from './lab/stations.ts';

const DPIPE = ours('dpipe');
const PLUG = ours('vde_plug');
const test = (title: string, body: (t: ExecutionContext, bench: Bench) => Promise<void>, needs: string[] = []): void =>
  benchTest(`dpipe: ${title}`, ['dpipe', 'vde_plug', 'vde_switch', ...needs], body);

const cables: [string, readonly string[], readonly string[], readonly string[]][] = [
  ['ours with our plugs', DPIPE, PLUG, PLUG],
  ["ours with ours and Debian's plug", DPIPE, PLUG, ['vde_plug']],
  ["ours with Debian's plugs", DPIPE, ['vde_plug'], ['vde_plug']],
  ["Debian's with our plugs", ['dpipe'], PLUG, PLUG],
  ["Debian's with Debian's and our plug", ['dpipe'], ['vde_plug'], PLUG],
];
for (const [name, dpipe, left, right] of cables)
  test(`${name}: a cable; it ends with its first switch`, async (t, bench) => {
    const one = await bench.startSwitch('one');
    const two = await bench.switch('two');
    const pipe = bench.start([...dpipe, ...left, bench.path('one'), '=', ...right, two]);
    const station = await bench.station(bench.path('one'));
    await connected(t, station, await bench.station(two), name);
    await one.stop();
    t.is((await pipe.exited).code, 0, pipe.stderr);
  });

test(
  "Debian's wirefilter between two plugs of ours, on its alternate descriptors",
  async (t, bench) => {
    const [one, two] = [await bench.switch('one'), await bench.switch('two')];
    const pipe = bench.start([...DPIPE, ...PLUG, one, '=', 'wirefilter', '-M', bench.path('wf'), '=', ...PLUG, two]);
    await connected(t, await bench.station(one), await bench.station(two), 'wirefilter');
    await pipe.stop();
  },
  ['wirefilter'],
);

/** A shell line as a command. */
const sh = (line: string): string[] => ['sh', '-c', line];

test('two commands hear each other; the status is that of the last, whichever ends first', async (t, bench) => {
  const pipe = bench.start([
    ...DPIPE,
    ...sh('echo 1; read x; echo got $x >&2; exit 3'),
    '=',
    ...sh('read x; echo $x$x; exit 4'),
  ]);
  t.deepEqual(await pipe.exited, { code: 4, signal: null });
  t.is(pipe.stderr, 'got 11\n');
  const slow = bench.start([...DPIPE, ...sh('sleep 0.3; exit 3'), '=', ...sh('exit 5')]);
  t.is((await slow.exited).code, 5);
});

test('the one in the middle has its right neighbour on the alternate descriptors', async (t, bench) => {
  const pipe = bench.start([
    ...[...DPIPE, ...sh('read x; echo first $x >&2'), '='],
    ...sh(
      'read x <&$ALTERNATE_STDIN; echo middle $x; echo back >&$ALTERNATE_STDOUT; echo $ALTERNATE_STDIN $ALTERNATE_STDOUT >&2',
    ),
    ...['=', ...sh('echo third; read y; echo last $y >&2; env | grep ALTERNATE >&2; exit 0')],
  ]);
  t.is((await pipe.exited).code, 0);
  t.deepEqual(pipe.stderr.trim().split('\n').sort(), ['3 4', 'first middle third', 'last back']);
});

test('commands in one direction: a -> b -> d, d -> c -> a, and several of them', async (t, bench) => {
  const pipe = bench.start([
    ...[
      ...DPIPE,
      ...sh('echo a; read x; echo result $x >&2'),
      '=}',
      'sed',
      '-u',
      's/a/ab/',
      '}=}',
      'sed',
      '-u',
      's/b/bB/',
    ],
    ...['}={', 'sed', '-u', 's/d/dc/', '{=', ...sh('read x; echo $x d')],
  ]);
  t.is((await pipe.exited).code, 0);
  t.is(pipe.stderr, 'result abB dc\n');
});

test('what does not make sense is refused', async (t, bench) => {
  for (const [words, message] of [
    [['cat'], /no '=' between two commands/],
    [['=', 'cat'], /command 1 of 2 is empty/],
    [['cat', '='], /command 2 of 2 is empty/],
    [['cat', '=}', 'cat', '=', 'cat'], /do not fit/],
    [['cat', '=}', 'cat'], /the last command cannot stand in one direction/],
  ] as const) {
    const pipe = bench.start([...DPIPE, ...words]);
    t.is((await pipe.exited).code, 2, words.join(' '));
    t.regex(pipe.stderr, message);
  }
});

test('an argument that begins with = is an argument; options end at the first command', async (t, bench) => {
  const pipe = bench.start([...DPIPE, 'printf', '%s\n', '=x', '-d', '=', ...sh('cat >&2')]);
  t.is((await pipe.exited).code, 0);
  t.is(pipe.stderr, '=x\n-d\n');
});

test('a command that is not there: 127, and the others are ended', async (t, bench) => {
  const pipe = bench.start([...DPIPE, 'sleep', '60', '=', 'nosuchprogram', '=', 'sleep', '61']);
  t.is((await pipe.exited).code, 127);
  t.is(pipe.stderr, 'dpipe: cannot start nosuchprogram: there is no such program\n');
});

test('a command that is killed takes the others along', async (t, bench) => {
  const pipe = bench.start([...DPIPE, ...sh('kill -9 $$'), '=', 'sleep', '60']);
  t.is((await pipe.exited).code, 143);
  t.regex(pipe.stderr, /sh was ended by SIGKILL/);
});

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
  test(`${signal} is passed on`, async (t, bench) => {
    const word = signal.slice(3);
    const wait = (n: number): string[] =>
      sh(`trap "echo ${n} >&2; exit ${n}" ${word}; echo ready >&2; while :; do sleep 0.1; done`);
    const pipe = bench.start([...DPIPE, ...wait(3), '=', ...wait(4)]);
    await pipe.until((child) => child.stderr.split('ready').length === 3, 5000, 'both run');
    pipe.kill(signal);
    t.is((await pipe.exited).code, 4);
    t.regex(pipe.stderr, /3\n/);
  });

test('a command that does not end by SIGTERM is killed', async (t, bench) => {
  const pipe = bench.start([
    ...DPIPE,
    ...sh('trap "" TERM; echo ready >&2; while :; do sleep 0.1; done'),
    '=',
    'sleep',
    '60',
  ]);
  await pipe.until((child) => child.stderr.includes('ready'), 5000, 'it runs');
  pipe.kill('SIGTERM');
  t.is((await pipe.exited).code, 143);
});

test('files: pid, process group, the last command with -n, left with -N', async (t, bench) => {
  const [pid, group] = [bench.path('pid'), bench.path('group')];
  const read = (path: string): number => Number(readFileSync(path, 'utf8'));
  const pipe = bench.start([...DPIPE, '-p', pid, '-P', group, 'sleep', '60', '=', 'sleep', '61']);
  await until(() => existsSync(pid), 5000, 'files');
  t.is(read(pid), pipe.pid);
  t.is(read(group), -pipe.pid);
  process.kill(read(group), 'SIGTERM');
  t.is((await pipe.exited).code, 143);
  t.false(existsSync(pid) || existsSync(group));
  for (const option of ['-n', '-N']) {
    const last = bench.start([...DPIPE, option, '-p', pid, 'sleep', '60', '=', 'sleep', '61']);
    await until(() => existsSync(pid), 5000, 'file');
    t.regex(readFileSync(`/proc/${read(pid)}/cmdline`, 'latin1'), /^sleep\0?61/);
    last.kill();
    t.is((await last.exited).code, 143);
    t.is(existsSync(pid), option === '-N');
  }
});

test('in the background: returns when all runs; failures are told', async (t, bench) => {
  const [one, two] = [await bench.switch('one'), await bench.switch('two')];
  const [pid, group] = [bench.path('pid'), bench.path('group')];
  const start = bench.start([...DPIPE, '-d', '-p', pid, '-P', group, ...PLUG, one, '=', 'vde_plug', two]);
  t.is((await start.exited).code, 0, start.stderr);
  await connected(t, await bench.station(one), await bench.station(two), 'in the background');
  const daemon = Number(readFileSync(pid, 'utf8'));
  t.is(Number(readFileSync(group, 'utf8')), -daemon);
  process.kill(daemon, 'SIGTERM');
  await until(() => !isRunning(daemon), 5000, 'it ends');
  t.false(existsSync(pid) || existsSync(group));
  const failed = bench.start([...DPIPE, '-d', 'cat', '=', 'nosuchprogram']);
  t.is((await failed.exited).code, 127);
  t.regex(failed.stderr, /there is no such program/);
});

test('--help and mistakes leave the process group of the caller alone, and a session leader may run it', async (t, bench) => {
  const shell = bench.start(
    ['setsid', '-w', ...sh(`"$@" --help >/dev/null; "$@" x; echo alive`), 'sh', ...DPIPE].map(String),
  );
  t.is((await shell.exited).code, 0);
  t.is(shell.stdout, 'alive\n');
  const leader = bench.start(['setsid', '-w', ...DPIPE, 'true', '=', 'true']);
  t.is((await leader.exited).code, 0, leader.stderr);
});
