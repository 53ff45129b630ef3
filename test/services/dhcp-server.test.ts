import test from 'ava';
import { parseIpv4, parseIpv4Network } from '../../src/core/address.ts';
import { type AddressProbe, DhcpServer } from '../../src/services/dhcp-server.ts';
import { type Ask, ask, clientId, dhcpHarness, type TypeName } from '../support/dhcp-client.ts';
import { frame } from '../support/frames.ts';
import { hex, toHex } from '../support/hex.ts';

const A = '02:00:00:00:00:51';
const B = '02:00:00:00:00:52';
const US = '10.0.2.2';
const mac = (n: number): string =>
  `02:00:00:00:${(n >> 8).toString(16).padStart(2, '0')}:${(n & 255).toString(16).padStart(2, '0')}`;
const text = (b: Uint8Array | undefined): string => (b === undefined ? '(absent)' : Buffer.from(b).toString('latin1'));

// The rows of the table "client message, state, reply".

test('DISCOVER of a new client: OFFER of the first address, options 53 54 51 1 3 6', (t) => {
  const d = dhcpHarness();
  const o = d.say('DISCOVER', { mac: A, xid: 0xcafe0001 })!;
  t.is(o.type, 'OFFER');
  t.is(o.yiaddr, '10.0.2.15');
  t.is(o.message.xid, 0xcafe0001);
  t.is(o.message.op, 2);
  t.is(o.message.siaddr, US);
  t.is(o.message.chaddr, A.replaceAll(':', '-'));
  t.deepEqual([...o.options.keys()], [53, 54, 51, 1, 3, 6]);
  t.is(toHex(o.options.get(54)!), '0a000202');
  t.is(toHex(o.options.get(51)!), '00015180');
  t.is(toHex(o.options.get(1)!), 'ffffff00');
  t.is(toHex(o.options.get(3)!), '0a000202');
  t.is(toHex(o.options.get(6)!), '0a000203');
  t.is(o.reply.payload.length, 300, 'shortest BOOTP message');
  t.is(o.reply.destinationPort, 68);
});

test('DISCOVER of a known client: OFFER of the same address, before and after the lease ended', (t) => {
  const d = dhcpHarness();
  t.is(d.join({ mac: A }), '10.0.2.15');
  t.is(d.join({ mac: B }), '10.0.2.16');
  t.is(d.say('DISCOVER', { mac: B })!.yiaddr, '10.0.2.16');
  d.clock.advance(2 * 86_400_000);
  t.is(d.say('DISCOVER', { mac: B })!.yiaddr, '10.0.2.16');
  t.is(d.say('DISCOVER', { mac: mac(99) })!.yiaddr, '10.0.2.17', 'a remembered address is not given to a stranger yet');
});

test('one port of the switch gets no more than half of the pool; clients there renew, others get the rest', (t) => {
  const d = dhcpHarness({ poolSize: 20, portOf: (_, macLo) => ((macLo & 0xffff) < 100 ? 7 : 3) });
  for (let i = 0; i < 10; i++) t.is(d.join({ mac: mac(i) }), `10.0.2.${15 + i}`);
  t.is(d.say('DISCOVER', { mac: mac(10) }), null);
  t.is(d.join({ mac: mac(0) }), '10.0.2.15');
  for (let i = 0; i < 10; i++) t.is(d.join({ mac: mac(100 + i) }), `10.0.2.${25 + i}`);
});

test('a client is its client identifier, not its MAC', (t) => {
  const d = dhcpHarness();
  t.is(d.join({ mac: A, raw: [clientId('pxe')] }), '10.0.2.15');
  t.is(d.join({ mac: A, raw: [clientId('linux')] }), '10.0.2.16');
  t.is(d.say('DISCOVER', { mac: A, raw: [clientId('pxe')] })!.yiaddr, '10.0.2.15');
  t.is(d.say('DISCOVER', { mac: A })!.yiaddr, '10.0.2.17');
});

test('the same identifier from another MAC while the address is in use is another client', (t) => {
  const d = dhcpHarness();
  const id = clientId('cloned-machine');
  t.is(d.join({ mac: A, raw: [id] }), '10.0.2.15');
  t.is(d.join({ mac: B, raw: [id] }), '10.0.2.16');
  t.is(d.say('REQUEST', { mac: B, ciaddr: '10.0.2.15', raw: [id] })!.type, 'NAK');
  t.is(d.say('REQUEST', { mac: B, ciaddr: '10.0.2.16', raw: [id] })!.type, 'ACK');
  d.say('RELEASE', { mac: A, ciaddr: '10.0.2.15', server: US, raw: [id] });
  t.is(d.say('REQUEST', { mac: B, ciaddr: '10.0.2.16', raw: [id] })!.type, 'ACK', 'it keeps its own');
});

test('DISCOVER with option 50 free in the pool: OFFER of that address; not free: another', (t) => {
  const d = dhcpHarness();
  t.is(d.say('DISCOVER', { mac: A, requested: '10.0.2.77' })!.yiaddr, '10.0.2.77');
  t.is(d.say('DISCOVER', { mac: B, requested: '10.0.2.77' })!.yiaddr, '10.0.2.15');
  for (const requested of ['10.0.2.2', '10.0.2.3', '10.0.2.255', '10.0.2.0', '10.0.2.14', '192.168.1.1', '0.0.0.0']) {
    const answer = d.say('DISCOVER', { mac: mac(0x100 + requested.length), requested })!;
    t.not(answer.yiaddr, requested);
    t.regex(answer.yiaddr, /^10\.0\.2\.(1[5-9]|2\d)$/);
  }
});

test('DISCOVER with the pool all bound: silence', (t) => {
  const d = dhcpHarness({ poolSize: 2 });
  t.is(d.join({ mac: A }), '10.0.2.15');
  t.is(d.join({ mac: B }), '10.0.2.16');
  t.is(d.say('DISCOVER', { mac: mac(3) }), null);
  t.is(d.drops('DhcpNoAddress'), 1);
  t.is(d.say('REQUEST', { mac: A, ciaddr: '10.0.2.15' })!.type, 'ACK', 'who has a lease renews it');
});

test('REQUEST selecting us: ACK', (t) => {
  const d = dhcpHarness();
  d.say('DISCOVER', { mac: A });
  const ack = d.say('REQUEST', { mac: A, requested: '10.0.2.15', server: US })!;
  t.is(ack.type, 'ACK');
  t.is(ack.yiaddr, '10.0.2.15');
  t.deepEqual([...ack.options.keys()], [53, 54, 51, 1, 3, 6]);
});

test('REQUEST selecting us for an address that was not offered: NAK with the reason, broadcast', (t) => {
  const d = dhcpHarness();
  d.join({ mac: A });
  const nak = d.say('REQUEST', { mac: A, requested: '10.0.2.99', server: US })!;
  t.is(nak.type, 'NAK');
  t.is(nak.yiaddr, '0.0.0.0');
  t.is(nak.message.siaddr, '0.0.0.0');
  t.is(nak.to, '255.255.255.255');
  t.is(nak.mac, 'broadcast');
  t.is(text(nak.options.get(56)), 'requested address not available');
  t.false(nak.options.has(51));
});

test('REQUEST selecting another server: silence, and the offer is free for others', (t) => {
  const d = dhcpHarness({ poolSize: 1 });
  t.is(d.say('DISCOVER', { mac: A })!.yiaddr, '10.0.2.15');
  t.is(d.say('REQUEST', { mac: A, requested: '10.0.9.9', server: '10.0.9.1' }), null);
  t.is(d.server.leases().length, 0);
  t.is(d.join({ mac: B }), '10.0.2.15');
});

test('REQUEST selecting another server leaves a lease alone', (t) => {
  const d = dhcpHarness();
  d.join({ mac: A });
  d.say('REQUEST', { mac: A, requested: '10.0.9.9', server: '10.0.9.1' });
  t.is(d.server.leases()[0]?.state, 'bound');
});

const initReboot: { name: string; requested: string; want: TypeName }[] = [
  { name: 'its own address', requested: '10.0.2.15', want: 'ACK' },
  { name: 'another address of the pool', requested: '10.0.2.40', want: 'NAK' },
  { name: 'an address another client has', requested: '10.0.2.16', want: 'NAK' },
  { name: 'an address of another network', requested: '192.168.7.7', want: 'NAK' },
  { name: "the router's address", requested: '10.0.2.2', want: 'NAK' },
  { name: 'the broadcast address', requested: '10.0.2.255', want: 'NAK' },
  { name: 'an address below the pool', requested: '10.0.2.9', want: 'NAK' },
];
for (const { name, requested, want } of initReboot) {
  test(`REQUEST init-reboot of a known client, ${name}: ${want}`, (t) => {
    const d = dhcpHarness();
    d.join({ mac: A });
    d.join({ mac: B });
    t.is(d.say('REQUEST', { mac: A, requested })!.type, want);
  });
}

test('REQUEST init-reboot of an unknown client for a free address of the pool: ACK', (t) => {
  const d = dhcpHarness();
  const ack = d.say('REQUEST', { mac: A, requested: '10.0.2.44' })!;
  t.is(ack.type, 'ACK');
  t.is(ack.yiaddr, '10.0.2.44');
});

test('REQUEST init-reboot of an unknown client for a leased address: NAK', (t) => {
  const d = dhcpHarness();
  d.join({ mac: A });
  t.is(d.say('REQUEST', { mac: B, requested: '10.0.2.15' })!.type, 'NAK');
});

test('REQUEST renewing or rebinding: ACK unicast to ciaddr, even with the broadcast flag', (t) => {
  const d = dhcpHarness();
  d.join({ mac: A });
  const ack = d.say('REQUEST', { mac: A, ciaddr: '10.0.2.15', broadcast: true })!;
  t.is(ack.type, 'ACK');
  t.is(ack.to, '10.0.2.15');
  t.is(ack.mac, A);
  t.is(ack.message.ciaddr, '10.0.2.15');
  t.is(ack.yiaddr, '10.0.2.15');
});

test('REQUEST renewing an address that belongs to another: NAK, broadcast', (t) => {
  const d = dhcpHarness();
  d.join({ mac: A });
  const nak = d.say('REQUEST', { mac: B, ciaddr: '10.0.2.15' })!;
  t.is(nak.type, 'NAK');
  t.is(nak.mac, 'broadcast');
});

test('REQUEST without any address: dropped', (t) => {
  const d = dhcpHarness();
  t.is(d.say('REQUEST', { mac: A }), null);
  t.is(d.say('REQUEST', { mac: A, server: US }), null);
  t.is(d.drops('DhcpMalformed'), 2);
});

test('a renewed lease runs from the renewal; one that is not ends', (t) => {
  const d = dhcpHarness();
  d.join({ mac: A });
  d.join({ mac: B });
  d.clock.advance(43_200_000);
  d.say('REQUEST', { mac: A, ciaddr: '10.0.2.15' });
  d.clock.advance(43_300_000);
  t.deepEqual(
    d.server.leases().map((l) => l.state),
    ['bound', 'idle'],
  );
  t.is(d.server.usage().bound, 1);
});

test('DECLINE: the address is put aside for 600 s, the client gets another', (t) => {
  const d = dhcpHarness();
  d.join({ mac: A });
  t.is(d.say('DECLINE', { mac: A, requested: '10.0.2.15', server: US }), null);
  t.is(d.server.leases()[0]?.state, 'aside');
  t.is(d.say('DISCOVER', { mac: A, requested: '10.0.2.15' })!.yiaddr, '10.0.2.16');
  d.clock.advance(600_000);
  t.is(d.say('DISCOVER', { mac: B, requested: '10.0.2.15' })!.yiaddr, '10.0.2.15');
});

test('DECLINE puts at most a quarter of the pool aside', (t) => {
  const d = dhcpHarness({ poolSize: 8 });
  for (let i = 0; i < 20; i++) {
    const yiaddr = d.join({ mac: mac(i) });
    d.say('DECLINE', { mac: mac(i), requested: yiaddr, server: US });
    t.true(d.server.usage().aside <= 2);
  }
  t.is(d.server.usage().aside, 2);
  t.regex(d.join({ mac: mac(77) }), /^10\./);
});

test('DECLINE and RELEASE of an address that is not the sender’s are ignored', (t) => {
  const d = dhcpHarness();
  const id = clientId('victim');
  d.join({ mac: A, raw: [id] });
  for (const type of ['DECLINE', 'RELEASE'] as const) {
    d.say(type, { mac: B, requested: '10.0.2.15', ciaddr: '10.0.2.15', server: US });
    d.say(type, { mac: B, requested: '10.0.2.15', ciaddr: '10.0.2.15', server: US, raw: [id] });
    d.say(type, { mac: A, requested: '10.0.2.15', ciaddr: '10.0.2.15', server: '10.0.2.9', raw: [id] });
    d.say(type, { mac: A, requested: '10.0.2.16', ciaddr: '10.0.2.16', server: US, raw: [id] });
  }
  t.is(d.server.leases()[0]?.state, 'bound');
  t.is(d.drops('DhcpIgnored'), 8);
});

test('RELEASE: the address is free, and preferred when the client comes back', (t) => {
  const d = dhcpHarness({ poolSize: 2 });
  d.join({ mac: A });
  t.is(d.say('RELEASE', { mac: A, ciaddr: '10.0.2.15', server: US }), null);
  t.is(d.server.usage().bound, 0);
  t.is(d.join({ mac: B }), '10.0.2.16', 'unused addresses first');
  t.is(d.join({ mac: A }), '10.0.2.15');
  d.say('RELEASE', { mac: A, ciaddr: '10.0.2.15', server: US });
  t.is(d.join({ mac: mac(3) }), '10.0.2.15', 'then released ones');
  t.is(d.say('DISCOVER', { mac: A }), null);
});

test('INFORM: ACK to ciaddr without yiaddr and lease times; no lease comes of it', (t) => {
  const d = dhcpHarness({ domain: 'lab.test' });
  const ack = d.say('INFORM', { mac: A, ciaddr: '10.0.2.9', params: [1, 3, 6, 15, 58, 59] })!;
  t.is(ack.type, 'ACK');
  t.is(ack.yiaddr, '0.0.0.0');
  t.is(ack.to, '10.0.2.9');
  t.is(ack.mac, A);
  t.deepEqual([...ack.options.keys()], [53, 54, 1, 3, 6, 15]);
  t.is(d.server.leases().length, 0);
  for (const ciaddr of ['0.0.0.0', '10.0.2.0', '10.0.2.255', '10.0.2.2', '8.8.8.8', '255.255.255.255']) {
    t.is(d.say('INFORM', { mac: A, ciaddr }), null, ciaddr);
  }
});

test('BOOTP without option 53: reply without DHCP options, same address each time', (t) => {
  const d = dhcpHarness();
  const reply = d.say(null, { mac: A })!;
  t.is(reply.type, 'BOOTP');
  t.is(reply.yiaddr, '10.0.2.15');
  t.deepEqual([...reply.options.keys()], [1, 3, 6]);
  t.is(d.say(null, { mac: A })!.yiaddr, '10.0.2.15');
  const bare = ask(null, { mac: B }).slice(0, 300);
  bare.fill(0, 236); // RFC 951: no cookie at all
  t.is(d.bytes(bare, B)!.yiaddr, '10.0.2.16');
});

// Options.

const asked: { name: string; params: number[]; code: number; want: string }[] = [
  { name: 'domain name', params: [15], code: 15, want: toHex(Buffer.from('lab.test')) },
  { name: 'interface MTU', params: [26], code: 26, want: '05dc' },
  { name: 'broadcast address', params: [28], code: 28, want: '0a0002ff' },
  { name: 'renewal time T1', params: [58], code: 58, want: '0000a8c0' },
  { name: 'rebinding time T2', params: [59], code: 59, want: '00012750' },
  { name: 'host name', params: [12], code: 12, want: toHex(Buffer.from('box')) },
  { name: 'domain search (RFC 3397)', params: [119], code: 119, want: '036c6162047465737400' },
];
for (const { name, params, code, want } of asked) {
  test(`parameter list: ${name} (${code}) is sent when asked for, and only then`, (t) => {
    const d = dhcpHarness({ domain: 'lab.test', mtu: 1500, hostname: 'box', search: () => ['lab.test'] });
    t.is(toHex(d.say('DISCOVER', { mac: A, params })!.options.get(code)!), want);
    t.false(d.say('DISCOVER', { mac: A, params: [1, 33] })!.options.has(code));
  });
}

test('what is not configured is not sent, even when asked for', (t) => {
  const o = dhcpHarness().say('DISCOVER', { mac: A, params: [12, 15, 26, 119, 42, 66, 121, 252] })!;
  t.deepEqual([...o.options.keys()], [53, 54, 51, 1, 3, 6]);
});

test('restricted: no router, no DNS server', (t) => {
  const o = dhcpHarness({ restricted: true }).say('DISCOVER', { mac: A, params: [1, 3, 6] })!;
  t.deepEqual([...o.options.keys()], [53, 54, 51, 1]);
});

test('RFC 6842: option 61 comes back, in NAK too; RFC 3046: option 82 comes back, last', (t) => {
  const d = dhcpHarness();
  const raw: Ask['raw'] = [
    [82, hex('01 04 70 6f 72 74')],
    [61, hex('ff 00 01 00 02')],
  ];
  for (const answer of [
    d.say('DISCOVER', { mac: A, raw })!,
    d.say('REQUEST', { mac: A, requested: '1.2.3.4', raw })!,
  ]) {
    t.is(toHex(answer.options.get(61)!), 'ff00010002');
    t.is(toHex(answer.options.get(82)!), '0104706f7274');
    t.is([...answer.options.keys()].at(-1), 82);
  }
});

test('option 57 bounds the reply; without it a reply fits 576 bytes of IP', (t) => {
  const search = Array.from({ length: 22 }, (_, i) => `subdomain-number-${i}.example${i}.test`);
  const d = dhcpHarness({ search: () => search });
  const sizes = [undefined, 300, 576, 1500].map(
    (maxSize) =>
      d.say('DISCOVER', { mac: A, params: [119], ...(maxSize === undefined ? {} : { maxSize }) })!.reply.payload.length,
  );
  t.true(sizes[0]! <= 548 && sizes[1]! <= 548 && sizes[2]! <= 548);
  t.true(sizes[3]! > 548 && sizes[3]! <= 1472, `${sizes[3]}`);
});

// Where replies go: RFC 2131 section 4.1.

test('broadcast flag: to everybody; without it to the new address at the client’s MAC', (t) => {
  const d = dhcpHarness();
  const flagged = d.say('DISCOVER', { mac: A, broadcast: true })!;
  t.is(flagged.to, '255.255.255.255');
  t.is(flagged.mac, 'broadcast');
  t.is(flagged.message.flags, 0x8000);
  const plain = d.say('DISCOVER', { mac: A })!;
  t.is(plain.to, '10.0.2.15');
  t.is(plain.mac, A);
});

// Host names.

test('host names: kept when valid, shown, and offered back', (t) => {
  const d = dhcpHarness();
  d.join({ mac: A, hostname: 'alpha-1' });
  t.is(d.server.leases()[0]?.hostname, 'alpha-1');
  t.is(text(d.say('REQUEST', { mac: A, ciaddr: '10.0.2.15', params: [12] })!.options.get(12)), 'alpha-1');
});

const badNames = [
  '-a',
  'a-',
  'a.b',
  'a b',
  'a_b',
  '../etc',
  'x'.repeat(64),
  'gateway',
  'GATEWAY',
  'localhost',
  'nas',
  "';--",
];
for (const hostname of badNames) {
  test(`host name ${hostname.slice(0, 12)} is not kept`, (t) => {
    const d = dhcpHarness({ reservedNames: ['NAS'] });
    t.is(d.join({ mac: A, hostname }), '10.0.2.15');
    t.is(d.server.leases()[0]?.hostname, '');
  });
}

test('a host name of a bound lease is not taken over; of an ended one it is', (t) => {
  const d = dhcpHarness();
  d.join({ mac: A, hostname: 'web' });
  d.join({ mac: B, hostname: 'WEB' });
  t.deepEqual(
    d.server.leases().map((l) => l.hostname),
    ['web', ''],
  );
  d.say('RELEASE', { mac: A, ciaddr: '10.0.2.15', server: US });
  d.say('REQUEST', { mac: B, ciaddr: '10.0.2.16', hostname: 'WEB' });
  t.deepEqual(
    d.server.leases().map((l) => l.hostname),
    ['', 'WEB'],
  );
});

// Pool.

test('more than 16 guests: the pool is the rest of the subnet, without our own addresses', (t) => {
  const d = dhcpHarness({ start: '10.0.2.1' });
  const got = new Set<string>();
  for (let i = 0; i < 252; i++) got.add(d.join({ mac: mac(i) }));
  t.is(got.size, 252);
  for (const own of ['10.0.2.0', '10.0.2.2', '10.0.2.3', '10.0.2.255', 'silence']) t.false(got.has(own), own);
  t.is(d.join({ mac: mac(300) }), 'silence');
  t.is(d.server.usage().size, 252);
});

test('a /16 gives 4096 addresses and no more', (t) => {
  const d = dhcpHarness({ cidr: '10.0.0.0/16' });
  t.is(d.server.usage().size, 4096);
});

test('a pool that does not lie in the network is the caller’s mistake', (t) => {
  for (const start of ['10.0.1.255', '10.0.3.0', '10.0.2.255', '192.168.0.1']) {
    t.throws(() => dhcpHarness({ start }), { code: 'ERR_VDE_BAD_OPTION' }, start);
  }
});

test('offers end after 10 s; a pool full of unconfirmed offers gives the oldest to the next client', (t) => {
  const d = dhcpHarness({ poolSize: 3 });
  for (let i = 0; i < 3; i++) d.say('DISCOVER', { mac: mac(i) });
  t.is(d.join({ mac: A }), '10.0.2.15', 'oldest offer');
  t.is(d.say('REQUEST', { mac: mac(0), requested: '10.0.2.15', server: US })!.type, 'NAK');
  t.is(d.say('REQUEST', { mac: mac(1), requested: '10.0.2.16', server: US })!.type, 'ACK', 'others keep theirs');
  d.clock.advance(10_000);
  t.deepEqual(
    d.server.leases().map((l) => l.state),
    ['bound', 'bound'],
  );
});

test('made-up client identifiers from one MAC take at most 8 addresses', (t) => {
  const d = dhcpHarness();
  const answers = Array.from({ length: 12 }, (_, i) => d.join({ mac: A, raw: [clientId(`made-up ${i}`)] }));
  t.is(answers.filter((x) => x !== 'silence').length, 8);
  t.is(d.join({ mac: B }), '10.0.2.23');
});

// Bad and foreign messages.

test('chaddr that is not the Ethernet source, relays, replies, other hardware: no answer', (t) => {
  const d = dhcpHarness();
  t.is(d.bytes(ask('DISCOVER', { mac: A }), B), null);
  t.is(d.drops('DhcpMalformed'), 1);
  t.is(d.say('DISCOVER', { mac: A, giaddr: '10.0.2.77' }), null);
  const reply = ask('OFFER', { mac: A });
  reply[0] = 2;
  t.is(d.bytes(reply), null);
  t.is(d.drops('DhcpIgnored'), 2);
  const tokenRing = ask('DISCOVER', { mac: A });
  tokenRing[1] = 6;
  t.is(d.bytes(tokenRing), null);
  const longAddress = ask('DISCOVER', { mac: A });
  longAddress[2] = 16;
  t.is(d.bytes(longAddress), null);
  t.is(d.server.leases().length, 0);
});

test('every truncation of a DISCOVER is harmless', (t) => {
  const whole = ask('DISCOVER', { mac: A, params: [1, 3, 6], raw: [clientId('x')] });
  for (let len = 0; len < whole.length - 1; len++) {
    const d = dhcpHarness();
    const answer = d.bytes(whole.slice(0, len));
    t.true(answer === null || answer.type === 'OFFER' || answer.type === 'BOOTP', `${len}`);
  }
});

// Rates.

test('20 requests a second for one MAC, 100 for all', (t) => {
  const d = dhcpHarness();
  let answered = 0;
  for (let i = 0; i < 50; i++) if (d.bytes(ask('DISCOVER', { mac: A }), A) !== null) answered++;
  t.is(answered, 20);
  for (let i = 0; i < 200; i++) if (d.bytes(ask('DISCOVER', { mac: mac(i) }), mac(i)) !== null) answered++;
  t.is(answered, 100);
  t.is(d.drops('DhcpRateLimited'), 150);
  d.clock.advance(1000);
  t.is(d.bytes(ask('DISCOVER', { mac: A }), A)!.type, 'OFFER');
});

// Probing.

test('a new address is probed before the OFFER; in use: put aside, the next is tried', (t) => {
  const probes: { address: number; done: (inUse: boolean) => void }[] = [];
  const d = dhcpHarness({ probe: (address, _wait, done) => void probes.push({ address, done }) });
  t.is(d.say('DISCOVER', { mac: A, xid: 1 }), null);
  t.is(d.bytes(ask('DISCOVER', { mac: A, xid: 2 }), A), null, 'a repetition waits too');
  t.is(probes.length, 1);
  probes[0]!.done(true);
  t.is(probes.length, 2);
  probes[1]!.done(false);
  const [offer, ...more] = d.take();
  t.deepEqual(more, []);
  t.is(offer!.yiaddr, '10.0.2.16');
  t.is(offer!.message.xid, 2, 'the answer is to the latest DISCOVER');
  t.is(d.server.leases()[0]?.state, 'aside');
  t.is(d.say('REQUEST', { mac: A, requested: '10.0.2.16', server: US })!.type, 'ACK');
  t.is(d.say('DISCOVER', { mac: A })!.type, 'OFFER', 'its own address is not probed again');
  t.is(probes.length, 2);
});

test('three addresses in use: silence until the next DISCOVER', (t) => {
  let probes = 0;
  const inUse: AddressProbe = (_address, _wait, done) => {
    probes++;
    done(true);
  };
  const d = dhcpHarness({ probe: inUse });
  t.is(d.say('DISCOVER', { mac: A }), null);
  t.is(probes, 3);
  t.is(d.drops('DhcpNoAddress'), 1);
});

test('a probe that does not end does not lock the client out; its late end is ignored', (t) => {
  const done: ((inUse: boolean) => void)[] = [];
  const d = dhcpHarness({ probe: (_address, _wait, end) => void done.push(end) });
  t.is(d.say('DISCOVER', { mac: A }), null);
  t.is(d.say('DISCOVER', { mac: A })!.yiaddr, '10.0.2.15');
  done[0]!(false);
  t.deepEqual(d.take(), [], 'no second OFFER');
  done[0]!(true);
  t.is(d.server.leases()[0]?.state, 'offered');
});

test('the end of a probe for an address that has a new owner is ignored', (t) => {
  const done: ((inUse: boolean) => void)[] = [];
  const d = dhcpHarness({ poolSize: 1, probe: (_a, _w, end) => void done.push(end) });
  d.say('DISCOVER', { mac: A });
  d.say('DISCOVER', { mac: B }); // takes the only address over
  done[0]!(true);
  t.deepEqual(d.take(), []);
  done[1]!(false);
  t.is(d.take()[0]!.mac, B);
});

// Store.

test('the ACK waits for the store; leases come back after a restart with their deadlines', (t) => {
  const records = new Map<number, Parameters<import('../../src/services/lease-store.ts').LeaseStore['put']>[0]>();
  const writes: (() => void)[] = [];
  const store = {
    load: () => [...records.values()],
    put: (r: typeof records extends Map<number, infer R> ? R : never, done: () => void) => {
      records.set(r.address, r);
      writes.push(done);
    },
    remove: (address: number) => void records.delete(address),
  };
  const d = dhcpHarness({ store });
  const offer = d.say('DISCOVER', { mac: A, hostname: 'web' })!;
  t.is(d.say('REQUEST', { mac: A, requested: offer.yiaddr, server: US, hostname: 'web' }), null);
  writes.shift()!();
  t.is(d.take()[0]?.type, 'ACK');

  const again = dhcpHarness({ store, clock: d.clock });
  t.is(again.server.leases()[0]?.hostname, 'web');
  t.is(again.say('DISCOVER', { mac: B })!.yiaddr, '10.0.2.16');
  t.is(again.say('REQUEST', { mac: B, requested: '10.0.2.15' })!.type, 'NAK');
  t.is(again.say('DISCOVER', { mac: A })!.yiaddr, '10.0.2.15');
  d.clock.advance(86_400_000);
  t.is(again.server.leases()[0]?.state, 'idle', 'the lease ends when it would have');
});

// Frames of real guests.

for (const name of ['dhcp-discover', 'dhcp-request', 'dhcp-release', 'dhcp-inform']) {
  test(`captured frame ${name} is understood`, (t) => {
    const f = frame(name);
    const d = dhcpHarness();
    const from = [...f.subarray(6, 12)].map((x) => x.toString(16).padStart(2, '0')).join(':');
    const answer = d.bytes(f.slice(42), from);
    t.is(d.drops('DhcpMalformed'), 0);
    t.is(answer?.type ?? null, name === 'dhcp-discover' ? 'OFFER' : name === 'dhcp-request' ? 'ACK' : null);
  });
}

test('what slirpvde answered to the captured DISCOVER, we answer: address and the options it sends', (t) => {
  const theirs = frame('dhcp-offer').slice(42);
  const f = frame('dhcp-discover');
  const from = [...f.subarray(6, 12)].map((x) => x.toString(16).padStart(2, '0')).join(':');
  const ours = dhcpHarness().bytes(f.slice(42), from)!.reply.payload;
  t.is(toHex(ours.slice(16, 24)), toHex(theirs.slice(16, 24)), 'yiaddr, siaddr');
  t.is(toHex(ours.slice(28, 44)), toHex(theirs.slice(28, 44)), 'chaddr');
});

test('the constructor does not accept an empty pool', (t) => {
  t.throws(
    () =>
      new DhcpServer({
        network: parseIpv4Network('10.0.2.0/30', 24),
        router: parseIpv4('10.0.2.2'),
        dns: [parseIpv4('10.0.2.1')],
        poolStart: parseIpv4('10.0.2.1'),
        store: { load: () => [], put: (_r, done) => done(), remove: () => {} },
        clock: dhcpHarness().clock,
        drops: new Float64Array(99),
        reply: () => {},
      }),
    { code: 'ERR_VDE_BAD_OPTION' },
  );
});
