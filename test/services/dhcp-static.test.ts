// Hosts with a configured address, and the names by which guests are found.
import test from 'ava';
import { parseIpv4 } from '../../src/core/address.ts';
import type { StaticHost } from '../../src/services/dhcp-server.ts';
import { LeasePool, LeaseState } from '../../src/services/lease-pool.ts';
import { MemoryLeaseStore } from '../../src/services/lease-store.ts';
import { clientId, dhcpHarness } from '../support/dhcp-client.ts';

const A = '02:00:00:00:00:51';
const B = '02:00:00:00:00:52';
const US = '10.0.2.2';
const host = (mac: string, address: string, name = ''): StaticHost => {
  const n = Number.parseInt(mac.replaceAll(':', ''), 16);
  return { macHi: Math.floor(n / 2 ** 32), macLo: n % 2 ** 32, address: parseIpv4(address), name };
};

for (const [where, address] of [
  ['inside the range', '10.0.2.15'],
  ['outside the range', '10.0.2.7'],
] as const) {
  test(`a configured address ${where} is its host’s, whatever identifier it sends, and nobody else’s`, (t) => {
    const d = dhcpHarness({ hosts: [host(A, address)], poolSize: 3 });
    t.is(
      d.say('DISCOVER', { mac: B, requested: address })!.yiaddr,
      address === '10.0.2.15' ? '10.0.2.16' : '10.0.2.15',
    );
    t.is(d.say('REQUEST', { mac: B, requested: address })!.type, 'NAK');
    t.is(d.join({ mac: A }), address);
    t.is(d.join({ mac: A, raw: [clientId('pxe')] }), address);
    t.is(d.join({ mac: A, raw: [clientId('linux')], requested: '10.0.2.17' }), address);
    d.say('RELEASE', { mac: A, ciaddr: address, server: US });
    t.is(d.server.leases().find((l) => l.address === parseIpv4(address))?.state, 'reserved');
    const others = Array.from({ length: 3 }, (_, i) => d.join({ mac: `02:00:00:00:01:0${i}` }));
    t.false(others.includes(address));
    t.is(d.join({ mac: A }), address);
    t.is(d.server.leases().find((l) => l.address === parseIpv4(address))?.state, 'bound');
  });
}

test('a configured host that asks for another address gets NAK, and renews its own', (t) => {
  const d = dhcpHarness({ hosts: [host(A, '10.0.2.40')] });
  t.is(d.say('REQUEST', { mac: A, requested: '10.0.2.15' })!.type, 'NAK');
  t.is(d.say('REQUEST', { mac: A, requested: '10.0.2.40' })!.type, 'ACK');
  t.is(d.say('REQUEST', { mac: A, ciaddr: '10.0.2.40' })!.type, 'ACK');
  d.clock.advance(2 * 86_400_000);
  t.is(d.say('REQUEST', { mac: A, ciaddr: '10.0.2.40' })!.type, 'ACK');
  t.is(d.say(null, { mac: A })!.yiaddr, '10.0.2.40', 'BOOTP too');
});

test('a configured address that its host declined is put aside, then its host’s again', (t) => {
  const d = dhcpHarness({ hosts: [host(A, '10.0.2.40', 'nas')] });
  t.is(d.join({ mac: A }), '10.0.2.40');
  d.say('DECLINE', { mac: A, requested: '10.0.2.40', server: US });
  t.is(d.say('DISCOVER', { mac: A }), null, 'no other address in its place');
  t.is(d.say('DISCOVER', { mac: B, requested: '10.0.2.40' })!.yiaddr, '10.0.2.15');
  d.clock.advance(600_000);
  t.is(d.join({ mac: A }), '10.0.2.40');
  t.is(d.server.leases().at(-1)?.hostname, 'nas');
});

test('the name of a configured host is its own from the start, and nobody can take it', (t) => {
  const d = dhcpHarness({ hosts: [host(A, '10.0.2.40', 'Nas')] });
  t.is(d.server.addressOf('nas'), parseIpv4('10.0.2.40'));
  t.is(d.server.nameOf(parseIpv4('10.0.2.40')), 'Nas');
  d.join({ mac: B, hostname: 'nas' });
  t.is(d.server.addressOf('nas'), parseIpv4('10.0.2.40'));
  d.join({ mac: A, hostname: 'other' });
  t.is(d.server.addressOf('other'), -1);
  const ack = d.say('REQUEST', { mac: A, ciaddr: '10.0.2.40', params: [12] })!;
  t.is(Buffer.from(ack.options.get(12)!).toString(), 'Nas');
});

test('guests are found by name and address while their lease is in force', (t) => {
  const d = dhcpHarness();
  d.say('DISCOVER', { mac: A, hostname: 'Web' });
  t.is(d.server.addressOf('web'), -1, 'an offer is not a lease');
  d.join({ mac: A, hostname: 'Web' });
  t.is(d.server.addressOf('web'), parseIpv4('10.0.2.15'));
  t.is(d.server.nameOf(parseIpv4('10.0.2.15')), 'Web');
  d.clock.advance(86_400_001);
  t.is(d.server.addressOf('web'), -1);
  t.is(d.server.nameOf(parseIpv4('10.0.2.15')), '');
  for (const name of ['gateway', '', 'constructor', '__proto__']) t.is(d.server.addressOf(name), -1);
  t.is(d.server.nameOf(parseIpv4('192.0.2.1')), '');
});

test('stored leases give way to the configuration', (t) => {
  const store = new MemoryLeaseStore();
  const before = dhcpHarness({ store });
  t.is(before.join({ mac: A }), '10.0.2.15');
  t.is(before.join({ mac: B }), '10.0.2.16');
  const after = dhcpHarness({ store, clock: before.clock, hosts: [host(A, '10.0.2.16', 'nas'), host(B, '10.0.2.9')] });
  t.is(after.say('DISCOVER', { mac: '02:00:00:00:00:60' })!.yiaddr, '10.0.2.15');
  t.is(after.say('REQUEST', { mac: B, ciaddr: '10.0.2.16' })!.type, 'NAK');
  t.is(after.join({ mac: B }), '10.0.2.9');
  t.is(after.join({ mac: A }), '10.0.2.16');
  const third = dhcpHarness({ store, clock: before.clock, hosts: [host(A, '10.0.2.16', 'nas')] });
  t.is(third.server.leases().find((l) => l.address === parseIpv4('10.0.2.16'))?.state, 'bound');
});

test('LeasePool: a reserved address is never picked and comes back to its holder', (t) => {
  const holder = { client: 'hw:1', macHi: 0, macLo: 1, hostname: '', confirmed: true };
  const pool = new LeasePool(100, 2, [], [{ address: 101, holder }]);
  const other = { ...holder, client: 'hw:2', macLo: 2 };
  t.is(pool.pick(), 0);
  pool.assign(0, other, LeaseState.Bound, 1000);
  t.is(pool.pick(), -1);
  t.false(pool.available(1));
  pool.putAside(1, 50);
  t.is(pool.find('hw:1'), -1);
  pool.sweep(50);
  t.is(pool.state(1), LeaseState.Reserved);
  t.is(pool.find('hw:1'), 1);
});
