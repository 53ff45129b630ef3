// What the router says at start about ping; the echo itself is in test/compliance/host-net.ts.

import test from 'ava';
import { parseEndpoint } from '../../src/core/address.ts';
import { createNodeHostNet } from '../../src/host/node-host-net.ts';

const NOBODY = { reply() {}, failed() {} };

test('ping: either it works, or one line says why not and what would help', (t) => {
  const host = createNodeHostNet();
  t.teardown(() => host.close());
  const ping = host.openPing(parseEndpoint('127.0.0.1', 0), NOBODY);
  t.is(ping === null, host.pingProblem !== null);
  if (host.pingProblem !== null) {
    t.regex(
      host.pingProblem,
      /^ping sockets (are not permitted for group \d+: sysctl .* enables them|need the native addon: .+|cannot be made: E[A-Z]+)$/,
    );
    t.false(host.pingProblem.includes('\n'));
  }
});

test('ping: switched off', (t) => {
  const host = createNodeHostNet({ ping: false });
  t.teardown(() => host.close());
  t.is(host.pingProblem, 'ping sockets are switched off');
  t.is(host.openPing(parseEndpoint('127.0.0.1', 0), NOBODY), null);
});

for (const address of ['127.0.0.1', '::1']) {
  test(`ping: echo of ${address}, data and sequence number as sent`, async (t) => {
    const host = createNodeHostNet();
    t.teardown(() => host.close());
    if (host.pingProblem !== null) {
      t.pass('this machine allows none, which the first test has looked at');
      return;
    }
    const reply = await new Promise<string>((done) => {
      const ping = host.openPing(parseEndpoint(address, 0), {
        reply: (seq, b, off, len) => done(`${seq} ${Buffer.from(b.subarray(off, off + len))}`),
        failed: (code) => done(code),
      });
      ping!.send(7, Buffer.from('..echo..'), 2, 4, 0);
    });
    t.true(['7 echo', 'EAFNOSUPPORT', 'EADDRNOTAVAIL'].includes(reply), reply);
  });
}
