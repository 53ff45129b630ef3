// Scenarios that end or upset a process, each run in one of its own by `child` of support.ts.

import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { AF_UNIX, type Batch, native, READABLE, SOCK_DGRAM, WRITABLE } from '../../src/native/native.ts';

const api = native();
const dir = mkdtempSync(join(tmpdir(), 'vdenet-native-'));
process.on('exit', () => rmSync(dir, { recursive: true, force: true }));

/** A socket connected to itself: what it sends it receives. */
function loop(): number {
  const fd = api.socket(AF_UNIX, SOCK_DGRAM, 0);
  const path = join(dir, `${fd}`);
  if (api.bindUnix(fd, path) !== 0 || api.connectUnix(fd, path) !== 0) throw new Error('no socket');
  return fd;
}

/** A worker that runs worker.ts, resolved when it watches its sockets. */
async function worker(scenario: string): Promise<Worker> {
  const tsx = import.meta.resolve('tsx/esm/api');
  const script = new URL('worker.ts', import.meta.url).href;
  const code = `import(${JSON.stringify(tsx)}).then((t) => { t.register(); return import(${JSON.stringify(script)}); })`;
  const thread = new Worker(code, { eval: true, workerData: { scenario, dir } });
  await new Promise((resolve, reject) => thread.once('message', resolve).once('error', reject));
  return thread;
}

const ended = (thread: Worker): Promise<number> => new Promise((resolve) => thread.once('exit', resolve));

/** Collects all garbage: finalizers free what later rounds find. (Looking at a WeakRef in between would keep its target.) */
async function collect(): Promise<void> {
  for (let i = 0; i < 10; i++) {
    globalThis.gc!();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function throwThrice(): void {
  const fd = loop();
  const batch = api.newBatch(new Uint8Array(10), 1);
  let count = 0;
  api.send(fd, batch, 0, 1);
  const poll = api.poll(fd, READABLE, () => {
    if (++count === 3) api.pollClose(poll);
    throw new Error('thrown by a callback');
  });
}

/** The memory's ArrayBuffer is reachable through the batch only. */
function hiddenMemory(): { batch: Batch; memory: WeakRef<ArrayBufferLike> } {
  const memory = Uint8Array.from({ length: 100_000 }, (_, i) => i * 13);
  return { batch: api.newBatch(memory, 2), memory: new WeakRef(memory.buffer) };
}

const scenarios: Record<string, () => void | Promise<void>> = {
  'callback-throws': () => {
    let count = 0;
    process.on('uncaughtException', (error) => {
      if (error.message === 'thrown by a callback') console.log(`uncaught ${++count}`);
    });
    throwThrice();
  },
  'callback-throws-fatally': throwThrice,

  'exit-with-watches': () => {
    api.poll(loop(), READABLE, () => {});
    api.poll(loop(), READABLE | WRITABLE, () => process.exit(7));
  },
  'end-with-paused-watch': () => {
    api.poll(loop(), 0, () => {});
  },
  'end-with-unreferenced-watch': () => {
    api.pollUnref(api.poll(loop(), READABLE, () => {}));
  },
  'watch-keeps-alive': () => {
    const fd = loop();
    const batch = api.newBatch(new Uint8Array(10), 1);
    const poll = api.poll(fd, READABLE, () => {
      api.pollClose(poll);
      console.log('woken');
    });
    setTimeout(() => api.send(fd, batch, 0, 1), 20).unref();
  },

  'worker-ends': async () => {
    const thread = await worker('watch');
    const code = ended(thread);
    thread.postMessage('end');
    console.log('worker', await code);
  },
  'worker-exits-in-callback': async () => {
    console.log('worker', await ended(await worker('exit-in-callback')));
  },
  'worker-closes-and-exits': async () => {
    console.log('worker', await ended(await worker('close-and-exit')));
  },
  'worker-terminated': async () => {
    const thread = await worker('watch');
    console.log('worker', await thread.terminate());
  },
  'worker-terminated-in-callback': async () => {
    const thread = await worker('busy');
    console.log('worker', await thread.terminate());
  },
  'worker-throws': async () => {
    const thread = await worker('throw');
    thread.on('error', (error) => console.log('error', error.message));
    thread.postMessage('throw');
    console.log('worker', await ended(thread));
  },
  'exit-with-worker': async () => {
    await worker('watch');
    process.exit(7);
  },
  'worker-ends-with-tcp': async () => {
    const open = (): number => readdirSync('/proc/self/fd').length;
    const before = open();
    for (let i = 0; i < 3; i++) {
      const thread = await worker('tcp');
      const code = ended(thread);
      thread.postMessage('end');
      await code;
      await (await worker('tcp')).terminate();
    }
    // The datagram sockets of worker.ts are the worker's own to close: one each.
    console.log('left', open() - before - 6);
  },
  'workers-come-and-go': async () => {
    for (let i = 0; i < 4; i++) {
      const threads = await Promise.all([worker('watch'), worker('watch')]);
      await Promise.all(threads.map((thread) => thread.terminate()));
    }
    console.log('done');
  },

  'memory-lives-with-batch': async () => {
    const fd = loop();
    const { batch, memory } = hiddenMemory();
    await collect();
    const lost = memory.deref() === undefined;
    batch.offs[0] = 500;
    batch.lens[0] = 1000;
    api.send(fd, batch, 0, 1);
    const seen = new Uint8Array(1000);
    api.recv(fd, api.newBatch(seen, 1), 0, 1000, 1);
    console.log(
      lost,
      seen.every((byte, i) => byte === (((500 + i) * 13) & 0xff)),
    );
  },
  'memory-goes-with-batch': async () => {
    const memories = Array.from({ length: 40 }, () => hiddenMemory().memory);
    await collect();
    console.log(memories.every((memory) => memory.deref() === undefined));
    const batch = hiddenMemory().batch;
    console.log(api.send(loop(), batch, 0, 2));
  },

  tap: async () => (await import('./tap-child.ts')).tap(),
};

await scenarios[process.argv[2]!]!();
