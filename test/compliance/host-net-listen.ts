// HostNet compliance: listeners and the connections they accept.

import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import * as net from 'node:net';
import test from 'ava';
import { parseEndpoint } from '../../src/core/address.ts';
import { VdeError } from '../../src/core/errors.ts';
import { TcpRecorder, UdpRecorder } from '../support/host-users.ts';
import { bytesOf, deferred, hasIpv6, LOOPBACKS, MB, type OpenHost, serve, udpPeer } from './host-net-peers.ts';

export function listenTests(name: string, open: OpenHost): void {
  for (const address of LOOPBACKS) {
    test(`${name}: an accepted socket of ${address} starts paused, then works like any other`, async (t) => {
      const host = open(t);
      const users: TcpRecorder[] = [];
      const arrived = deferred<void>();
      const listener = await host.listenTcp(parseEndpoint(address, 0), (tcp) => {
        const user = new TcpRecorder();
        user.tcp = tcp;
        tcp.user = user;
        users.push(user);
        arrived.resolve();
      });
      t.is(listener.local.host, address);
      t.true(listener.local.port > 0);
      const client = net.connect({ port: listener.local.port, host: address, allowHalfOpen: true });
      t.teardown(() => client.destroy());
      client.end('from the client');
      let got = '';
      client.on('data', (b) => (got += b));
      await arrived.promise;
      const user = users[0]!;
      const tcp = user.tcp!;
      await user.pass(30);
      t.deepEqual(user.events, []);
      t.is(tcp.remote.host, address);
      t.is<number | undefined, number | undefined>(tcp.remote.port, client.localPort);
      t.is(tcp.local.toString(), listener.local.toString());
      tcp.resume();
      await user.until('end');
      t.is(user.text(), 'from the client');
      tcp.write(bytesOf('answer'), 0, 6);
      tcp.end();
      await user.until('closed');
      await (client.readableEnded || once(client, 'end'));
      t.is(got, 'answer');
      t.deepEqual(user.events, ['data', 'end', 'closed']);
      listener.close();
      listener.close();
    });
  }

  test(`${name}: 100 MB both ways at once, with pauses and bounded backlogs, arrive unchanged`, async (t) => {
    const host = open(t);
    const total = 100 * MB;
    const limit = 512 * 1024;
    const block = randomBytes(1_048_573);
    /** Sends `total` bytes in odd pieces, stops above the limit, pauses its own reading now and then. */
    const run = (tcp: NonNullable<TcpRecorder['tcp']>, user: TcpRecorder) => {
      const out = createHash('sha256');
      const into = createHash('sha256');
      let left = total;
      let most = 0;
      let piece = 1;
      user.keep = false;
      const fill = (): void => {
        while (left > 0 && tcp.backlog < limit) {
          for (let i = 0; i < 20 && left > 0; i++) {
            piece = (piece * 31) % 5003;
            const n = Math.min(left, piece + 1);
            const off = left % (block.length - n);
            tcp.write(block, off, n);
            out.update(block.subarray(off, off + n));
            left -= n;
          }
          tcp.flush();
          most = Math.max(most, tcp.backlog);
        }
        if (left === 0) tcp.end();
      };
      user.onData = (b) => {
        into.update(b);
        if (user.received % 13 === 0) {
          tcp.pause();
          setImmediate(() => tcp.resume());
        }
      };
      user.onDrained = fill;
      return { fill, out, into, most: () => most };
    };
    const server = new TcpRecorder();
    const client = new TcpRecorder();
    let far: ReturnType<typeof run> | null = null;
    const listener = await host.listenTcp(parseEndpoint('127.0.0.1', 0), (tcp) => {
      tcp.user = server;
      far = run(tcp, server);
      tcp.resume();
      far.fill();
    });
    const tcp = host.connectTcp(listener.local, client);
    const near = run(tcp, client);
    await client.until('connected');
    near.fill();
    await Promise.all([client.until('closed'), server.until('closed')]);
    t.is(client.received, total);
    t.is(server.received, total);
    t.is(client.failure + server.failure, '');
    t.is(far!.into.digest('hex'), near.out.digest('hex'));
    t.is(near.into.digest('hex'), far!.out.digest('hex'));
    const slack = 20 * 5003;
    t.true(near.most() <= limit + slack && far!.most() <= limit + slack);
  });

  test(`${name}: reset of an accepted socket, and of one whose peer reset first`, async (t) => {
    const host = open(t);
    const users: TcpRecorder[] = [];
    const listener = await host.listenTcp(parseEndpoint('127.0.0.1', 0), (tcp) => {
      const user = new TcpRecorder();
      user.tcp = tcp;
      tcp.user = user;
      users.push(user);
      tcp.resume();
    });
    const first = net.connect(listener.local.port, '127.0.0.1');
    const second = net.connect(listener.local.port, '127.0.0.1');
    t.teardown(() => [first, second].map((s) => s.destroy()));
    await Promise.all([once(first, 'connect'), once(second, 'connect')]);
    while (users.length < 2) await new Promise(setImmediate);
    const ofFirst = users.find((user) => user.tcp!.remote.port === first.localPort)!;
    const ofSecond = users.find((user) => user !== ofFirst)!;
    ofFirst.tcp!.reset();
    const [error] = await once(first, 'error');
    t.is((error as NodeJS.ErrnoException).code, 'ECONNRESET');
    second.resetAndDestroy();
    await ofSecond.until('failed');
    t.deepEqual([ofFirst.events, ofSecond.events], [[], ['failed ECONNRESET']]);
  });

  test(`${name}: a listener that was closed accepts no more, and what it accepted lives on`, async (t) => {
    const host = open(t);
    const user = new TcpRecorder();
    const listener = await host.listenTcp(parseEndpoint('127.0.0.1', 0), (tcp) => {
      tcp.user = user;
      user.tcp = tcp;
      tcp.resume();
    });
    const client = net.connect(listener.local.port, '127.0.0.1');
    t.teardown(() => client.destroy());
    await once(client, 'connect');
    while (user.tcp === null) await new Promise(setImmediate);
    listener.close();
    const refused = net.connect(listener.local.port, '127.0.0.1');
    const [error] = await once(refused, 'error');
    t.is((error as NodeJS.ErrnoException).code, 'ECONNREFUSED');
    client.write('still here');
    await user.untilReceived(10);
    t.is(user.text(), 'still here');
  });

  for (const address of LOOPBACKS) {
    test(`${name}: a port of ${address} that is taken: ERR_VDE_LISTEN with address, errno and advice`, async (t) => {
      const host = open(t);
      const { at } = await serve(t, () => {}, address);
      const error = await t.throwsAsync(
        host.listenTcp(at, () => {}),
        { instanceOf: VdeError },
      );
      t.is(error.code, 'ERR_VDE_LISTEN');
      t.true(error.message.includes(`TCP ${at}`), error.message);
      t.regex(error.message, /EADDRINUSE; .+/);
      const { at: udpAt } = await udpPeer(t, address);
      const udpError = await t.throwsAsync(host.listenUdp(udpAt, new UdpRecorder()), { instanceOf: VdeError });
      t.is(udpError.code, 'ERR_VDE_LISTEN');
      t.true(udpError.message.includes(`UDP ${udpAt}`), udpError.message);
      t.regex(udpError.message, /EADDRINUSE; .+/);
    });
  }

  test(`${name}: an address that is not ours: EADDRNOTAVAIL`, async (t) => {
    const host = open(t);
    // TEST-NET-1, RFC 5737, and the documentation prefix of RFC 3849
    for (const text of hasIpv6 ? ['192.0.2.1', '2001:db8::1'] : ['192.0.2.1']) {
      const elsewhere = parseEndpoint(text, 0);
      await t.throwsAsync(
        host.listenTcp(elsewhere, () => {}),
        { message: /EADDRNOTAVAIL/ },
      );
      await t.throwsAsync(host.listenUdp(elsewhere, new UdpRecorder()), { message: /EADDRNOTAVAIL/ });
    }
  });

  (hasIpv6 ? test : test.skip)(`${name}: an IPv6 listener leaves the IPv4 port free`, async (t) => {
    const host = open(t);
    const six = await host.listenTcp(parseEndpoint('::', 0), () => {});
    const four = await host.listenTcp(parseEndpoint('0.0.0.0', six.local.port), () => {});
    t.is(four.local.port, six.local.port);
  });
}
