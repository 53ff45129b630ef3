import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import test, { type ExecutionContext } from 'ava';
import { FrameMemory } from '../../src/core/frame.ts';
import { plugStream } from '../../src/link/plug-stream.ts';
import { linkCompliance } from '../compliance/link.ts';
import { numbered, tempDir, until } from './support.ts';

/** Two sockets that are joined. */
async function pair(t: ExecutionContext): Promise<[Socket, Socket]> {
  const path = join(tempDir(t), 's');
  const server = createServer();
  server.listen(path);
  await once(server, 'listening');
  const here = connect(path);
  const [there] = (await once(server, 'connection')) as [Socket];
  server.close();
  return [here, there];
}

linkCompliance(test, 'plug stream', async (t) => {
  const memory = new FrameMemory(1 << 20);
  const [one, two] = await pair(t);
  const [three, four] = await pair(t);
  const a = plugStream({ memory, input: one, output: three });
  const b = plugStream({ memory, input: four, output: two });
  return { a, b, memory };
});

test('what is not a pipe is refused', (t) => {
  const error = t.throws(
    () => plugStream({ memory: new FrameMemory(), input: new PassThrough(), output: new PassThrough() }),
    {
      code: 'ERR_VDE_SYSTEM',
    },
  );
  t.regex(error.message, /standard input is not a pipe/);
});

const echo = `
  import { FrameMemory } from '${new URL('../../src/core/frame.ts', import.meta.url).href}';
  import { plugStream } from '${new URL('../../src/link/plug-stream.ts', import.meta.url).href}';
  const link = plugStream({ memory: new FrameMemory() });
  link.attach({ frame: (b, off, len) => link.tx.frame(b, off, len), flush: () => link.tx.flush() });
  link.onEnd = (why) => { process.stderr.write(String(why)); process.exit(); };
`;

test('a process on pipes echoes frames, and ends with its input', async (t) => {
  const child = spawn(process.execPath, ['--import=tsx', '--input-type=module', '-e', echo]);
  t.teardown(() => child.kill());
  let heard = Buffer.alloc(0);
  let said = '';
  child.stdout.on('data', (chunk) => {
    heard = Buffer.concat([heard, chunk]);
  });
  child.stderr.on('data', (chunk) => (said += chunk));
  const frame = Buffer.concat([Buffer.of(0, 60), numbered(3)]);
  const input = Buffer.concat(Array.from({ length: 2000 }, () => frame));
  child.stdin.write(input);
  await until(() => heard.length === input.length, `all came back: ${said}`);
  t.true(heard.equals(input));
  child.stdin.end();
  const [code] = await once(child, 'close');
  t.deepEqual([code, said], [0, 'ended']);
});

test('a file as standard output is refused', async (t) => {
  const file = openSync(join(tempDir(t), 'out'), 'w');
  const child = spawn(process.execPath, ['--import=tsx', '--input-type=module', '-e', echo], {
    stdio: ['pipe', file, 'pipe'],
  });
  let said = '';
  child.stderr!.on('data', (chunk) => (said += chunk));
  const [code] = await once(child, 'close');
  t.is(code, 1);
  t.regex(said, /standard output is not a pipe/);
});
