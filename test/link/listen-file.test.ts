import { join } from 'node:path';
import test from 'ava';
import { bindSocket, knock } from '../../src/link/listen-file.ts';
import { native, SOCK_STREAM } from '../../src/native/native.ts';
import { tempDir } from './support.ts';

test('who waits for the name of a stream socket can connect, before anybody accepts', async (t) => {
  const path = join(tempDir(t), 'ctl');
  const fd = bindSocket(native(), SOCK_STREAM, path, 0o600, -1);
  t.is(await knock(path), 'open');
  native().close(fd);
});
