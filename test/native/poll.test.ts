import { closeSync, openSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { constants } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { ForwardTable, Header } from '../../src/core/forward-table.ts';
import {
  AF_INET,
  AF_UNIX,
  type Batch,
  DISCONNECT,
  type Poll,
  READABLE,
  SOCK_DGRAM,
  SOCK_STREAM,
  WRITABLE,
} from '../../src/native/native.ts';
import { api, child, close, closing, directory, pair, STRIDE, turns, wakeUp } from './support.ts';

const { ECONNREFUSED } = constants.errno;

/** A batch whose frames 0 to 63 are `length` bytes each. */
function frames(length: number): Batch {
  const batch = api.newBatch(new Uint8Array(64 * STRIDE), 64);
  for (let i = 0; i < 64; i++) {
    batch.offs[i] = i * STRIDE;
    batch.lens[i] = length;
  }
  return batch;
}

function sendUntilFull(fd: number, batch: Batch): number {
  let sent = 0;
  for (let n = 1; n > 0; sent += n) n = api.send(fd, batch, 0, 64);
  return sent;
}

test('a wake-up comes for data and goes on until it is read', async (t) => {
  const { a, b } = pair(t);
  const batch = frames(100);
  t.is(api.send(a, batch, 0, 3), 3);
  let wakeUps = 0;
  await new Promise<void>((resolve) => {
    const poll = api.poll(b, READABLE, (events) => {
      t.is(events, READABLE);
      t.is(poll.fd, b);
      t.is(api.recv(b, batch, 0, STRIDE, 1), 1);
      if (++wakeUps < 3) return;
      api.pollClose(poll);
      resolve();
    });
  });
  t.is(api.recv(b, batch, 0, STRIDE, 1), 0);
});

test('WRITABLE of a full queue: no wake-up before the peer drains, one after', async (t) => {
  const { a, b } = pair(t);
  const batch = frames(1514);
  const sent = sendUntilFull(a, batch);
  t.true(sent > 11, `${sent} frames taken`);
  t.is(api.send(a, batch, 0, 1), 0);

  let wakeUps = 0;
  const writable = new Promise<number>((resolve) => {
    const poll = api.poll(a, WRITABLE, (events) => {
      wakeUps++;
      api.pollClose(poll);
      resolve(events);
    });
  });
  await turns(20);
  t.is(wakeUps, 0);
  let got = 0;
  for (let n = 1; n > 0; got += n) n = api.recv(b, batch, 0, STRIDE, 64);
  t.is(got, sent);
  t.is(await writable, WRITABLE);
  t.is(api.send(a, batch, 0, 64), 64);
});

test('pollModify changes the events; 0 pauses', async (t) => {
  const { a, b } = pair(t);
  const batch = frames(10);
  const seen: number[] = [];
  let wake = () => {};
  const poll = api.poll(b, 0, (events) => {
    seen.push(events);
    api.pollModify(poll, 0);
    wake();
  });
  t.teardown(() => api.pollClose(poll));
  const next = () => new Promise<void>((resolve) => (wake = resolve));
  t.is(api.send(a, batch, 0, 1), 1);
  await turns(5);
  t.deepEqual(seen, []);

  let woken = next();
  api.pollModify(poll, READABLE);
  await woken;
  await turns(5);
  t.deepEqual(seen, [READABLE]);

  woken = next();
  api.pollModify(poll, READABLE | WRITABLE);
  await woken;
  t.deepEqual(seen, [READABLE, READABLE | WRITABLE]);
});

test('a watch may be closed inside its own callback, inside that of another, and twice', async (t) => {
  const first = pair(t);
  const second = pair(t);
  const batch = frames(10);
  t.is(api.send(first.a, batch, 0, 2), 2);
  t.is(api.send(second.a, batch, 0, 2), 2);
  const seen: string[] = [];
  const polls: Poll[] = [];
  const closeAll = (name: string) => () => {
    seen.push(name);
    for (const poll of polls) {
      api.pollClose(poll);
      api.pollClose(poll);
      api.pollModify(poll, READABLE);
      api.pollUnref(poll);
    }
  };
  polls.push(api.poll(first.b, READABLE, closeAll('x')), api.poll(second.b, READABLE, closeAll('x')));
  await turns(20);
  t.deepEqual(seen, ['x'], 'both were ready, the first to be called closed both');
});

test('a descriptor may be watched again at once after pollClose, and closed', async (t) => {
  const { a, b } = pair(t);
  const batch = frames(10);
  t.is(api.send(a, batch, 0, 1), 1);
  for (let i = 0; i < 100; i++) api.pollClose(api.poll(b, READABLE, () => t.fail()));
  t.is(await wakeUp(b, READABLE), READABLE);
  const poll = api.poll(b, READABLE, () => t.fail());
  api.pollClose(poll);
  close(b);
  await turns(5);
});

test('a closed watch does not reach the one that has its place now', async (t) => {
  const { a, b } = pair(t);
  const old = api.poll(b, 0, () => t.fail());
  api.pollClose(old);
  const woken = wakeUp(b, READABLE);
  api.pollClose(old);
  api.pollModify(old, 0);
  t.is(api.send(a, frames(1), 0, 1), 1);
  t.is(await woken, READABLE);
});

test('ticks and promises run between two callbacks of one turn', async (t) => {
  const first = pair(t);
  const second = pair(t);
  const batch = frames(10);
  const seen: string[] = [];
  await new Promise<void>((resolve) => {
    const watch = (fd: number) => {
      const poll = api.poll(fd, READABLE, () => {
        seen.push('callback');
        process.nextTick(() => seen.push('tick'));
        Promise.resolve().then(() => seen.push('promise'));
        api.pollClose(poll);
        if (seen.length > 3) setImmediate(resolve);
      });
    };
    watch(first.b);
    watch(second.b);
    api.send(first.a, batch, 0, 1);
    api.send(second.a, batch, 0, 1);
  });
  t.deepEqual(seen, ['callback', 'tick', 'promise', 'callback', 'tick', 'promise']);
});

test('DISCONNECT tells that the peer of a stream has ended', async (t) => {
  const path = join(directory(t), 'stream');
  const server = createServer();
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.teardown(() => server.close());
  const fd = closing(t, api.socket(AF_UNIX, SOCK_STREAM, 0));
  t.is(api.connectUnix(fd, path), 0);
  const woken = wakeUp(fd, DISCONNECT);
  (await accepted).end('last words');
  t.is(await woken, DISCONNECT);
  const batch = frames(0);
  t.is(api.recv(fd, batch, 0, STRIDE, 1), 1);
  t.is(batch.lens[0], 'last words'.length);
});

test('an error on the descriptor wakes with READABLE | DISCONNECT, recv fetches it, and the watch lives on', async (t) => {
  const loopback = Uint8Array.of(127, 0, 0, 1);
  const udp = () => closing(t, api.socket(AF_INET, SOCK_DGRAM, 0));
  const sender = udp();
  const gone = udp();
  t.is(api.bindInet(gone, loopback, 0), 0);
  t.is(api.connectInet(sender, loopback, api.localPort(gone)), 0);
  close(gone);

  const batch = frames(10);
  let wake: (events: number) => void = () => {};
  const poll = api.poll(sender, 0, (events) => wake(events));
  t.teardown(() => api.pollClose(poll));
  for (const asked of [READABLE, WRITABLE, READABLE]) {
    const woken = new Promise<number>((resolve) => {
      wake = (events) => {
        // Writable before the ICMP error is back: nothing to see yet.
        if (events === WRITABLE) return;
        api.pollModify(poll, 0);
        resolve(events);
      };
    });
    api.pollModify(poll, asked);
    t.is(api.send(sender, batch, 0, 1), 1);
    t.is(await woken, READABLE | DISCONNECT);
    t.is(api.recv(sender, batch, 0, STRIDE, 64), -ECONNREFUSED);
    t.is(api.recv(sender, batch, 0, STRIDE, 64), 0);
    batch.lens.fill(10);
  }
});

test('poll: what cannot be watched throws with the code', (t) => {
  const path = join(directory(t), 'file');
  const file = openSync(path, 'w');
  t.teardown(() => closeSync(file));
  t.throws(() => api.poll(file, READABLE, () => {}), { code: 'EPERM' });
  t.throws(() => api.poll(-1, READABLE, () => {}), { code: 'EBADF' });
  const { b } = pair(t);
  const poll = api.poll(b, READABLE, () => {});
  t.teardown(() => api.pollClose(poll));
  t.throws(() => api.poll(b, READABLE, () => {}), { code: 'EEXIST' });
});

test('500 watches at once', async (t) => {
  const { a, b } = pair(t);
  const fds = Array.from({ length: 500 }, () => closing(t, api.socket(AF_UNIX, SOCK_DGRAM, 0)));
  const polls = fds.map((fd) => api.poll(fd, READABLE, () => t.fail()));
  const woken = wakeUp(b, READABLE);
  t.is(api.send(a, frames(1), 0, 1), 1);
  t.is(await woken, READABLE);
  for (const poll of polls) api.pollClose(poll);
});

test('what a callback throws is an uncaught exception, and the watch lives on', async (t) => {
  const { code, stdout, stderr } = await child('callback-throws');
  t.deepEqual({ code, stderr }, { code: 0, stderr: '' });
  t.is(stdout, 'uncaught 1\nuncaught 2\nuncaught 3\n');
});

test('what a callback throws ends a process that does not catch it, with the stack', async (t) => {
  const { code, stderr } = await child('callback-throws-fatally');
  t.is(code, 1);
  t.regex(stderr, /Error: thrown by a callback\n\s+at .*children\.ts/);
});

/** What `ready` is told at its first call, of a watch that `prepare` is given. */
const nextCall = (fd: number, prepare: (poll: Poll) => void): Promise<(number | undefined)[]> =>
  new Promise((resolve) => {
    const poll = api.poll(fd, READABLE, (...of) => {
      api.pollClose(poll);
      resolve(of);
    });
    prepare(poll);
  });

test('a watch that forwards: what it cannot do, and memory that is not there, is left to the callback', async (t) => {
  const { a, b } = pair(t);
  const batch = api.newBatch(new Uint8Array(2 * STRIDE), 2);
  const table = new ForwardTable(2);
  const stations = new Int32Array(new SharedArrayBuffer(4 * 4 * 64));
  const forwarder = api.newForwarder(table, stations);
  // A table of nonsense: one VLAN, flooded to queues that are none and lists that are nowhere.
  table.words.fill(0);
  table.words[Header.Live] = 1;
  forwarder.forward(0, batch, 0, 0);
  const slots = [
    { port: 0, base: 0, max: 2, received: true },
    { port: 0, base: 0, max: 3, received: false },
    { port: 0, base: STRIDE, max: 2, received: false },
    { port: 2, base: 0, max: 2, received: true },
  ];
  for (const { port, base, max, received } of slots) {
    batch.lens[0] = 60;
    t.is(api.send(a, batch, 0, 1), 1);
    const told = await nextCall(b, (poll) => api.pollForward(poll, forwarder, port, batch, base, STRIDE, max, 1514));
    t.deepEqual(told, received ? [READABLE, 1, 0] : [READABLE]);
    if (!received) t.is(api.recv(b, batch, 0, STRIDE, 1), 1);
  }
  batch.lens[0] = 60;
  t.is(api.send(a, batch, 0, 1), 1);
  const plain = await nextCall(b, (poll) => api.pollForward(poll, null, 0, batch, 0, STRIDE, 2, 1514));
  t.deepEqual(plain, [READABLE, 1, 0], 'without a forwarder it receives');
  const memory = new Uint8Array(2 * STRIDE);
  const gone = api.newBatch(memory, 2);
  t.is(api.send(a, batch, 0, 1), 1);
  const told = await nextCall(b, (poll) => {
    api.pollForward(poll, forwarder, 0, gone, 0, STRIDE, 2, 1514);
    structuredClone(memory.buffer, { transfer: [memory.buffer] });
  });
  t.deepEqual(told, [READABLE]);
});
