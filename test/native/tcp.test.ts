// TCP sockets of the reactor, at the level of the addon.
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { ADDRESS_CELLS, EPOLLERR, EPOLLHUP, EPOLLOUT, EVENT_CELLS } from '../../src/native/native.ts';
import { api } from './support.ts';

const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const SUCCEEDED = 0;
const ECONNREFUSED = -111;

/** Where somebody listens on loopback, as cells, and the server. */
async function listening(t: ExecutionContext) {
  const server = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const cells = new Int32Array(ADDRESS_CELLS);
  cells.set([0, 0, 0xffff, 0x7f000001, (server.address() as AddressInfo).port, 0, 0]);
  return { server, cells };
}

/** A connected socket, closed after the test. */
async function connected(t: ExecutionContext, cells: Int32Array): Promise<number> {
  const fd = api.tcpConnect(cells);
  t.true(fd >= 0);
  t.teardown(() => api.reactorClose(fd, true));
  await delay(20);
  t.is(api.tcpOpened(fd, EPOLLOUT), SUCCEEDED);
  return fd;
}

test.serial('the first write of a socket needs no TCP_NODELAY, the second one has it', async (t) => {
  const { server, cells } = await listening(t);
  const accepted = once(server, 'connection');
  const fd = await connected(t, cells);
  const [peer] = await accepted;
  const came: string[] = [];
  peer.on('data', (b: Buffer) => came.push(b.toString()));
  const nodelay = (): boolean => api.getsockopt(fd, IPPROTO_TCP, TCP_NODELAY) > 0;
  const write = (text: string): void => {
    t.is(api.tcpWrite(fd, [Buffer.from(text)], 1, 0, text.length), text.length);
  };
  write('a');
  t.false(nodelay());
  write('b');
  t.true(nodelay());
  write('c');
  while (came.join('') !== 'abc') await once(peer, 'data');
  peer.destroy();
});

test.serial('how a connect ended is asked for when an event leaves it open, and is true without', async (t) => {
  const { server, cells } = await listening(t);
  const fd = await connected(t, cells);
  t.is(api.tcpOpened(fd, EPOLLOUT | EPOLLHUP), SUCCEEDED);
  server.close();
  const refused = api.tcpConnect(cells);
  t.teardown(() => api.reactorClose(refused, true));
  await delay(20);
  t.is(api.tcpOpened(refused, EPOLLOUT | EPOLLERR | EPOLLHUP), ECONNREFUSED);
});

test.serial(
  'events of a socket that was closed are not told, nor as those of the next one with its number',
  async (t) => {
    const { cells } = await listening(t);
    const told: number[] = [];
    const { poll, table } = api.pollReactor((_events, count = 0) => {
      for (let i = 0; i < count; i++) told.push(table[i * EVENT_CELLS]!);
    });
    t.teardown(() => api.pollClose(poll));
    const numbers = new Set<number>();
    for (let i = 0; i < 50; i++) {
      const fd = api.tcpConnect(cells);
      numbers.add(fd);
      if (i % 10 === 9) await delay(1);
      api.reactorClose(fd, i % 2 === 0);
    }
    t.true(numbers.size < 50, 'numbers were used again');
    told.length = 0;
    await delay(50);
    t.deepEqual(told, []);
  },
);
