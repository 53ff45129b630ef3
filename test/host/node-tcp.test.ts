// What is particular to the node back end's TCP sockets; all else is in test/compliance/host-net.ts.

import { once } from 'node:events';
import * as net from 'node:net';
import test from 'ava';
import { NodeTcp } from '../../src/host/node-tcp.ts';
import { TcpRecorder } from '../support/host-users.ts';

test('an accepted socket works on a Node whose handles cannot be adopted', async (t) => {
  const user = new TcpRecorder();
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    // Hidden from here on, as if this Node called it otherwise.
    Object.defineProperty((socket as unknown as { _handle: object })._handle, 'useUserBuffer', { value: undefined });
    const tcp = NodeTcp.accepted(socket, () => {})!;
    tcp.user = user;
    user.tcp = tcp;
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const want = Buffer.alloc(3_000_000, 'abcdefg');
  const client = net.connect({
    port: (server.address() as net.AddressInfo).port,
    host: '127.0.0.1',
    allowHalfOpen: true,
  });
  t.teardown(() => client.destroy());
  client.end(want);
  let got = '';
  client.on('data', (b) => (got += b));
  await once(client, 'connect');
  while (user.tcp === null) await new Promise(setImmediate);
  await user.pass(20);
  t.deepEqual(user.events, []);
  let late = 0;
  let paused = false;
  user.onData = () => {
    if (paused) late++;
    paused = true;
    user.tcp!.pause();
    setImmediate(() => {
      paused = false;
      user.tcp!.resume();
    });
  };
  user.tcp.resume();
  await user.until('end');
  t.true(user.bytes().equals(want));
  t.is(late, 0);
  user.tcp.write(Buffer.from('done'), 0, 4);
  user.tcp.end();
  await user.until('closed');
  if (!client.readableEnded) await once(client, 'end');
  t.is(got, 'done');
});
