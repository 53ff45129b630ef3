// slirpvde as a process, with a service that makes no network (fake-slirpvde.ts).

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test from 'ava';

const script = new URL('fake-slirpvde.ts', import.meta.url).pathname;
const projectRoot = dirname(dirname(dirname(script)));

interface Result {
  status: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
}

class Running {
  readonly child: ChildProcess;
  readonly done: Promise<Result>;
  stdout = '';
  stderr = '';

  constructor(words: readonly string[], env: Record<string, string> = {}) {
    this.child = spawn(process.execPath, ['--import=tsx', script, ...words], {
      cwd: projectRoot,
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.child.stdout!.on('data', (chunk: Buffer) => (this.stdout += chunk.toString()));
    this.child.stderr!.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()));
    this.done = once(this.child, 'close').then(([status, signal]) => ({
      status,
      signal,
      stdout: this.stdout,
      stderr: this.stderr,
    }));
  }

  /** Waits until standard error holds `text`. */
  async says(text: string): Promise<void> {
    while (!this.stderr.includes(text)) {
      await Promise.race([
        once(this.child.stderr!, 'data'),
        this.done.then(() => Promise.reject(new Error(this.stderr))),
      ]);
    }
  }
}

const run = (words: readonly string[], env?: Record<string, string>): Promise<Result> => new Running(words, env).done;

const temporary = (): { dir: string; pid: string; socket: string } => {
  const dir = mkdtempSync(join(tmpdir(), 'vdenet-cli-'));
  return { dir, pid: join(dir, 'pid'), socket: join(dir, 'socket') };
};

/** Waits for something that another process does; the test's time limit is the bound. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20));
}

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    // A zombie that nobody has waited for (no init process here) is not alive.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
};

test.serial('--help and --version: standard output, status 0', async (t) => {
  const help = await run(['--help']);
  t.is(help.status, 0);
  t.regex(help.stdout, /^Usage: slirpvde /);
  t.is(help.stderr, '');
  const version = await run(['-v']);
  t.is(version.status, 0);
  t.regex(version.stdout, /^slirpvde \(vdenet\) \d+\.\d+\.\d+\n$/);
});

test.serial('--help with nobody reading', async (t) => {
  const running = new Running(['--help']);
  running.child.stdout!.destroy();
  const { status, stderr } = await running.done;
  t.is(status, 0);
  t.is(stderr, '');
});

for (const [words, text] of [
  [['--bogus'], "slirpvde: unknown option '--bogus'\ntry 'slirpvde --help'\n"],
  [['--dhpc'], "slirpvde: unknown option '--dhpc'\ndid you mean --dhcp?\n"],
  [['-s'], "slirpvde: option '-s' needs a value: -s DIR\ntry 'slirpvde --help'\n"],
  [
    ['-L', 'x'],
    "slirpvde: option '-L': bad forward 'x': it has 1 fields, not 2 to 4\n" +
      'expected [ADDR:]PORT:GUEST[:GUESTPORT], for example -L 8022:10.0.2.15:22\n',
  ],
  [['a', 'b\x1b'], "slirpvde: too many arguments: 'a' 'b\\x1b'\ntry 'slirpvde --help'\n"],
] as const) {
  test.serial(`usage error of '${JSON.stringify(words)}': standard error, status 2`, async (t) => {
    t.deepEqual(await run(words), { status: 2, signal: null, stdout: '', stderr: text });
  });
}

test.serial('relative paths start from the working directory', async (t) => {
  const { stdout } = await run(['-s', 'ctl', '--capture', '../c.pcapng'], { FAKE_SERVICE: 'config' });
  t.like(JSON.parse(stdout), { socket: join(projectRoot, 'ctl'), capture: join(dirname(projectRoot), 'c.pcapng') });
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test.serial(`${signal} leaves nothing behind, status 0; standard input is not read`, async (t) => {
    const { dir, pid, socket } = temporary();
    const running = new Running(['-p', pid, '-s', '/tmp/x', '-dhcp'], { FAKE_SOCKET: socket });
    await running.says('ping of guests');
    t.deepEqual(readdirSync(dir).sort(), ['pid', 'socket']);
    t.is(readFileSync(pid, 'utf8'), `${running.child.pid}\n`);
    // End of standard input must not end the service.
    running.child.stdin!.end();
    running.child.kill(signal);
    const { status, stdout, stderr } = await running.done;
    t.is(status, 0);
    t.is(stdout, '');
    t.true(
      stderr.startsWith('Starting slirpvde: virtual_host=10.0.2.2/24\n                   DNS         =10.0.2.3\n'),
    );
    t.deepEqual(readdirSync(dir), []);
  });
}

test.serial('SIGHUP without --config: resolv.conf is read again, the service goes on', async (t) => {
  const running = new Running(['-s', '/tmp/x']);
  await running.says('ping of guests');
  running.child.kill('SIGHUP');
  await running.says('SIGHUP: resolv.conf is read again; without --config there is nothing else to read');
  running.child.kill('SIGTERM');
  t.is((await running.done).status, 0);
});

test.serial('SIGHUP: the configuration file again; a wrong one changes nothing and is told', async (t) => {
  const { dir } = temporary();
  const file = join(dir, 'conf');
  writeFileSync(file, 'tcpfwd 8022:10.0.2.15:22\n');
  const running = new Running(['-s', '/tmp/x', '--config', file]);
  await running.says('redir TCP   =8022:10.0.2.15:22');
  await running.says('ping of guests');
  writeFileSync(file, 'tcpfwd 8022:10.0.2.15:22\nudpfwd 53:10.0.2.15:53\nverbose\n');
  running.child.kill('SIGHUP');
  await running.says(`SIGHUP: resolv.conf and ${file} read again\nslirpvde: forwards: 2\n`);
  writeFileSync(file, '# comment\ntcpfwd nonsense\n');
  running.child.kill('SIGHUP');
  await running.says(`SIGHUP: nothing was changed: ${file}:2: option '-L': bad forward 'nonsense'`);
  writeFileSync(file, 'quiet\n\ntcpforward x\n');
  running.child.kill('SIGHUP');
  await running.says(`SIGHUP: nothing was changed: ${file}:3: there is no option 'tcpforward'`);
  running.child.kill('SIGTERM');
  const { status, stderr } = await running.done;
  t.is(status, 0);
  t.regex(stderr, /SIGTERM: ending/, 'verbose has come with the second file, and stayed');
});

test.serial('SIGHUP: the log file is opened anew', async (t) => {
  const { dir } = temporary();
  const log = join(dir, 'log');
  const running = new Running(['-s', '/tmp/x', '--log', log]);
  await running.says('ping of guests');
  renameSync(log, `${log}.1`);
  running.child.kill('SIGHUP');
  await running.says('SIGHUP: resolv.conf');
  running.child.kill('SIGTERM');
  await running.done;
  t.regex(readFileSync(log, 'utf8'), /^\S+Z slirpvde: SIGHUP: resolv\.conf is read again.*\n$/);
  t.notRegex(readFileSync(`${log}.1`, 'utf8'), /SIGHUP/);
});

test.serial('SIGHUP of a terminal that is closed ends the service', async (t) => {
  if (spawnSync('script', ['--version']).status !== 0) {
    t.pass('there is no script(1) here');
    return;
  }
  const { dir, pid, socket } = temporary();
  const line = [process.execPath, '--import=tsx', script, '-p', pid, '-s', '/tmp/x'].join(' ');
  const terminal = spawn('script', ['-qc', line, join(dir, 'typescript')], {
    cwd: projectRoot,
    env: { ...process.env, FAKE_SOCKET: socket },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let said = '';
  terminal.stdout!.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await until(() => said.includes('ping of guests'));
  const service = Number(readFileSync(pid, 'utf8'));
  terminal.kill('SIGKILL');
  await until(() => !alive(service));
  t.false(existsSync(pid));
  t.false(existsSync(socket));
});

test.serial('-q prints nothing; a service without handles stays up', async (t) => {
  const { dir, pid, socket } = temporary();
  const running = new Running(['-q', '-p', pid], { FAKE_SOCKET: socket });
  await until(() => existsSync(socket));
  running.child.kill('SIGTERM');
  const { status, stdout, stderr } = await running.done;
  t.deepEqual([status, stdout, stderr], [0, '', '']);
  t.deepEqual(readdirSync(dir), []);
});

test.serial('a close that does not end is cut off, the pid file goes all the same', async (t) => {
  const { pid } = temporary();
  const running = new Running(['-p', pid], { FAKE_SERVICE: 'slow-close' });
  await running.says('ping of guests');
  running.child.kill('SIGTERM');
  running.child.kill('SIGTERM');
  const { status, stderr } = await running.done;
  t.is(status, 1);
  t.regex(stderr, /slirpvde: not everything could be closed within 500 ms\n$/);
  t.false(existsSync(pid));
});

test.serial('a failed start: the reason, status 1, nothing left', async (t) => {
  const { dir, pid, socket } = temporary();
  const { status, stderr } = await run(['-p', pid], { FAKE_SERVICE: 'fail', FAKE_SOCKET: socket });
  t.is(status, 1);
  t.is(stderr, 'slirpvde: cannot listen on 127.0.0.1:8022: EADDRINUSE\n');
  t.deepEqual(readdirSync(dir), []);
});

test.serial('a defect: the stack, status 70, nothing left', async (t) => {
  const { dir, pid, socket } = temporary();
  const start = await run(['-p', pid], { FAKE_SERVICE: 'bug', FAKE_SOCKET: socket });
  t.is(start.status, 70);
  t.regex(start.stderr, /^slirpvde: unexpected TypeError: a defect\nslirpvde: {5}at /);
  const later = await run(['-p', pid], { FAKE_SERVICE: 'leaky', FAKE_SOCKET: socket });
  t.is(later.status, 70);
  t.regex(later.stderr, /^slirpvde: unexpected Error: left alone$/m);
  t.deepEqual(readdirSync(dir), []);
});

test.serial('standard error whose reader is gone does not end the service', async (t) => {
  const { dir, socket } = temporary();
  const running = new Running(['--verbose', '--log', join(dir, 'log')], { FAKE_SOCKET: socket });
  running.child.stderr!.destroy();
  await until(() => existsSync(join(dir, 'log')) && readFileSync(join(dir, 'log'), 'utf8').includes('ping of guests'));
  running.child.kill('SIGTERM');
  t.is((await running.done).status, 0);
  t.regex(readFileSync(join(dir, 'log'), 'utf8'), /Z slirpvde: SIGTERM: ending\n$/);
});

test.serial('-d: returns when ready with the start-up text; the daemon is on its own', async (t) => {
  const { dir, pid, socket } = temporary();
  const log = join(dir, 'log');
  const words = ['-d', '-p', pid, '-s', '/tmp/x', '--log', log];
  const { status, stdout, stderr } = await run(words, { FAKE_SOCKET: socket });
  t.is(status, 0);
  t.is(stdout, '');
  t.true(stderr.startsWith('Starting slirpvde: virtual_host=10.0.2.2/24\n'));
  const daemon = Number(readFileSync(pid, 'utf8'));
  t.true(alive(daemon));
  // The service was started in /, so that no file system is kept busy.
  t.is(readFileSync(socket, 'utf8'), '/');

  const second = await run(words);
  t.is(second.status, 1);
  t.regex(second.stderr, new RegExp(`^slirpvde: pid file ${pid} belongs to process ${daemon}, which is running`));
  t.is(readFileSync(pid, 'utf8'), `${daemon}\n`);

  process.kill(daemon, 'SIGTERM');
  await until(() => !alive(daemon));
  t.deepEqual(readdirSync(dir), ['log']);
  t.regex(readFileSync(log, 'utf8'), /slirpvde: ping of guests/);
});

test.serial('-d: a failed start is told in the foreground, with its status', async (t) => {
  const { dir, pid, socket } = temporary();
  const fail = await run(['-d', '-p', pid], { FAKE_SERVICE: 'fail', FAKE_SOCKET: socket });
  t.deepEqual([fail.status, fail.stderr], [1, 'slirpvde: cannot listen on 127.0.0.1:8022: EADDRINUSE\n']);
  const bug = await run(['-d', '-p', pid], { FAKE_SERVICE: 'bug', FAKE_SOCKET: socket });
  t.is(bug.status, 70);
  t.regex(bug.stderr, /^slirpvde: unexpected TypeError/);
  t.deepEqual(readdirSync(dir), []);
});

test.serial('-d: a process that dies before it is ready', async (t) => {
  const { pid } = temporary();
  const { status, stderr } = await run(['-d', '-q', '-p', pid], { FAKE_SERVICE: 'crash' });
  t.is(status, 1);
  t.is(stderr, 'slirpvde: the background process was ended by SIGKILL before it was ready\n');
  // Its pid file stays, and does not keep the next one from starting.
  const crashed = Number(readFileSync(pid, 'utf8'));
  const next = new Running(['-p', pid]);
  await next.says(`pid file ${pid} named process ${crashed}, which is gone; taken over`);
  await next.says('ping of guests');
  next.child.kill('SIGTERM');
  t.is((await next.done).status, 0);
  t.false(existsSync(pid));
});

test.serial('-d: a process that does not become ready is ended', async (t) => {
  const { pid } = temporary();
  const running = new Running(['-d', '-q', '-p', pid], { FAKE_SERVICE: 'never', FAKE_READY_MS: '8000' });
  await until(() => existsSync(pid));
  const background = Number(readFileSync(pid, 'utf8'));
  const { status, stderr } = await running.done;
  t.is(status, 1);
  t.true(stderr.startsWith('slirpvde: the background process was not ready within 8000 ms\n'));
  t.false(alive(background));
  t.false(existsSync(pid));
});

test.serial('-d: a signal to the waiting process ends the background process too', async (t) => {
  const { pid } = temporary();
  const running = new Running(['-d', '-q', '-p', pid], { FAKE_SERVICE: 'never' });
  await until(() => existsSync(pid));
  const background = Number(readFileSync(pid, 'utf8'));
  running.child.kill('SIGINT');
  t.is((await running.done).status, 130);
  t.false(alive(background));
});

test.serial('a pid file in use ends the start before the service', async (t) => {
  const { pid, socket } = temporary();
  writeFileSync(pid, 'not a number\n');
  const { status, stderr } = await run(['-p', pid], { FAKE_SOCKET: socket });
  t.is(status, 1);
  t.regex(stderr, /^slirpvde: pid file .* holds no process id; remove it or choose another\n$/);
  t.false(existsSync(socket));
});
