// HostNet compliance: datagram sockets.

import { randomBytes } from 'node:crypto';
import type * as dgram from 'node:dgram';
import { once } from 'node:events';
import test from 'ava';
import { Endpoint, parseEndpoint } from '../../src/core/address.ts';
import { UdpRecorder } from '../support/host-users.ts';
import { bytesOf, LOOPBACKS, type OpenHost, sha, udpPeer } from './host-net-peers.ts';

export function udpTests(name: string, open: OpenHost): void {
  for (const address of LOOPBACKS) {
    test(`${name}: UDP there and back over ${address}`, async (t) => {
      const { socket, at } = await udpPeer(t, address);
      socket.on('message', (b, from) => socket.send(`re: ${b}`, from.port, from.address));
      const user = new UdpRecorder();
      const udp = open(t).openUdp(address === '::1' ? 6 : 4, 0, user);
      const loan = bytesOf('..ping..');
      udp.send(at, loan, 2, 4);
      loan.fill(0);
      udp.send(at, loan, 0, 0);
      await user.untilReceived(2);
      t.deepEqual(user.texts(), [`${at} re: ping`, `${at} re: `]);
      t.true(udp.localPort > 0);
    });
  }

  test(`${name}: one socket, many destinations: one local port, order kept, anybody may answer`, async (t) => {
    const peers = await Promise.all(Array.from({ length: 8 }, () => udpPeer(t)));
    const stranger = await udpPeer(t);
    const seen = new Map<number, string[]>();
    const ports = new Set<number>();
    const user = new UdpRecorder();
    for (const { socket, at } of peers) {
      socket.on('message', (b, from) => {
        ports.add(from.port);
        seen.set(at.port, [...(seen.get(at.port) ?? []), b.toString()]);
        socket.send(b, from.port, from.address);
      });
    }
    const udp = open(t).openUdp(4, 0, user);
    const reused = new Endpoint();
    for (let round = 0; round < 5; round++) {
      for (const { at } of peers) {
        const b = bytesOf(`${round}`);
        udp.send(reused.copy(at), b, 0, b.length);
      }
    }
    await user.untilReceived(40);
    t.deepEqual([...ports], [udp.localPort]);
    for (const { at } of peers) t.deepEqual(seen.get(at.port), ['0', '1', '2', '3', '4']);
    stranger.socket.send('unasked', udp.localPort, '127.0.0.1');
    await user.untilReceived(41);
    t.is(user.texts().at(-1), `${stranger.at} unasked`);
  });

  test(`${name}: a preferred port is taken when it is free, else another one`, async (t) => {
    const host = open(t);
    const { at } = await udpPeer(t, '0.0.0.0');
    const user = new UdpRecorder();
    const other = host.openUdp(4, at.port, user);
    const { socket, at: target } = await udpPeer(t);
    const got = once(socket, 'message');
    other.send(target, bytesOf('hi'), 0, 2);
    const [, from] = (await got) as [Buffer, dgram.RemoteInfo];
    t.not(from.port, at.port);
    t.is(other.localPort, from.port);
    const free = host.openUdp(4, 0, user);
    const port = free.localPort;
    free.close();
    await user.pass(20);
    t.is(host.openUdp(4, port, user).localPort, port);
    t.deepEqual(user.failures, []);
  });

  test(`${name}: a port that is taken, or below 1024, is replaced by another of the same parity (RFC 4787 REQ-3, REQ-4)`, (t) => {
    const host = open(t);
    const user = new UdpRecorder();
    const wanted = host.openUdp(4, 0, user).localPort;
    const ports = [wanted];
    for (let i = 0; i < 20; i++) ports.push(host.openUdp(4, wanted, user).localPort);
    t.is(new Set(ports).size, ports.length, 'no port is given twice');
    t.true(ports.every((port) => port % 2 === wanted % 2));
    for (const low of [68, 123, 1, 1023]) {
      const port = host.openUdp(4, low, user).localPort;
      t.true(port >= 1024 && port % 2 === low % 2, `${low} became ${port}`);
    }
    t.deepEqual(user.failures, []);
  });

  test(`${name}: datagrams of 65507 bytes pass, longer ones fail with their destination`, async (t) => {
    const { socket, at } = await udpPeer(t);
    socket.on('message', (b, from) => socket.send(b, from.port, from.address));
    const user = new UdpRecorder();
    const udp = open(t).openUdp(4, 0, user);
    const b = randomBytes(70_000);
    udp.send(at, b, 0, 65_508);
    udp.send(at, b, 0, 70_000);
    t.deepEqual(user.failures, []);
    udp.send(at, b, 5, 65_507);
    await user.untilReceived(1);
    await user.untilFailures(2);
    t.is(sha(user.datagrams[0]!.bytes), sha(b.subarray(5, 65_512)));
    t.deepEqual(user.failures, [`EMSGSIZE ${at}`, `EMSGSIZE ${at}`]);
  });

  test(`${name}: a destination the kernel refuses fails with that destination, the socket goes on`, async (t) => {
    const { socket, at } = await udpPeer(t);
    const user = new UdpRecorder();
    const udp = open(t).openUdp(4, 0, user);
    const portZero = parseEndpoint('127.0.0.1', 0);
    const broadcast = parseEndpoint('255.255.255.255', 9);
    const got = once(socket, 'message');
    udp.send(portZero, bytesOf('a'), 0, 1);
    udp.send(broadcast, bytesOf('b'), 0, 1);
    udp.send(at, bytesOf('c'), 0, 1);
    t.deepEqual(user.failures, []);
    await user.untilFailures(2);
    t.is(String((await got)[0]), 'c');
    t.is(user.failures[0], `EINVAL ${portZero}`);
    t.regex(user.failures[1]!, /^(EACCES|ENETUNREACH) 255\.255\.255\.255:9$/);
  });

  for (const address of LOOPBACKS) {
    test(`${name}: listenUdp of ${address} is bound to exactly what was asked`, async (t) => {
      const host = open(t);
      const user = new UdpRecorder();
      const udp = await host.listenUdp(parseEndpoint(address, 0), user);
      const { socket } = await udpPeer(t, address);
      socket.send('to the forward', udp.localPort, address);
      await user.untilReceived(1);
      const got = once(socket, 'message');
      udp.send(user.datagrams[0]!.from, bytesOf('answer'), 0, 6);
      const [b, from] = (await got) as [Buffer, dgram.RemoteInfo];
      t.is(b.toString(), 'answer');
      t.deepEqual([from.address, from.port], [address, udp.localPort]);
    });
  }

  test(`${name}: what is posted leaves by the flush at the latest, in order, whatever is between`, async (t) => {
    const host = open(t);
    const { socket, at } = await udpPeer(t);
    socket.setRecvBufferSize(1 << 20);
    const got: string[] = [];
    const user = new UdpRecorder();
    socket.on('message', (b, from) => {
      got.push(`${b.length > 9 ? b.length : b}`);
      socket.send('heard', from.port, from.address);
    });
    const [one, other] = [host.openUdp(4, 0, user), host.openUdp(4, 0, user)];
    const to = new Endpoint().copy(at);
    const loan = bytesOf('abc');
    const post = (udp: typeof one, text: string, ttl = 0): void => {
      loan[0] = text.charCodeAt(0);
      udp.post(to, loan, 0, 1, ttl);
      loan.fill(0);
    };
    for (const text of 'abc') post(one, text);
    post(other, 'd');
    post(one, 'e', 9);
    post(one, 'f');
    one.send(to, bytesOf('g'), 0, 1);
    for (let i = 0; i < 100; i++) post(one, 'h');
    for (const len of [30_000, 65_507, 40_000, 65_508]) one.post(to, new Uint8Array(len), 0, len);
    post(other, 'i');
    other.close();
    post(one, 'j');
    to.set(-1, -1, -1, -1, 1);
    host.flush();
    host.flush();
    // What the other socket sent may be answered to nobody.
    await user.untilReceived(3 + 3 + 100 + 3 + 1);
    t.deepEqual(got, [...'abcdefg', ...'h'.repeat(100), '30000', '65507', '40000', 'i', 'j']);
    t.deepEqual(user.failures, [`EMSGSIZE ${at}`]);
  });

  test(`${name}: a destination that the kernel refuses does not cost what was posted with it`, async (t) => {
    const host = open(t);
    const { socket, at } = await udpPeer(t);
    const got: string[] = [];
    socket.on('message', (b) => got.push(b.toString()));
    const user = new UdpRecorder();
    const udp = host.openUdp(4, 0, user);
    const broadcast = parseEndpoint('255.255.255.255', 9);
    const heard = once(socket, 'message').then(() => once(socket, 'message'));
    for (const [to, text] of [
      [broadcast, 'x'],
      [at, 'a'],
      [broadcast, 'x'],
      [at, 'b'],
    ] as const)
      udp.post(to, bytesOf(text), 0, 1);
    host.flush();
    t.deepEqual(user.failures, [], 'told when the call is over');
    await user.untilFailures(2);
    await heard;
    t.deepEqual(got, ['a', 'b']);
    t.true(user.failures.every((f) => /^(EACCES|ENETUNREACH) 255\.255\.255\.255:9$/.test(f)));
  });

  test(`${name}: after close nothing is received, sent or thrown`, async (t) => {
    const host = open(t);
    const { socket, at } = await udpPeer(t);
    let got = 0;
    socket.on('message', () => got++);
    const user = new UdpRecorder();
    const udp = host.openUdp(4, 0, user);
    const port = udp.localPort;
    udp.send(at, Buffer.alloc(70_000), 0, 70_000);
    udp.close();
    udp.close();
    udp.send(at, bytesOf('x'), 0, 1);
    socket.send('late', port, '127.0.0.1');
    await user.pass(30);
    t.is(got, 0);
    t.is(user.datagrams.length, 0);
    t.deepEqual(user.failures, []);
  });

  test(`${name}: a burst larger than the kernel's buffers is delivered whole, lost or refused, never damaged`, async (t) => {
    const { socket, at } = await udpPeer(t);
    let got = 0;
    let damaged = 0;
    socket.on('message', (b) => {
      got++;
      if (!b.equals(Buffer.alloc(60_000, b[0]))) damaged++;
    });
    const user = new UdpRecorder();
    const udp = open(t).openUdp(4, 0, user);
    const loan = Buffer.alloc(60_000);
    for (let i = 0; i < 100; i++) udp.send(at, loan.fill(i), 0, loan.length);
    while (got === 0) await user.pass(20);
    t.is(damaged, 0);
    for (const failure of user.failures) t.is(failure, `ENOBUFS ${at}`);
  });
}
