// HostNet compliance: TCP connections made by connectTcp.

import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type * as net from 'node:net';
import test from 'ava';
import { Endpoint, parseEndpoint } from '../../src/core/address.ts';
import type { ReadMemory } from '../../src/host/host-net.ts';
import { TcpRecorder, UdpRecorder } from '../support/host-users.ts';
import {
  bytesOf,
  closedPort,
  deferred,
  FLOOD_LEN,
  LOOPBACKS,
  MB,
  type OpenHost,
  serve,
  sha,
} from './host-net-peers.ts';

export function tcpTests(name: string, open: OpenHost): void {
  for (const address of LOOPBACKS) {
    test(`${name}: TCP to ${address}: connected, addresses known, echo, orderly end`, async (t) => {
      const { at } = await serve(t, (socket) => socket.pipe(socket), address);
      const user = new TcpRecorder();
      const tcp = open(t).connectTcp(at, user);
      user.tcp = tcp;
      t.deepEqual(user.events, [], 'nothing is called within connectTcp');
      t.is(tcp.local.port, 0);
      await user.until('connected');
      t.is(tcp.remote.toString(), at.toString());
      t.is(tcp.local.host, address);
      t.true(tcp.local.port > 0);
      const hello = bytesOf('hello');
      tcp.write(hello, 1, 3);
      tcp.flush();
      await user.untilReceived(3);
      t.is(user.text(), 'ell');
      tcp.end();
      await user.until('closed');
      t.deepEqual(user.events, ['connected', 'data', 'end', 'closed']);
    });
  }

  test(`${name}: what is deferred within an event runs once, when the event has been told`, async (t) => {
    const { at } = await serve(t, (socket) => socket.write('hello'));
    const host = open(t);
    const order: string[] = [];
    const ran = deferred<void>();
    const user = new TcpRecorder();
    user.onData = () => {
      host.defer(() => {
        order.push('deferred');
        ran.resolve();
      });
      order.push('told');
    };
    host.connectTcp(at, user);
    await ran.promise;
    await user.settle();
    t.deepEqual(order, ['told', 'deferred']);
  });

  test(`${name}: what is deferred outside of events runs soon after the call`, async (t) => {
    const order: string[] = [];
    const ran = deferred<void>();
    open(t).defer(() => {
      order.push('deferred');
      ran.resolve();
    });
    order.push('returned');
    await ran.promise;
    t.deepEqual(order, ['returned', 'deferred']);
  });

  for (const address of LOOPBACKS) {
    test(`${name}: a refused connect to ${address} fails once, after the call returned`, async (t) => {
      const user = new TcpRecorder();
      open(t).connectTcp(parseEndpoint(address, await closedPort()), user);
      t.deepEqual(user.events, []);
      await user.until('failed');
      await user.settle();
      t.deepEqual(user.events, ['failed ECONNREFUSED']);
    });
  }

  test(`${name}: the endpoint given to connectTcp may be reused at once`, async (t) => {
    const { at } = await serve(t, (socket) => socket.end('here'));
    const user = new TcpRecorder();
    const reused = new Endpoint().copy(at);
    const tcp = open(t).connectTcp(reused, user);
    reused.setIpv4(0x7f000001, 1);
    await user.until('end');
    t.is(user.text(), 'here');
    t.is(tcp.remote.port, at.port);
  });

  test(`${name}: a reset of the peer is ECONNRESET, after the data that came before it`, async (t) => {
    const { at } = await serve(t, (socket) => {
      socket.write(Buffer.alloc(50_000, 7), () => setImmediate(() => socket.resetAndDestroy()));
    });
    const user = new TcpRecorder();
    open(t).connectTcp(at, user);
    await user.until('failed');
    await user.settle();
    t.is(user.received, 50_000);
    t.is(user.events.at(-1), 'failed ECONNRESET');
    t.false(user.events.includes('end'));
    t.false(user.events.includes('closed'));
  });

  test(`${name}: a peer that closed before it got our data is ECONNRESET too, once`, async (t) => {
    const { at } = await serve(t, (socket) => socket.end(() => socket.destroy()));
    const user = new TcpRecorder();
    const tcp = open(t).connectTcp(at, user);
    await user.until('end');
    while (user.failure === '') {
      tcp.write(bytesOf('anybody there?'), 0, 14);
      tcp.flush();
      await user.settle();
    }
    tcp.write(bytesOf('x'), 0, 1);
    tcp.flush();
    tcp.end();
    tcp.reset();
    await user.settle();
    t.deepEqual(user.events, ['connected', 'end', 'failed ECONNRESET']);
  });

  test(`${name}: half close by us: the peer sees the end and can still send`, async (t) => {
    const { at } = await serve(t, (socket) => {
      let got = '';
      socket.on('data', (b) => (got += b));
      socket.on('end', () => socket.end(`got ${got}`));
    });
    const user = new TcpRecorder();
    const tcp = open(t).connectTcp(at, user);
    // Before it is connected, and without a flush: nothing of it may be lost.
    tcp.write(bytesOf('question'), 0, 8);
    tcp.end();
    await user.until('closed');
    t.is(user.text(), 'got question');
    t.deepEqual(user.events, ['connected', 'data', 'end', 'closed']);
  });

  test(`${name}: half close by the peer: we can still send, and it is closed only after our end`, async (t) => {
    let got = '';
    const { at, sockets } = await serve(t, (socket) => {
      socket.end('bye');
      socket.on('data', (b) => (got += b));
    });
    const user = new TcpRecorder();
    const tcp = open(t).connectTcp(at, user);
    await user.until('end');
    await user.settle();
    t.deepEqual(user.events, ['connected', 'data', 'end']);
    for (let i = 0; i < 3; i++) {
      tcp.write(bytesOf(`late${i} `), 0, 6);
      tcp.flush();
      await user.settle();
    }
    const gone = once([...sockets][0]!, 'close');
    tcp.end();
    await user.until('closed');
    await gone;
    t.is(got, 'late0 late1 late2 ');
  });

  test(`${name}: bytes are copied within write`, async (t) => {
    const { at } = await serve(t, (socket) => socket.pipe(socket));
    const user = new TcpRecorder();
    const tcp = open(t).connectTcp(at, user);
    const loan = Buffer.alloc(200_000);
    const want = randomBytes(loan.length);
    want.copy(loan);
    tcp.write(loan, 0, loan.length);
    loan.fill(0);
    await user.until('connected');
    tcp.flush();
    await user.untilReceived(want.length);
    want.copy(loan);
    tcp.write(loan, 0, loan.length);
    tcp.flush();
    loan.fill(0);
    await user.untilReceived(2 * want.length);
    t.is(sha(user.bytes()), sha(Buffer.concat([want, want])));
  });

  test(`${name}: writes after end are ignored`, async (t) => {
    let got = '';
    const { at } = await serve(t, (socket) => {
      socket.on('data', (b) => (got += b));
      socket.on('end', () => socket.end());
    });
    const user = new TcpRecorder();
    const tcp = open(t).connectTcp(at, user);
    await user.until('connected');
    tcp.write(bytesOf('before'), 0, 6);
    tcp.end();
    tcp.write(bytesOf('after'), 0, 5);
    tcp.flush();
    tcp.end();
    await user.until('closed');
    t.is(got, 'before');
    t.is(tcp.backlog, 0);
  });

  test(`${name}: pause stops reading from the kernel, resume goes on where it was`, async (t) => {
    const want = randomBytes(FLOOD_LEN);
    let taken = 0;
    const { at } = await serve(t, (socket) => {
      const push = (): void => {
        while (taken < want.length) {
          const piece = want.subarray(taken, taken + 65_536);
          taken += piece.length;
          if (!socket.write(piece)) return void socket.once('drain', push);
        }
        socket.end();
      };
      push();
    });
    const user = new TcpRecorder();
    const tcp = open(t).connectTcp(at, user);
    tcp.pause(); // before it is connected
    await user.until('connected');
    // The sender comes to rest when the kernel's buffers are full; nothing of it may come here.
    for (let last = -1; last !== taken; ) {
      last = taken;
      await user.pass(50);
    }
    t.true(taken < want.length, 'the sender must have been stopped');
    t.deepEqual(user.events, ['connected']);
    let pauses = 0;
    let atPause = 0;
    user.onData = () => {
      if (atPause > 0) return t.fail('more than one buffer after pause()');
      if (pauses++ % 3 !== 0) return;
      tcp.pause();
      atPause = user.received;
      setImmediate(() => {
        atPause = 0;
        tcp.resume();
      });
    };
    tcp.resume();
    await user.until('end');
    t.true(pauses > 3);
    t.is(sha(user.bytes()), sha(want));
  });

  test(`${name}: a user that lends memory gets every byte once and in order, whatever it lends`, async (t) => {
    const want = randomBytes(FLOOD_LEN);
    const { at } = await serve(t, (socket) => void socket.end(want));
    const user = new TcpRecorder();
    const parts: Buffer[] = [];
    let lent: Buffer[] | null = null;
    let turn = 0;
    const memory: ReadMemory = {
      lend(into, most) {
        t.is(lent, null, 'filled must come before the next lend');
        t.true(most > 0);
        if (++turn % 7 === 0) return false;
        lent = [Buffer.alloc((turn % 3) * 5000 + 5), Buffer.alloc(turn % 5), Buffer.alloc(100_000)];
        lent.forEach((piece, i) => {
          into.pieces[i] = piece;
        });
        into.count = lent.length;
        into.off = 5;
        into.len = Math.min(
          most,
          lent.reduce((sum, piece) => sum + piece.length, -5),
        );
        return true;
      },
      filled(len) {
        const all = Buffer.concat(lent!).subarray(5);
        t.true(len <= all.length);
        parts.push(all.subarray(0, len));
        lent = null;
        if (turn % 11 !== 0 || len === 0) return;
        tcp.pause();
        setImmediate(() => tcp.resume());
      },
    };
    const tcp = open(t).connectTcp(at, Object.assign(user, { memory }));
    user.onData = (b) => parts.push(Buffer.from(b));
    user.keep = false;
    await user.until('end');
    t.is(lent, null);
    t.is(sha(Buffer.concat(parts)), sha(want));
  });

  test(`${name}: data and RST that wait together: the data first, then ECONNRESET, not an end`, async (t) => {
    const gone = deferred<void>();
    const { at } = await serve(t, (socket) => {
      socket.pause(); // what it never reads makes the kernel answer its close with RST
      socket.on('close', () => gone.resolve());
      socket.write(Buffer.alloc(20_000, 1)); // fits the window of one who does not read
      // When our bytes have come, which nobody tells who does not read.
      setTimeout(() => socket.destroy(), 200);
    });
    const user = new TcpRecorder();
    const tcp = open(t).connectTcp(at, user);
    tcp.pause();
    tcp.write(bytesOf('unread'), 0, 6);
    await user.until('connected');
    await gone.promise;
    await user.pass(20);
    t.deepEqual(user.events, ['connected']);
    tcp.resume();
    await t.throwsAsync(user.until('closed'));
    t.is(user.received, 20_000);
    t.is(user.failure, 'ECONNRESET');
    t.false(user.events.includes('end'));
  });

  test(`${name}: resume and pause in one turn: at most one read buffer arrives`, async (t) => {
    const { at } = await serve(t, (socket) => void socket.write(Buffer.alloc(4 * MB)));
    const user = new TcpRecorder();
    const tcp = open(t).connectTcp(at, user);
    tcp.pause();
    await user.until('connected');
    tcp.resume();
    tcp.pause();
    await user.pass(100);
    t.true(user.events.filter((e) => e === 'data').length <= 1);
  });

  test(`${name}: a peer that does not read: the backlog is what was written, and drains when it does`, async (t) => {
    const { at, sockets } = await serve(t, (socket) => socket.pause());
    const user = new TcpRecorder();
    const tcp = open(t).connectTcp(at, user);
    await user.until('connected');
    const piece = randomBytes(100_000);
    const hash = createHash('sha256');
    let written = 0;
    while (tcp.backlog < 1 * MB) {
      tcp.write(piece, 0, piece.length);
      tcp.flush();
      hash.update(piece);
      written += piece.length;
      if (written > 4 * FLOOD_LEN) return t.fail('the backlog never grew');
      await user.pass(0);
    }
    const stuck = tcp.backlog;
    await user.pass(100);
    t.true(tcp.backlog <= stuck && tcp.backlog > 0);
    tcp.end();
    const got = createHash('sha256');
    let count = 0;
    const [socket] = sockets;
    socket!.on('data', (b: Buffer) => {
      count += b.length;
      got.update(b);
    });
    socket!.on('end', () => socket!.end());
    socket!.resume();
    await user.until('closed');
    t.is(count, written);
    t.is(got.digest('hex'), hash.digest('hex'));
    t.true(user.events.includes('drained'));
    t.is(tcp.backlog, 0);
  });

  test(`${name}: drained is called after each fall of a backlog that was looked at`, async (t) => {
    const { at } = await serve(t, (socket) => socket.resume().on('end', () => socket.end()));
    const user = new TcpRecorder();
    const tcp = open(t).connectTcp(at, user);
    const piece = Buffer.alloc(64_000);
    let left = FLOOD_LEN;
    const fill = (): void => {
      while (left > 0 && tcp.backlog < 256_000) {
        const n = Math.min(left, piece.length);
        tcp.write(piece, 0, n);
        left -= n;
      }
      tcp.flush();
      if (left === 0) tcp.end();
    };
    user.onDrained = fill;
    await user.until('connected');
    fill();
    // A stall here would mean that a drained is missing.
    await user.until('closed');
    t.is(left, 0);
  });

  test(`${name}: reset during the connect: nothing more is called, no connection stays`, async (t) => {
    const { at, sockets } = await serve(t, (socket) => socket.resume());
    const host = open(t);
    const users = Array.from({ length: 20 }, () => new TcpRecorder());
    users.forEach((user, i) => {
      const tcp = host.connectTcp(at, user);
      tcp.write(bytesOf('never'), 0, 5);
      if (i % 2 === 0) tcp.reset();
      else process.nextTick(() => tcp.reset());
    });
    const last = new TcpRecorder();
    const probe = host.connectTcp(at, last);
    await last.until('connected');
    await last.pass(50);
    for (const user of users) t.deepEqual(user.events, []);
    t.is(sockets.size, 1);
    probe.reset();
    probe.reset();
    await last.pass(20);
    t.deepEqual(last.events, ['connected']);
  });

  for (const when of ['idle', 'with a backlog', 'right after end', 'after the end was sent']) {
    test(`${name}: reset ${when} is an RST for the peer`, async (t) => {
      const accepted = deferred<{ peer: net.Socket; ended: Promise<unknown>; failed: Promise<unknown[]> }>();
      const { at } = await serve(t, (peer) => {
        // events.once would make an end fail with the error that is awaited.
        const ended = new Promise((resolve) => peer.once('end', resolve));
        accepted.resolve({ peer, ended, failed: new Promise((resolve) => peer.once('error', (e) => resolve([e]))) });
        if (when === 'with a backlog') peer.pause();
        else peer.resume();
      });
      const user = new TcpRecorder();
      const tcp = open(t).connectTcp(at, user);
      await user.until('connected');
      const { peer, ended, failed } = await accepted.promise;
      if (when === 'with a backlog') {
        const piece = Buffer.alloc(MB);
        for (let i = 0; i < FLOOD_LEN / MB && tcp.backlog < MB; i++) {
          tcp.write(piece, 0, piece.length);
          tcp.flush();
        }
        t.true(tcp.backlog > 0);
      }
      if (when.includes('end')) tcp.end();
      if (when === 'after the end was sent') await ended;
      tcp.reset();
      t.is(tcp.backlog, 0);
      peer.resume();
      // With FIN already there the peer learns of the RST when it writes.
      const writing = setInterval(() => peer.write('x'), 5);
      const closed = once(peer, 'close').then(() => [new Error('closed without an error')]);
      const [what] = await Promise.race([failed, closed]);
      clearInterval(writing);
      t.regex((what as NodeJS.ErrnoException).code ?? (what as Error).message, /ECONNRESET|EPIPE/);
      t.deepEqual(user.events, ['connected']);
    });
  }

  test(`${name}: close() resets what is open and fails what comes later`, async (t) => {
    const accepted = deferred<net.Socket>();
    const { at } = await serve(t, (socket) => accepted.resolve(socket));
    const host = open(t);
    const user = new TcpRecorder();
    host.connectTcp(at, user);
    await user.until('connected');
    const peer = await accepted.promise;
    peer.resume();
    host.close();
    const [error] = await once(peer, 'error');
    t.is((error as NodeJS.ErrnoException).code, 'ECONNRESET');
    t.deepEqual(user.events, ['connected']);
    const late = new TcpRecorder();
    host.connectTcp(at, late);
    t.deepEqual(late.events, []);
    await late.until('failed');
    t.deepEqual(late.events, ['failed ECANCELED']);
    const udp = new UdpRecorder();
    host.openUdp(4, 0, udp);
    await udp.untilFailures(1);
    t.deepEqual(udp.failures, ['ECANCELED']);
    await t.throwsAsync(
      host.listenTcp(parseEndpoint('127.0.0.1', 0), () => {}),
      { code: 'ERR_VDE_LISTEN' },
    );
    await t.throwsAsync(host.listenUdp(parseEndpoint('127.0.0.1', 0), udp), { code: 'ERR_VDE_LISTEN' });
    t.is(host.openPing(at, { reply() {}, failed() {} }), null);
  });
}
