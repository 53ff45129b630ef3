import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import { VdeError } from '../../src/core/errors.ts';
import { listenUnixStream } from '../../src/native/unix-server.ts';
import { tempDir } from '../link/support.ts';

const nobody = (): void => {};

test('mode 0600 from the first moment, or the one asked for; the mask of the process stays', async (t) => {
  const dir = tempDir(t);
  const mask = process.umask();
  const own = await listenUnixStream(join(dir, 'a'), {}, nobody);
  const open = await listenUnixStream(join(dir, 'b'), { mode: 0o666 }, nobody);
  t.is(statSync(join(dir, 'a')).mode & 0o777, 0o600);
  t.is(statSync(join(dir, 'b')).mode & 0o777, 0o666);
  t.is(process.umask(), mask);
  for (const server of [own, open]) {
    server.close();
    await once(server, 'close');
  }
  t.false(existsSync(join(dir, 'a')));
});

test('a socket left by a process that was killed is taken over', async (t) => {
  const path = join(tempDir(t), 's');
  const source = `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('listens'))`;
  const child = spawn(process.execPath, ['-e', source], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  await t.throwsAsync(listenUnixStream(path, {}, nobody), {
    code: 'ERR_VDE_LISTEN',
    message: `cannot listen at ${path}: another process listens there`,
  });
  child.kill('SIGKILL');
  await once(child, 'exit');
  t.true(existsSync(path));
  let accepted = 0;
  const server = await listenUnixStream(path, {}, (socket) => {
    accepted++;
    socket.destroy();
  });
  t.teardown(() => server.close());
  await once(connect(path), 'close');
  t.is(accepted, 1);
});

test('what is not a socket is not touched', async (t) => {
  const dir = tempDir(t);
  writeFileSync(join(dir, 'file'), 'text');
  mkdirSync(join(dir, 'dir'));
  symlinkSync(join(dir, 'file'), join(dir, 'link'));
  symlinkSync(join(dir, 'nowhere'), join(dir, 'dangling'));
  for (const name of ['file', 'dir', 'link', 'dangling']) {
    const error = await t.throwsAsync(listenUnixStream(join(dir, name), {}, nobody), { instanceOf: VdeError });
    t.is(error.code, 'ERR_VDE_LISTEN');
    t.regex(error.message, /it is in the way and is not a socket$/);
  }
  t.is(readFileSync(join(dir, 'file'), 'utf8'), 'text');
});

test('a path that is too long, and a directory that is not there', async (t) => {
  const dir = tempDir(t);
  const long = join(dir, 'x'.repeat(107 - dir.length - 1));
  const server = await listenUnixStream(long, {}, nobody);
  t.teardown(() => server.close());
  await t.throwsAsync(listenUnixStream(`${long}x`, {}, nobody), { code: 'ERR_VDE_PATH_TOO_LONG' });
  await t.throwsAsync(listenUnixStream(join(dir, 'no/s'), {}, nobody), {
    code: 'ERR_VDE_LISTEN',
    message: /: (ENOENT; there is no such directory|EACCES; .*)$/,
  });
});
