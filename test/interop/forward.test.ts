import { SERVER, WORLD } from './lab/lab.ts';
import { patternDigest } from './lab/pattern.ts';
import { Suite, SWITCHES } from './lab/suite.ts';

const BYTES = 5_000_000;
const GUEST = '10.0.2.15';

const forwards = [
  ...['-L', `8080:${GUEST}:80`],
  ...['-L', `8001:${GUEST}:7001`],
  ...['-L', `8002:${GUEST}:7002`],
  ...['-L', `8004:${GUEST}:7004`],
  ...['-L', `8009:${GUEST}:9`],
  ...['-U', `8003:${GUEST}:7003`],
];

for (const kind of SWITCHES) {
  const suite = new Suite('forward', kind, { router: ['-dhcp', ...forwards] });

  suite.test('-L carries a download and an upload intact', ['curl', 'sha256sum'], async (t, lab) => {
    await lab.guest.configure(GUEST);
    const server = lab.guest.space.start(lab.script('test/interop/lab/server.ts'));
    await server.until((child) => child.stdout.includes('ready'), 10_000, 'the guest’s servers listen');

    const url = `http://${WORLD}:8080`;
    const line = `curl -sS --fail ${url}/bytes/${BYTES} | tee ${lab.dir}/down | sha256sum`;
    t.is((await lab.server.must(['sh', '-c', line])).split(' ')[0], patternDigest(BYTES));
    const upload = ['curl', '-sS', '--fail', '-T', `${lab.dir}/down`, `${url}/digest`];
    t.is(await lab.server.must(upload), `${BYTES} ${patternDigest(BYTES)}\n`);
  });

  suite.test('-L keeps the address and port of the client', ['nc'], async (t, lab) => {
    const answer = await lab.server.must(['nc', '-d', '-p', '40404', WORLD, '8004']);
    t.is(answer, `${SERVER} 40404\n`);
  });

  suite.test('-L keeps half-closed connections', ['nc', 'curl'], async (t, lab) => {
    const first = await lab.server.must(['nc', '-N', WORLD, '8001'], { input: 'asked' });
    t.regex(first, /^5 [0-9a-f]{64}\n$/);
    const nc = lab.server.start(['nc', '-N', WORLD, '8002']);
    await nc.until((child) => child.stdout.includes('all it had to say\n'), 5000, 'the greeting');
    nc.end('late');
    t.is((await nc.exited).code, 0);
    t.regex(await lab.server.must(['curl', '-sS', `http://${WORLD}:8080/late`]), /^4 /);
  });

  suite.test(
    '-L: a guest reaches its own forwarded port by an address of the host (RFC 5382 REQ-8)',
    ['nc'],
    async (t, lab) => {
      const answer = await lab.guest.must(['nc', '-d', WORLD, '8004']);
      t.regex(answer, new RegExp(`^${WORLD.replaceAll('.', '\\.')} \\d+\n$`), 'the source is that outside');
    },
  );

  suite.test('-L listens with a long backlog', ['ss'], async (t, lab) => {
    t.regex(await lab.world.must(['ss', '-Htln', 'sport = :8080']), /LISTEN\s+0\s+511\s+0\.0\.0\.0:8080/);
  });

  suite.test('-L to a closed port is a reset to the client', ['curl'], async (t, lab) => {
    const result = await lab.server.run(['curl', '-sS', '--max-time', '20', `http://${WORLD}:8009/`]);
    // The reset follows the handshake so closely that curl may find it while it still looks whether it is connected.
    t.regex(result.stderr, /reset by peer|Failed to connect to \S+ port 8009 after \d+ ms/i);
    t.true(result.ms < 5000, `${result.ms} ms`);
  });

  suite.test('-L to a closed port ends the connection at once', ['nc'], async (t, lab) => {
    const result = await lab.server.run(['nc', '-d', '-w', '5', WORLD, '8009']);
    t.is(result.stdout, '');
    t.true(result.ms < 1000, `${result.ms} ms`);
  });

  suite.test('-U carries datagrams and their answers', ['socat'], async (t, lab) => {
    const result = await lab.server.run(['socat', '-t', '1', '-', `UDP:${WORLD}:8003`], { input: 'in and out\n' });
    t.is(result.stdout, 'in and out\n');
  });

  suite.end();
}
