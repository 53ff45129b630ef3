import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { type Guest, SERVER } from './lab/lab.ts';
import { patternDigest, patternFile, patternStream } from './lab/pattern.ts';
import { until } from './lab/process.ts';
import { Suite, SWITCHES } from './lab/suite.ts';

const BIG = 100 * 1024 * 1024;
const MEDIUM = 20 * 1024 * 1024;
const MANY = 200;
const SOCKETS = 1500;
/** What lab/stall.ts offers, and what buffers of both kernels (4 to 6 MB each) and ours may take of it. */
const OFFERED = 40 << 20;
const STALLED = 30 << 20;
const IPERF_FLOOR = 20e6; // bit/s: far below what any router does that is not broken

const digestLine = (bytes: number): string => `${bytes} ${patternDigest(bytes)}\n`;

async function download(t: ExecutionContext, guest: Guest, bytes: number): Promise<void> {
  const line = `curl -sS --fail http://${SERVER}/bytes/${bytes} | sha256sum`;
  const result = await guest.shell(line, { timeoutMs: 120_000 });
  t.is(result.stderr, '');
  t.is(result.stdout.split(' ')[0], patternDigest(bytes));
}

for (const kind of SWITCHES) {
  const suite = new Suite('tcp', kind, { guests: 2 });

  suite.test('curl downloads 100 MB intact', ['curl', 'sha256sum'], async (t, lab) => {
    for (const guest of lab.guests) await guest.dhcp();
    await download(t, lab.guest, BIG);
  });

  suite.test('curl uploads 100 MB intact', ['curl'], async (t, lab) => {
    const file = await patternFile(lab.dir, BIG);
    const upload = ['curl', '-sS', '--fail', '-T', file, `http://${SERVER}/digest`];
    t.is(await lab.guest.must(upload, { timeoutMs: 120_000 }), digestLine(BIG));
    rmSync(file);
  });

  suite.test('two guests download at once', ['curl', 'sha256sum'], async (t, lab) => {
    await Promise.all(lab.guests.map((guest) => download(t, guest, MEDIUM)));
  });

  suite.test('200 parallel requests are all answered in full', ['curl'], async (t, lab) => {
    const url = `http://${SERVER}/bytes/[${10_000}-${10_000 + MANY - 1}]`;
    const parallel = ['--parallel', '--parallel-immediate', '--parallel-max', String(MANY)];
    const quiet = ['-sS', '--no-progress-meter', '--fail'];
    const files = join(lab.dir, 'part.#1');
    const result = await lab.guest.run(['curl', ...quiet, ...parallel, '-o', files, url], { timeoutMs: 60_000 });
    t.is(result.stderr, '');
    t.is(result.code, 0);
    const pattern = await patternStream(10_000 + MANY).toArray();
    for (let bytes = 10_000; bytes < 10_000 + MANY; bytes++) {
      const part = readFileSync(join(lab.dir, `part.${bytes}`));
      t.true(part.equals(Buffer.concat(pattern).subarray(0, bytes)), `response of ${bytes} bytes`);
    }
  });

  suite.test('a client that closes its half first still gets the answer', ['nc'], async (t, lab) => {
    const file = await patternFile(lab.dir, 1_000_000);
    const result = await lab.guest.shell(`nc -N ${SERVER} 7001 < ${file}`);
    t.is(result.stdout, digestLine(1_000_000));
    t.is(result.code, 0);
  });

  suite.test('a server that closes its half first still gets the rest', ['nc', 'curl'], async (t, lab) => {
    const nc = lab.guest.space.start(['nc', '-N', SERVER, '7002']);
    await nc.until((child) => child.stdout.includes('all it had to say\n'), 5000, 'the greeting');
    // The guest's kernel has the server's FIN now: what follows goes through a half-closed connection.
    const states = await lab.guest.must(['ss', '-tn', 'dst', SERVER]);
    t.regex(states, /CLOSE-WAIT/);
    nc.end(readFileSync(await patternFile(lab.dir, 1_000_000)));
    t.is((await nc.exited).code, 0);
    const late = async (): Promise<string> => lab.guest.must(['curl', '-sS', `http://${SERVER}/late`]);
    await until(async () => (await late()) !== 'none\n', 5000, 'the server has seen the end');
    t.is(await late(), digestLine(1_000_000));
  });

  suite.test('a refused port is refused at once', ['curl', 'nc'], async (t, lab) => {
    const curl = await lab.guest.run(['curl', '-sS', `http://${SERVER}:9/`]);
    t.is(curl.code, 7, 'CURLE_COULDNT_CONNECT');
    t.true(curl.ms < 1000, `${curl.ms} ms`);
    t.regex((await lab.guest.run(['nc', '-v', '-w', '5', SERVER, '9'])).stderr, /Connection refused/);
  });

  suite.test('a reset in mid-stream does not look like a clean end', ['curl'], async (t, lab) => {
    await lab.guest.dhcp();
    const file = join(lab.dir, 'torn');
    const result = await lab.guest.run(['curl', '-sS', '--max-time', '10', '-o', file, `http://${SERVER}/torn/300000`]);
    t.is(result.code, 56, `CURLE_RECV_ERROR: ${result.stderr}`);
    t.regex(result.stderr, /reset by peer/i);
    t.is(readFileSync(file).length, 300_000, 'what came before the reset is there');
  });

  suite.test('what a server said before its reset arrives, and then the reset', ['curl'], async (t, lab) => {
    await lab.guest.dhcp();
    const file = join(lab.dir, 'slammed');
    for (let i = 0; i < 5; i++) {
      const url = `http://${SERVER}/slam/8000`;
      const result = await lab.guest.run(['curl', '-sS', '--max-time', '10', '-o', file, url]);
      t.is(result.code, 56, `CURLE_RECV_ERROR: ${result.stderr}`);
      t.is(readFileSync(file).length, 8000);
    }
  });

  suite.test('a peer that stops reading stalls the sender, both ways, and nothing is lost', [], async (t, lab) => {
    await lab.guest.dhcp();
    const stall = (...argv: string[]): string[] => [...lab.script('test/interop/lab/stall.ts'), ...argv];
    for (const [at, there] of [
      ['hold', 'send'],
      ['send', 'hold'],
    ] as const) {
      const server = lab.server.start(stall(at, 'listen', '7100'));
      await server.until((child) => child.stdout.includes('ready'), 10_000, 'it listens');
      const client = lab.guest.space.start(stall(there, 'connect', SERVER, '7100'));
      const [sender, reader] = at === 'send' ? [server, client] : [client, server];
      await sender.until((child) => child.stdout.includes('stalled'), 60_000, 'it is stalled');
      const taken = Number(/stalled (\d+)/.exec(sender.stdout)?.[1]);
      t.log(`${there} in the guest: stalled after ${(taken / 2 ** 20).toFixed(1)} MiB`);
      t.true(taken < STALLED, `${taken} bytes taken`);
      reader.write('go\n');
      await reader.until((child) => child.stdout.includes(`got ${OFFERED}`), 60_000, 'all arrives');
      await client.stop();
      await server.stop();
    }
  });

  for (const [route, address, word] of [
    ['unreachable', '203.0.113.71', /No route to host/],
    ['prohibit', '203.0.113.72', /No route to host/],
    ['blackhole', '203.0.113.73', /Network is unreachable/],
  ] as const) {
    suite.test(`a connect that the host's routes refuse fails at once: ${route}`, ['nc'], async (t, lab) => {
      await lab.guest.dhcp();
      await lab.world.must(['ip', 'route', 'add', route, address]);
      const result = await lab.guest.run(['nc', '-v', '-w', '60', address, '80']);
      t.regex(result.stderr, word);
      t.true(result.ms < 20_000, `${result.ms} ms`);
    });
  }

  suite.test(
    '1,500 connects at the same moment to one server, more than select(2) can name: all work',
    ['curl'],
    async (t, lab) => {
      await lab.guest.dhcp();
      const held = `
      const net = require('node:net');
      const sockets = [];
      let open = 0, answered = 0;
      const begin = Date.now();
      for (let i = 0; i < ${SOCKETS}; i++) {
        const s = net.connect({ host: '${SERVER}', port: 7001, allowHalfOpen: true });
        sockets.push(s);
        let text = '';
        s.on('connect', () => { if (++open === ${SOCKETS}) console.log('open after ' + (Date.now() - begin) + ' ms'); });
        s.on('error', (error) => console.log(error.message));
        s.on('data', (data) => { text += data; });
        s.on('end', () => { if (text.startsWith('5 2cf24dba') && ++answered === ${SOCKETS}) console.log('answered'); });
      }
      process.stdin.once('data', () => sockets.forEach((s) => s.end('hello')));`;
      const client = lab.guest.space.start([process.execPath, '-e', held]);
      await client.until((child) => child.stdout.includes('open'), 40_000, 'all are open');
      t.log(client.stdout.trim());
      t.true(readdirSync(`/proc/${lab.router.pid}/fd`).length > SOCKETS, 'one host socket each');
      t.is(await lab.guest.must(['curl', '-sS', '--fail', `http://${SERVER}/peer`]), '198.51.100.1\n', 'and one more');
      client.write('go\n');
      await client.until((child) => child.stdout.includes('answered'), 40_000, 'all are answered');
      await client.stop();
    },
  );

  suite.test('iperf3 runs both ways', ['iperf3'], async (t, lab) => {
    const server = lab.server.start(['iperf3', '-s', '--forceflush']);
    await server.until((child) => child.stdout.includes('listening'), 5000, 'iperf3 listens');
    for (const way of [[], ['-R']]) {
      const client = ['iperf3', '-c', SERVER, '-t', '2', '-J', ...way];
      const report = JSON.parse(await lab.guest.must(client)) as {
        end: { sum_received: { bits_per_second: number } };
      };
      const rate = report.end.sum_received.bits_per_second;
      t.log(`${way.length === 0 ? 'guest to host' : 'host to guest'}: ${(rate / 1e6).toFixed(0)} Mbit/s`);
      t.true(rate > IPERF_FLOOR, `${rate} bit/s`);
    }
    await server.stop();
  });

  suite.end();
}
