import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { createPidFile } from '../../src/cli/pidfile.ts';

const freshPath = (): { dir: string; path: string } => {
  const dir = mkdtempSync(join(tmpdir(), 'vdenet-pid-'));
  return { dir, path: join(dir, 'pid') };
};

/** A process that lives until it is killed, with `word` on its command line. */
async function living(word: string): Promise<ChildProcess> {
  const code = 'process.stdout.write("up"); setInterval(() => {}, 1e6)';
  const child = spawn(process.execPath, ['-e', code, word], { stdio: ['ignore', 'pipe', 'ignore'] });
  await once(child.stdout!, 'data');
  return child;
}

/** The pid of a process that has ended. */
const deadPid = (): number => spawnSync(process.execPath, ['-e', '0']).pid;

test('written whole, removed at the end, nothing else left', (t) => {
  const { dir, path } = freshPath();
  const file = createPidFile(path, 'slirpvde');
  t.is(readFileSync(path, 'utf8'), `${process.pid}\n`);
  t.is(file.replaced, null);
  t.deepEqual(readdirSync(dir), ['pid']);
  file.remove();
  t.deepEqual(readdirSync(dir), []);
  t.notThrows(() => file.remove());
});

test('a file of a process that is gone is taken over', (t) => {
  const { dir, path } = freshPath();
  const pid = deadPid();
  writeFileSync(path, `${pid}\n`);
  const file = createPidFile(path, 'slirpvde');
  t.is(file.replaced, pid);
  t.is(readFileSync(path, 'utf8'), `${process.pid}\n`);
  t.deepEqual(readdirSync(dir), ['pid']);
});

test('a file with our own number, from before a restart, is taken over', (t) => {
  const { path } = freshPath();
  writeFileSync(path, String(process.pid));
  t.is(createPidFile(path, 'slirpvde').replaced, process.pid);
});

test('a file of a running instance is refused and left alone', async (t) => {
  const { dir, path } = freshPath();
  const child = await living('/usr/bin/slirpvde');
  t.teardown(() => child.kill());
  writeFileSync(path, `${child.pid}\n`);
  const error = t.throws(() => createPidFile(path, 'slirpvde'), { code: 'ERR_VDE_PID_FILE' });
  t.is(
    error?.message,
    `pid file ${path} belongs to process ${child.pid}, which is running; stop it or choose another file`,
  );
  t.is(readFileSync(path, 'utf8'), `${child.pid}\n`);
  t.deepEqual(readdirSync(dir), ['pid']);
});

(existsSync('/proc/self/cmdline') ? test : test.skip)(
  'a file whose number now belongs to another program is taken over',
  async (t) => {
    const { path } = freshPath();
    const child = await living('something-else');
    t.teardown(() => child.kill());
    writeFileSync(path, `${child.pid}\n`);
    t.is(createPidFile(path, 'slirpvde').replaced, child.pid!);
  },
);

for (const [name, text] of [
  ['empty', ''],
  ['text', 'chapter one\n'],
  ['zero', '0\n'],
  ['negative', '-1\n'],
  ['too long', '1'.repeat(20)],
  ['two numbers', '1 2\n'],
] as const) {
  test(`what is no pid file is never touched: ${name}`, (t) => {
    const { path } = freshPath();
    writeFileSync(path, text);
    t.throws(() => createPidFile(path, 'slirpvde'), { code: 'ERR_VDE_PID_FILE', message: /holds no process id/ });
    t.is(readFileSync(path, 'utf8'), text);
  });
}

test('directories and symbolic links are refused', (t) => {
  const { dir, path } = freshPath();
  mkdirSync(path);
  t.throws(() => createPidFile(path, 'slirpvde'), { code: 'ERR_VDE_PID_FILE', message: /not a regular file/ });
  const target = join(dir, 'target');
  writeFileSync(target, `${deadPid()}\n`);
  const link = join(dir, 'link');
  symlinkSync(target, link);
  t.throws(() => createPidFile(link, 'slirpvde'), { code: 'ERR_VDE_PID_FILE', message: /not a regular file/ });
});

test('a directory that is not there', (t) => {
  const { dir } = freshPath();
  t.throws(() => createPidFile(join(dir, 'none', 'pid'), 'slirpvde'), {
    code: 'ERR_VDE_PID_FILE',
    message: /cannot be written: ENOENT/,
  });
});

test('remove leaves a file that is no longer ours', (t) => {
  const { path } = freshPath();
  const file = createPidFile(path, 'slirpvde');
  writeFileSync(path, '1\n');
  file.remove();
  t.is(readFileSync(path, 'utf8'), '1\n');
});
