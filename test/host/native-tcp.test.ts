// What TCP sockets of the addon tell and bear beyond the compliance suite: ICMP errors, and many ends in one turn of the
// event loop. Errors of routers on the way: test/interop/errors.test.ts.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { parseEndpoint } from '../../src/core/address.ts';
import type { HostNet, HostTcp, IcmpReport } from '../../src/host/host-net.ts';
import { createNodeHostNet } from '../../src/host/node-host-net.ts';
import { bytesOf, closedPort, LOOPBACKS, serve } from '../compliance/host-net-peers.ts';
import { TcpRecorder } from '../support/host-users.ts';

/** Writes down reports too. */
class Recorder extends TcpRecorder {
  readonly reports: string[] = [];

  override failed(code: string, report?: IcmpReport): void {
    if (report !== undefined) this.reports.push(`${report.type}/${report.code} ${report.offender?.host ?? 'own'}`);
    super.failed(code);
  }
}

function open(t: ExecutionContext): HostNet {
  const host = createNodeHostNet({ native: true });
  t.teardown(() => host.close());
  return host;
}

for (const address of LOOPBACKS) {
  test(`a port of ${address} that is closed is refused without a report: it was an RST`, async (t) => {
    const user = new Recorder();
    open(t).connectTcp(parseEndpoint(address, await closedPort()), user);
    await user.until('failed');
    t.deepEqual([user.events, user.reports], [['failed ECONNREFUSED'], []]);
  });
}

test('what is deferred within an event runs in the same turn: before ticks, and once for both sockets', async (t) => {
  const host = open(t);
  const { at, sockets } = await serve(t, (socket) => void socket);
  const [a, b] = [new TcpRecorder(), new TcpRecorder()];
  const order: string[] = [];
  for (const user of [a, b]) {
    host.connectTcp(at, user);
    await user.until('connected');
    user.onData = () => {
      order.push('told');
      process.nextTick(() => order.push('tick'));
      if (order.length === 1) host.defer(() => order.push('deferred'));
    };
  }
  while (sockets.size < 2) await a.settle();
  for (const socket of sockets) socket.write('x');
  await Promise.all([a.untilReceived(1), b.untilReceived(1)]);
  await a.settle();
  t.true(order.indexOf('deferred') < order.indexOf('tick'), order.join(' '));
  t.is(order.filter((what) => what === 'deferred').length, 1);
});

test('what is deferred within an event runs in the same turn, before ticks', async (t) => {
  const host = open(t);
  const { at } = await serve(t, (socket) => socket.write('x'));
  const user = new TcpRecorder();
  const order: string[] = [];
  user.onData = () => {
    process.nextTick(() => order.push('tick'));
    host.defer(() => order.push('deferred'));
    order.push('told');
  };
  host.connectTcp(at, user);
  await user.untilReceived(1);
  await user.settle();
  t.deepEqual(order, ['told', 'deferred', 'tick']);
});

test('a zone that is no interface is refused, not connected elsewhere', async (t) => {
  const to = parseEndpoint('fe80::1', 80);
  to.zone = 'nosuchif0';
  const user = new Recorder();
  open(t).connectTcp(to, user);
  t.deepEqual(user.events, []);
  await user.until('failed');
  t.deepEqual(user.events, ['failed EINVAL']);
});

test("a reset behind the peer's FIN is told at once, though nothing is written", async (t) => {
  const { at, sockets } = await serve(t, (socket) => void socket.pause().end('bye'));
  const user = new Recorder();
  const tcp = open(t).connectTcp(at, user);
  tcp.write(bytesOf('unread'), 0, 6);
  await user.until('end');
  for (const socket of sockets) socket.destroy(); // with our bytes unread: RST
  await user.until('failed');
  t.is(user.text(), 'bye');
  t.deepEqual(user.events, ['connected', 'data', 'end', 'failed ECONNRESET']);
});

// Alone in the process: it counts descriptors.
test.serial(
  'sockets that end others inside of their callbacks: nothing is told of the dead, no descriptor is left',
  async (t) => {
    const { at } = await serve(t, (socket) => void socket.on('data', (b) => socket.write(b)));
    const host = open(t);
    const dead = new Set<HostTcp>();
    const wrong: string[] = [];
    let told = 0;
    const before = readdirSync('/proc/self/fd').length;
    for (let round = 0; round < 10; round++) {
      const group: HostTcp[] = [];
      const idle = new TcpRecorder();
      for (let i = 0; i < 40; i++) {
        const check = (what: string): void => {
          if (dead.has(tcp)) wrong.push(what);
          told++;
        };
        const tcp: HostTcp = host.connectTcp(at, {
          connected() {
            check('connected');
            tcp.write(bytesOf('ping'), 0, 4);
            tcp.flush();
          },
          data() {
            check('data');
            // The others' events of this turn are in the table already, and so are descriptors of new sockets soon.
            for (const other of group) {
              if (other === tcp && i % 2 === 0) continue;
              dead.add(other);
              other.reset();
            }
            const next = host.connectTcp(at, idle);
            next.reset();
          },
          end: () => check('end'),
          drained() {},
          failed: (code) => check(code),
          closed: () => check('closed'),
        });
        group.push(tcp);
      }
      await idle.pass(20);
      (globalThis as { gc?: () => void }).gc?.();
      for (const tcp of group) {
        dead.add(tcp);
        tcp.reset();
      }
    }
    const idle = new TcpRecorder();
    await idle.pass(20);
    t.deepEqual(wrong, []);
    t.true(told > 10);
    // The server's ends of them may still be closing.
    for (let i = 0; i < 200 && readdirSync('/proc/self/fd').length > before; i++) await idle.pass(10);
    t.true(readdirSync('/proc/self/fd').length <= before);
  },
);

test('a user that throws ends the process, or else the others still get their events', async (t) => {
  const { at } = await serve(t, (socket) => void socket.end('answer'));
  const source = `
    import { createNodeHostNet } from '${new URL('../../src/host/node-host-net.ts', import.meta.url).href}';
    import { parseEndpoint } from '${new URL('../../src/core/address.ts', import.meta.url).href}';
    const host = createNodeHostNet({ native: true });
    let thrown = 0;
    let answers = 0;
    process.on('uncaughtException', () => thrown++);
    for (let i = 0; i < 20; i++) {
      const tcp = host.connectTcp(parseEndpoint('127.0.0.1', ${at.port}), {
        connected() { if (i % 3 === 0) { tcp.reset(); throw new Error('thrown'); } },
        data() { answers++; }, drained() {}, end() { tcp.end(); }, failed() {}, closed() {},
      });
    }
    setTimeout(() => {
      process.stdout.write(thrown + ' ' + answers);
      host.close();
    }, 1500);
  `;
  const child = spawn(process.execPath, ['--import=tsx', '--input-type=module', '-e', source]);
  let out = '';
  child.stdout.on('data', (b) => (out += b));
  child.stderr.on('data', (b) => (out += b));
  await new Promise((resolve) => child.once('close', resolve));
  t.is(out, '7 13');
});

// A network namespace of its own: only there may an unreachable route be set.
const SHELL = 'ip link set lo up && ip route add unreachable 192.0.2.1 && ip route add prohibit 192.0.2.2 && exec "$@"';
const unshared = ['-rn', 'sh', '-c', SHELL, 'sh'];
const canUnshare = spawnSync('unshare', [...unshared, 'true']).status === 0;

(canUnshare ? test : test.skip)('what the host itself refuses fails after the call, without a report', (t) => {
  const source = `
    import { createNodeHostNet } from '${new URL('../../src/host/node-host-net.ts', import.meta.url).href}';
    import { parseEndpoint } from '${new URL('../../src/core/address.ts', import.meta.url).href}';
    const host = createNodeHostNet({ native: true });
    for (const to of ['192.0.2.1', '192.0.2.2', '192.0.2.3']) {
      let called = true;
      host.connectTcp(parseEndpoint(to, 80), {
        connected() {}, data() {}, drained() {}, end() {}, closed() {},
        failed(code, report) { console.log(to, code, report === undefined, called); },
      });
      called = false;
    }
  `;
  const node = [process.execPath, '--import=tsx', '--input-type=module', '-e', source];
  const { stdout, stderr } = spawnSync('unshare', [...unshared, ...node], { encoding: 'utf8' });
  t.is(stderr, '');
  t.is(stdout, '192.0.2.1 EHOSTUNREACH true false\n192.0.2.2 EACCES true false\n192.0.2.3 ENETUNREACH true false\n');
});

test('what follows urgent data is read, before the end too', async (t) => {
  const script = `
import socket, sys
s = socket.create_server(('127.0.0.1', 0))
print(s.getsockname()[1], flush=True)
for close in (False, True):
    c = s.accept()[0]
    sys.stdin.readline()
    c.sendall(b'before')
    c.send(b'!', socket.MSG_OOB)
    c.sendall(b'behind')
    if close: c.shutdown(socket.SHUT_WR)
    sys.stdin.readline()
`;
  const peer = spawn('python3', ['-c', script], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.teardown(() => peer.kill());
  const port = await Promise.race([
    once(peer.stdout, 'data').then(([line]) => Number(line)),
    once(peer, 'error').then(() => 0),
  ]);
  if (port === 0) {
    t.pass('there is no python3 here');
    return;
  }
  const host = open(t);
  for (const end of [false, true]) {
    const user = new TcpRecorder();
    const tcp = host.connectTcp(parseEndpoint('127.0.0.1', port), user);
    user.tcp = tcp;
    await user.until('connected');
    tcp.pause();
    peer.stdin.write('go\n');
    await user.pass(50);
    tcp.resume();
    await user.untilReceived(12);
    if (end) await user.until('end');
    t.is(user.text(), 'beforebehind');
    peer.stdin.write('next\n');
  }
});
