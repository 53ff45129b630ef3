// What datagram sockets of the addon tell beyond the compliance suite: ICMP errors and TTLs. Errors of routers on the way
// need namespaces: test/interop/errors.test.ts.
import test, { type ExecutionContext } from 'ava';
import { type Endpoint, parseEndpoint } from '../../src/core/address.ts';
import type { HostNet, HostUdp, HostUdpUser, IcmpReport } from '../../src/host/host-net.ts';
import { addressBytes } from '../../src/host/native-address.ts';
import { createNodeHostNet } from '../../src/host/node-host-net.ts';
import * as n from '../../src/native/native.ts';
import { bytesOf, LOOPBACKS, udpPeer } from '../compliance/host-net-peers.ts';
import { UdpRecorder } from '../support/host-users.ts';

/** Writes down reports too. */
class Recorder extends UdpRecorder {
  readonly reports: string[] = [];

  override failed(code: string, to: Endpoint | null, report?: IcmpReport): void {
    if (report !== undefined) this.reports.push(`${report.type}/${report.code} ${report.offender?.host ?? 'own'}`);
    super.failed(code, to);
  }
}

function open(t: ExecutionContext): HostNet {
  const host = createNodeHostNet();
  t.teardown(() => host.close());
  return host;
}

/** Where nobody listens: the port of a socket that was closed. */
function nobody(host: HostNet, address: string): Endpoint {
  const user: HostUdpUser = { datagram() {}, failed() {} };
  const udp = host.openUdp(address === '::1' ? 6 : 4, 0, user);
  const at = parseEndpoint(address, udp.localPort);
  udp.close();
  return at;
}

for (const address of LOOPBACKS) {
  test(`a closed port of ${address} is told with its report`, async (t) => {
    const host = open(t);
    const at = nobody(host, address);
    const user = new Recorder();
    const udp = host.openUdp(address === '::1' ? 6 : 4, 0, user);
    udp.send(at, bytesOf('anybody?'), 0, 8);
    t.deepEqual(user.failures, [], 'not before the call returned');
    await user.untilFailures(1);
    t.deepEqual(user.failures, [`ECONNREFUSED ${at}`]);
    t.deepEqual(user.reports, [address === '::1' ? '1/4 own' : '3/3 own']);
  });
}

test('an error that waits does not cost the next datagrams to others', async (t) => {
  const host = open(t);
  const dead = nobody(host, '127.0.0.1');
  const { socket, at } = await udpPeer(t);
  const got: string[] = [];
  socket.on('message', (b, from) => {
    got.push(b.toString());
    socket.send(b, from.port, from.address);
  });
  const user = new Recorder();
  const udp = host.openUdp(4, 0, user);
  for (let i = 0; i < 10; i++) {
    udp.send(dead, bytesOf('x'), 0, 1);
    udp.send(at, bytesOf(`${i}`), 0, 1);
  }
  await user.untilReceived(10);
  await user.untilFailures(1);
  t.deepEqual(got, Array.from('0123456789'));
  t.true(user.failures.every((f) => f === `ECONNREFUSED ${dead}`));
  t.is(user.failures.length, user.reports.length);
});

test('errors and datagrams keep being told after many of both', async (t) => {
  const host = open(t);
  const user = new Recorder();
  const udp = host.openUdp(4, 0, user);
  const { socket, at } = await udpPeer(t);
  socket.on('message', (b, from) => socket.send(b, from.port, from.address));
  const dead = nobody(host, '127.0.0.1');
  for (let round = 1; round <= 5; round++) {
    const errors = user.failures.length;
    udp.send(dead, bytesOf('x'), 0, 1);
    await user.untilFailures(errors + 1);
    udp.send(at, bytesOf('y'), 0, 1);
    await user.untilReceived(round);
  }
  t.is(user.failures.length, 5);
});

for (const address of LOOPBACKS) {
  test(`TTL or hop limit: as asked for each datagram, 0 is the default again (${address})`, async (t) => {
    const six = address === '::1';
    const api = n.native();
    const fd = api.socket(six ? n.AF_INET6 : n.AF_INET, n.SOCK_DGRAM, 0);
    t.teardown(() => api.close(fd));
    t.is(api.bindInet(fd, addressBytes(parseEndpoint(address, 0)), 0), 0);
    const asked = six
      ? api.setsockopt(fd, n.IPPROTO_IPV6, n.IPV6_RECVHOPLIMIT, 1)
      : api.setsockopt(fd, n.IPPROTO_IP, n.IP_RECVTTL, 1);
    t.is(asked, 0);
    const to = parseEndpoint(address, api.localPort(fd));
    const udp = open(t).openUdp(six ? 6 : 4, 0, new Recorder());
    const ttls = [9, 0, 255, 1, 1, 0];
    for (const ttl of ttls) udp.send(to, bytesOf('x'), 0, 1, ttl);
    const batch = api.newAddressedBatch(new Uint8Array(8 * 100), 8);
    t.is(api.recvFrom(fd, batch, 0, 100, 8), ttls.length);
    const at = (i: number, cell: number): number => batch.addresses[i * n.ADDRESS_CELLS + cell]!;
    const usual = at(1, n.Cell.Ttl);
    t.deepEqual(
      ttls.map((_, i) => at(i, n.Cell.Ttl)),
      [9, usual, 255, 1, 1, usual],
    );
    t.true(usual >= 32);
    t.is(at(0, n.Cell.W3) >>> 0, six ? 1 : 0x7f000001);
    t.is(at(0, n.Cell.Port), udp.localPort);
  });
}

test('closing inside of the own callbacks is safe', async (t) => {
  const host = open(t);
  const { socket, at } = await udpPeer(t);
  socket.on('message', (b, from) => {
    for (let i = 0; i < 5; i++) socket.send(b, from.port, from.address);
  });
  let heard = 0;
  const user = new Recorder();
  const end = (udp: HostUdp): void => {
    heard++;
    udp.close();
  };
  const first = host.openUdp(4, 0, { datagram: () => end(first), failed() {} });
  first.send(at, bytesOf('x'), 0, 1);
  const second = host.openUdp(4, 0, { datagram() {}, failed: () => end(second) });
  second.send(nobody(host, '127.0.0.1'), bytesOf('x'), 0, 1);
  while (heard < 2) await user.pass(5);
  await user.pass(20);
  t.is(heard, 2);
});

test('a zone that is no interface is refused, not sent elsewhere', async (t) => {
  const to = parseEndpoint('fe80::1', 53);
  to.zone = 'nosuchif0';
  const user = new Recorder();
  const udp = open(t).openUdp(6, 0, user);
  udp.send(to, bytesOf('x'), 0, 1);
  await user.untilFailures(1);
  t.regex(user.failures[0]!, /^(EINVAL \[|EAFNOSUPPORT)/); // the second on a machine without IPv6
});
