// The command as scripts and init systems use it: background start, failed starts, and the end.
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { type Lab, SLIRPVDE } from './lab/lab.ts';
import type { Who } from './lab/namespace.ts';
import { isRunning, type Result, until } from './lab/process.ts';
import { Suite, SWITCHES } from './lab/suite.ts';

const STOP_MS = 3000;

const slirpvde = (lab: Lab, args: readonly string[], who: Who = 'root'): Promise<Result> =>
  lab.world.run([...SLIRPVDE, ...args], { who });

/** One DISCOVER, one second: the answer must be possible right now. */
async function answersAtOnce(t: ExecutionContext, lab: Lab): Promise<void> {
  const once = ['-n', '-q', '-t', '1', '-T', '1'];
  const result = await lab.guest.run(['udhcpc', '-i', 'tap0', '-s', lab.dhcpScript, ...once]);
  t.is(result.code, 0, result.stderr);
}

for (const kind of SWITCHES) {
  const suite = new Suite('command', kind, { start: false, guests: 0 });

  suite.test('-d ends with 0 when guests are served, SIGTERM leaves nothing', [], async (t, lab) => {
    const pidFile = join(lab.dir, 'run/slirpvde.pid');
    await lab.addGuest(kind === 'debian');
    const around = readdirSync(join(lab.dir, 'run')).sort();
    const sockets = kind === 'debian' ? readdirSync(lab.ctl).sort() : [];

    const start = await slirpvde(lab, ['-s', lab.ctl, '-dhcp', '-d', '-p', pidFile]);
    t.is(start.code, 0, start.stderr);
    if (kind === 'embedded') {
      t.true(await lab.listens());
      await lab.guest.join();
    }
    await answersAtOnce(t, lab);

    const pid = Number(readFileSync(pidFile, 'utf8'));
    t.true(isRunning(pid));
    t.teardown(() => {
      if (isRunning(pid)) process.kill(pid, 'SIGKILL');
    });
    const [, , , session, terminal] = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/.*\) /s, '').split(' ');
    t.is(session, String(pid), 'a session of its own');
    t.is(terminal, '0', 'no terminal');
    if (kind === 'embedded') await lab.guest.leave();
    process.kill(pid, 'SIGTERM');
    await until(() => !isRunning(pid), STOP_MS, 'slirpvde ends');
    t.deepEqual(readdirSync(join(lab.dir, 'run')).sort(), around);
    if (kind === 'debian') {
      const same = (): boolean => readdirSync(lab.ctl).sort().join() === sockets.join();
      await until(same, 1000, () => `the switch's directory is as before: ${readdirSync(lab.ctl).join(' ')}`);
    }
  });

  suite.test('-d over what a killed instance has left: pid file and directory are taken over', [], async (t, lab) => {
    const pidFile = join(lab.dir, 'run/stale.pid');
    if (lab.guests.length === 0) await lab.addGuest(kind === 'debian');
    const started = async (): Promise<number> => {
      const start = await slirpvde(lab, ['-s', lab.ctl, '-dhcp', '-d', '-p', pidFile]);
      t.is(start.code, 0, start.stderr);
      const pid = Number(readFileSync(pidFile, 'utf8'));
      t.teardown(() => {
        if (isRunning(pid)) process.kill(pid, 'SIGKILL');
      });
      t.true(isRunning(pid));
      return pid;
    };
    const first = await started();
    const twice = await slirpvde(lab, ['-s', join(lab.dir, 'run/other'), '-dhcp', '-d', '-p', pidFile]);
    t.is(twice.code, 1, 'the pid file of a running instance is not taken');
    t.regex(twice.stderr, new RegExp(`process ${first}, which is running`));
    process.kill(first, 'SIGKILL');
    await until(() => !isRunning(first), STOP_MS, 'slirpvde is gone');
    t.true(existsSync(pidFile));
    const second = await started();
    t.not(second, first);
    if (kind === 'embedded') await lab.guest.join();
    await answersAtOnce(t, lab);
    if (kind === 'embedded') await lab.guest.leave();
    process.kill(second, 'SIGTERM');
    await until(() => !isRunning(second), STOP_MS, 'slirpvde ends');
    t.false(existsSync(pidFile));
  });

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    suite.test(`${signal} in the foreground leaves nothing, with a guest joined`, [], async (t, lab) => {
      const pidFile = join(lab.dir, 'slirpvde.pid');
      const router = await lab.startRouter(['-dhcp', '-p', pidFile]);
      if (kind === 'embedded') await lab.guest.join();
      await lab.guest.dhcp();
      t.is(Number(readFileSync(pidFile, 'utf8')), router.pid);
      router.kill(signal);
      await until(() => !router.running, STOP_MS, 'slirpvde ends');
      t.is((await router.exited).code, 0);
      t.false(existsSync(pidFile));
      t.is(existsSync(lab.ctl), kind === 'debian');
    });
  }

  suite.end();
}

const failing = new Suite('failed start', 'embedded', { start: false, guests: 0 });

interface Failure {
  readonly name: string;
  readonly args: (lab: Lab) => string[];
  readonly code: number;
  readonly reason: RegExp;
  readonly who?: Who;
}

const failures: readonly Failure[] = [
  { name: 'unknown option', args: (lab) => ['-s', lab.ctl, '--no-such-option'], code: 2, reason: /no-such-option/ },
  { name: 'bad forward', args: (lab) => ['-s', lab.ctl, '-L', 'hello'], code: 2, reason: /hello/ },
  { name: 'bad network', args: (lab) => ['-s', lab.ctl, '-H', '10.0.2.300'], code: 2, reason: /10\.0\.2\.300/ },
  {
    name: 'no such directory',
    args: (lab) => ['-s', join(lab.dir, 'absent/ctl')],
    code: 1,
    reason: /absent\/ctl.*(ENOENT|no such)/is,
  },
  {
    name: 'a directory that may not be read',
    args: (lab) => ['-s', join(lab.dir, 'closed/ctl')],
    code: 1,
    reason: /closed\/ctl.*(EACCES|permission)/is,
    who: 'nobody',
  },
  {
    name: 'a forwarded port that is taken',
    args: (lab) => ['-s', lab.ctl, '-L', '8080:10.0.2.15:80'],
    code: 1,
    reason: /8080.*(EADDRINUSE|in use)/is,
  },
];

for (const { name, args, code, reason, who } of failures) {
  failing.test(`${name}: status ${code}, the reason on stderr, with and without -d`, ['socat'], async (t, lab) => {
    mkdirSync(join(lab.dir, 'closed'), { recursive: true });
    chmodSync(join(lab.dir, 'closed'), 0);
    const taken = lab.world.start(['socat', 'TCP-LISTEN:8080', '-']);
    const inUse = async (): Promise<boolean> => (await lab.world.must(['ss', '-tln'])).includes(':8080 ');
    await until(inUse, 5000, 'socat listens');
    for (const daemon of [[], ['-d']]) {
      const result = await slirpvde(lab, [...args(lab), ...daemon], who);
      t.false(result.timedOut, 'it ends by itself');
      t.is(result.code, code, result.stderr);
      t.regex(result.stderr, reason);
      t.is(result.stdout, '');
      t.false(existsSync(lab.ctl));
    }
    await taken.stop();
  });
}

for (const [option, values] of [
  ['-H', ['x', '', '10.0.2.2/33', '10.0.2.2/', '10.0.2', '0.0.0.0', '127.0.0.1', '10.0.2.2/24/8', '-1']],
  ['-L', ['80', '99999:10.0.2.15:80', '80:10.0.2.15:0', '80:300.0.0.1:80', '::::', '80:10.0.2.15:80x']],
] as const) {
  failing.test(`nonsense in ${option} is a usage error that names it`, [], async (t, lab) => {
    for (const value of values) {
      const result = await slirpvde(lab, ['-s', lab.ctl, option, value]);
      t.is(result.code, 2, `${option} ${value}: ${result.stderr}`);
      t.true(result.stderr.includes(value === '' ? option : value), result.stderr);
      t.false(existsSync(lab.ctl));
    }
  });
}

failing.test('--help and --version go to standard output', [], async (t, lab) => {
  const help = await slirpvde(lab, ['--help']);
  t.is(help.code, 0);
  t.regex(help.stdout, /--dhcp/);
  t.is(help.stderr, '');
  const version = await slirpvde(lab, ['--version']);
  t.is(version.code, 0);
  t.regex(version.stdout, /\d+\.\d+\.\d+/);
});

failing.end();
