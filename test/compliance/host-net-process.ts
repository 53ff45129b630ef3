// HostNet compliance: what needs a process of its own: clean exit, few descriptors, ping sockets.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import test from 'ava';
import type { HostNet } from '../../src/host/host-net.ts';
import { hasIpv6 } from './host-net-peers.ts';

export interface BackEnd {
  name: string;
  create(): HostNet;
  /** Source of an expression that gives a new HostNet in a child process, and the imports it needs. */
  imports: string;
  expression: string;
}

/** Runs module source in a child with this project's TypeScript loader; its exit code and what it printed. */
async function child(source: string, shell = 'exec "$@"'): Promise<{ code: number | null; out: string }> {
  const node = [process.execPath, '--import=tsx', '--input-type=module', '-e', source];
  const proc = spawn('sh', ['-c', shell, 'sh', ...node], { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  proc.stdout.on('data', (b) => (out += b));
  proc.stderr.on('data', (b) => (out += b));
  const timer = setTimeout(() => proc.kill('SIGKILL'), 30_000);
  const [code] = (await once(proc, 'close')) as [number | null];
  clearTimeout(timer);
  return { code, out };
}

export function processTests(backEnd: BackEnd): void {
  const { name } = backEnd;
  const addressUrl = new URL('../../src/core/address.ts', import.meta.url).href;
  const prelude = `
    ${backEnd.imports}
    import { parseEndpoint, endpointIpv4 } from '${addressUrl}';
    const host = ${backEnd.expression};
    const NOBODY = { connected() {}, data() {}, end() {}, drained() {}, failed() {}, closed() {} };
  `;

  test(`${name}: after close() nothing keeps the process alive`, async (t) => {
    const { code, out } = await child(`${prelude}
      const listener = await host.listenTcp(parseEndpoint('127.0.0.1', 0), (tcp) => { tcp.user = NOBODY; });
      const idle = { datagram() {}, failed() {} };
      await host.listenUdp(parseEndpoint('127.0.0.1', 0), idle);
      host.openUdp(4, 0, idle);
      host.openPing(parseEndpoint('127.0.0.1', 0), { reply() {}, failed() {} })?.send(1, new Uint8Array(8), 0, 8, 0);
      const tcp = host.connectTcp(listener.local, { ...NOBODY, connected() {
        tcp.write(Buffer.alloc(50e6), 0, 50e6);
        tcp.flush();
        const half = host.connectTcp(listener.local, { ...NOBODY, connected() {
          half.end();
          host.connectTcp(listener.local, NOBODY);
          host.listenTcp(parseEndpoint('127.0.0.1', 0), () => {}).then(
            () => console.log('listens'), (error) => console.log(error.code));
          host.close();
        } });
      } });
    `);
    t.is(out, 'ERR_VDE_LISTEN\n');
    t.is(code, 0);
  });

  test(`${name}: out of descriptors: failed EMFILE, and it goes on when there are some again`, async (t) => {
    const { code, out } = await child(
      `${prelude}
      const { readdirSync } = await import('node:fs');
      const listener = await host.listenTcp(parseEndpoint('127.0.0.1', 0), (tcp) => { tcp.user = NOBODY; });
      const results = new Map();
      const count = (what) => results.set(what, (results.get(what) ?? 0) + 1);
      const open = [];
      const connect = () => new Promise((done) => {
        const settle = (what) => { count(what); done(); };
        open.push(host.connectTcp(listener.local, { ...NOBODY,
          connected: () => settle('connected'), failed: settle }));
      });
      for (let i = 0; i < 60; i++) await connect();
      const udp = await new Promise((done) => {
        const socket = host.openUdp(4, 12345, { datagram() {}, failed: (code) => done(code) });
        socket.send(endpointIpv4(0x7f000001, 9), new Uint8Array(1), 0, 1);
      });
      const refused = results.get('EMFILE');
      for (const tcp of open) tcp.reset();
      await new Promise((done) => setTimeout(done, 50));
      results.clear();
      await connect();
      console.log(JSON.stringify({ refused: refused > 0, udp, again: [...results.keys()] }));
      host.close();
    `,
      'ulimit -n 60; exec "$@"',
    );
    t.is(out, '{"refused":true,"udp":"EMFILE","again":["connected"]}\n');
    t.is(code, 0);
  });

  const pingSource = `${prelude}
    if (host.pingProblem !== null) throw new Error(host.pingProblem);
    const got = [];
    const failures = [];
    const make = (to) => {
      const replies = [];
      let wake = () => {};
      const ping = host.openPing(parseEndpoint(to, 0), {
        reply(seq, b, off, len, ttl) {
          replies.push([seq, Buffer.from(b.subarray(off, off + len)).toString('latin1'), ttl >= 1 && ttl <= 255]);
          wake();
        },
        failed(code) { failures.push(code); wake(); },
      });
      const until = (done) => new Promise((resolve) => { wake = () => done(replies) && resolve(); wake(); });
      return { ping, replies, until };
    };
    const first = make('127.0.0.1');
    const second = make('127.0.0.2');
    const loan = Buffer.from('..abc..');
    first.ping.send(65535, loan, 2, 3, 0);
    second.ping.send(7, loan, 3, 2, 64);
    loan.fill(0);
    first.ping.send(1, Buffer.alloc(0), 0, 0, 3);
    first.ping.send(2, Buffer.alloc(30000, 'x'), 0, 30000, 0);
    await first.until((replies) => replies.length === 3);
    await second.until((replies) => replies.length === 1);
    if (${hasIpv6}) {
      const six = make('::1');
      six.ping.send(513, Buffer.from('six'), 0, 3, 2);
      await six.until((replies) => replies.length === 1);
      second.replies.push(...six.replies);
    }
    first.ping.close();
    first.ping.send(3, loan, 0, 4, 0);
    const lost = make('192.0.2.1');
    lost.ping.send(1, loan, 0, 4, 0);
    const sync = failures.length;
    await lost.until(() => failures.length > 0);
    first.replies[2][1] = first.replies[2][1].length;
    console.log(JSON.stringify([first.replies, second.replies, sync, failures]));
    host.close();
  `;
  // A network namespace of its own: only there may we widen ping_group_range, and only there is nothing routed.
  const PING_SHELL = `exec unshare -rn sh -c '
    ip link set lo up && echo "0 0" > /proc/sys/net/ipv4/ping_group_range && exec "$@"' sh "$@"`;
  const canUnshare =
    spawnSync('sh', ['-c', PING_SHELL, 'sh', 'test', '-e', '/proc/sys/net/ipv4/ping_group_range']).status === 0;

  (canUnshare ? test : test.skip)(`${name}: ping: sequence, data and sizes come back; no route fails`, async (t) => {
    const { code, out } = await child(pingSource, PING_SHELL);
    const replies = [
      [65_535, 'abc', true],
      [1, '', true],
      [2, 30_000, true],
    ];
    const others = [[7, 'bc', true], ...(hasIpv6 ? [[513, 'six', true]] : [])];
    t.is(out, `${JSON.stringify([replies, others, 0, ['ENETUNREACH']])}\n`);
    t.is(code, 0);
  });
}
