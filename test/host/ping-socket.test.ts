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
