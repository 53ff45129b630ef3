// How the node back end keeps datagrams that libuv could not pass on at once. Loopback never makes it wait, so node:dgram
// is replaced where it matters.

import * as dgram from 'node:dgram';
import test from 'ava';
import { parseEndpoint } from '../../src/core/address.ts';
import { NodeUdp } from '../../src/host/node-udp.ts';
import { UdpRecorder } from '../support/host-users.ts';

const TO = parseEndpoint('127.0.0.1', 9);

test.serial('datagrams that wait keep their bytes while others are sent', (t) => {
  const kept: { b: Uint8Array; fill: number }[] = [];
  const real = { ...dgram.Socket.prototype };
  t.teardown(() => Object.assign(dgram.Socket.prototype, real));
  let waiting = 0;
  let fill = 0;
  Object.assign(dgram.Socket.prototype, {
    send(b: Uint8Array, off: number, len: number) {
      // Every third one waits.
      if (fill % 3 === 0) kept.push({ b: b.subarray(off, off + len), fill });
      waiting = kept.length;
    },
    getSendQueueCount: () => waiting,
    getSendQueueSize: () => 0,
  });
  const udp = new NodeUdp(4, new UdpRecorder(), () => {});
  t.is(udp.bind(0, '127.0.0.1'), null);
  const loan = Buffer.alloc(30_000);
  for (fill = 0; fill < 30; fill++) udp.send(TO, loan.fill(fill), fill, loan.length - fill);
  udp.close();
  t.is(kept.length, 10);
  for (const { b, fill } of kept) {
    t.is(b.length, loan.length - fill);
    t.true(b.every((byte) => byte === fill));
  }
});

test.serial('too many bytes waiting: the datagram is refused with ENOBUFS', async (t) => {
  const real = { ...dgram.Socket.prototype };
  t.teardown(() => Object.assign(dgram.Socket.prototype, real));
  Object.assign(dgram.Socket.prototype, {
    send: () => t.fail('must not be sent'),
    getSendQueueSize: () => 1_000_000,
  });
  const user = new UdpRecorder();
  const udp = new NodeUdp(4, user, () => {});
  t.is(udp.bind(0, '127.0.0.1'), null);
  udp.send(TO, Buffer.alloc(10), 0, 10);
  t.deepEqual(user.failures, []);
  await user.untilFailures(1);
  udp.close();
  t.deepEqual(user.failures, ['ENOBUFS 127.0.0.1:9']);
});

test.serial('a failed bind can be tried again on another port', (t) => {
  const first = new NodeUdp(4, new UdpRecorder(), () => {});
  t.is(first.bind(0, '127.0.0.1'), null);
  const second = new NodeUdp(4, new UdpRecorder(), () => {});
  t.regex(second.bind(first.localPort, '127.0.0.1')!.message, /EADDRINUSE/);
  t.is(second.localPort, 0);
  second.send(TO, Buffer.alloc(1), 0, 1); // not bound: ignored
  t.is(second.bind(0, '127.0.0.1'), null);
  t.true(second.localPort > 0);
  first.close();
  second.close();
});
