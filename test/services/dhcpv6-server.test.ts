import test from 'ava';
import fc from 'fast-check';
import { formatAddress, parseAddress } from '../../src/core/address.ts';
import { Drop, type DropName, newDropCounters } from '../../src/core/drop.ts';
import { ASIDE_MS, LEASES_PER_MAC, RATE_MAC } from '../../src/services/dhcp-server.ts';
import { Dhcpv6Server, type Dhcpv6ServerOptions, REFRESH_SEC } from '../../src/services/dhcpv6-server.ts';
import { type LeaseStore, MemoryLeaseStore } from '../../src/services/index.ts';
import { u16, u32 } from '../../src/wire/bytes.ts';
import * as d6 from '../../src/wire/dhcpv6.ts';
import type { Words } from '../../src/wire/router-advert.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { hex } from '../support/hex.ts';

const words = (text: string): Words => parseAddress(text)!;
const GUEST = words('fe80::15');
const DUID = hex('0003 0001 020000000015');
const OTHER = hex('0003 0001 020000000016');
const NETWORK = { network: words('2001:db8::'), prefixLen: 64 };
const LEASE_SEC = 1000;

/** An answer taken apart, by RFC 8415 and nothing of the server's code. */
interface Answer {
  type: number;
  xid: number;
  codes: number[];
  status: number;
  dns: string[];
  search: string;
  refresh: number;
  /** Flags and name of option 39; null: none. */
  fqdn: string | null;
  ias: { iaid: number; t1: number; t2: number; status: number; addresses: [string, number, number][] }[];
}

function decode(b: Uint8Array): Answer {
  const out: Answer = {
    type: b[0]!,
    xid: u32(b, 0) & 0xffffff,
    codes: [],
    status: -1,
    dns: [],
    search: '',
    refresh: 0,
    fqdn: null,
    ias: [],
  };
  const each = (from: number, end: number, take: (code: number, at: number, len: number) => void): void => {
    for (let at = from; at < end; at += 4 + u16(b, at + 2)) take(u16(b, at), at + 4, u16(b, at + 2));
  };
  const text = (at: number): string =>
    formatAddress(...([0, 4, 8, 12].map((o) => u32(b, at + o) | 0) as [number, number, number, number]));
  each(4, b.length, (code, at, len) => {
    out.codes.push(code);
    if (code === 13) out.status = u16(b, at);
    if (code === 23) for (let o = 0; o < len; o += 16) out.dns.push(text(at + o));
    if (code === 24) out.search = Buffer.from(b.subarray(at, at + len)).toString('latin1');
    if (code === 39) out.fqdn = Buffer.from(b.subarray(at, at + len)).toString('latin1');
    if (code === 32) out.refresh = u32(b, at);
    if (code !== 3) return;
    const ia: Answer['ias'][number] = {
      iaid: u32(b, at),
      t1: u32(b, at + 4),
      t2: u32(b, at + 8),
      status: 0,
      addresses: [],
    };
    each(at + 12, at + len, (inner, o) => {
      if (inner === 13) ia.status = u16(b, o);
      if (inner === 5) ia.addresses.push([text(o), u32(b, o + 16), u32(b, o + 20)]);
    });
    out.ias.push(ia);
  });
  return out;
}

interface Shape {
  duid?: Uint8Array | null;
  server?: 'ours' | 'other' | null;
  ia?: { iaid?: number; addresses?: string[]; kind?: 'na' | 'ta' | 'pd' } | null;
  oro?: readonly number[];
  rapid?: boolean;
  /** Option 39: flags and a label, or all of it. */
  name?: string | Uint8Array;
  flags?: number;
  xid?: number;
}

function harness(
  options: {
    stateful?: boolean;
    size?: number;
    store?: LeaseStore;
    search?: string[];
    nameTaken?: Dhcpv6ServerOptions['nameTaken'];
  } = {},
) {
  const clock = new FakeClock();
  const drops = newDropCounters();
  const sent: { to: string; answer: Answer }[] = [];
  const server = new Dhcpv6Server({
    mac: { hi: 0x5255, lo: 0x0a000202 },
    networks: [NETWORK],
    dns: [words('2001:db8::1')],
    search: () => options.search ?? ['lab.test'],
    domain: 'lab.test',
    reservedNames: ['nas'],
    ...(options.nameTaken === undefined ? {} : { nameTaken: options.nameTaken }),
    pool:
      options.stateful === false
        ? null
        : {
            ...NETWORK,
            start: 0x1000,
            size: options.size ?? 4,
            reserved: [],
            leaseSec: LEASE_SEC,
            store: options.store ?? new MemoryLeaseStore(),
          },
    clock,
    drops,
    reply: (to, payload) => sent.push({ to: formatAddress(...to), answer: decode(payload) }),
  });
  const message = (type: number, shape: Shape = {}): Uint8Array => {
    const w = new d6.Dhcpv6Writer();
    if (shape.duid !== null) w.option(1, shape.duid ?? DUID);
    if (shape.server === 'ours') w.option(2, server.duid);
    if (shape.server === 'other') w.option(2, OTHER);
    if (shape.ia !== null) {
      const addresses = (shape.ia?.addresses ?? []).map((a) => ({ address: words(a), preferredSec: 0, validSec: 0 }));
      w.ia({ kind: shape.ia?.kind ?? 'na', iaid: shape.ia?.iaid ?? 7, addresses: [] }, 0, 0, addresses, 0);
    }
    if (shape.oro !== undefined) w.option(6, Uint8Array.from(shape.oro.flatMap((c) => [c >> 8, c & 255])));
    if (shape.name !== undefined) {
      const { name, flags = 0 } = shape;
      w.option(39, typeof name === 'string' ? Buffer.from(`${String.fromCharCode(flags, name.length)}${name}`) : name);
    }
    if (shape.rapid === true) w.option(14, new Uint8Array(0));
    return w.message(type, shape.xid ?? 0xabcdef);
  };
  return {
    clock,
    server,
    sent,
    drops: (name: DropName): number => drops[Drop[name]]!,
    /** Sends a message; the answers. */
    send(type: number, shape: Shape = {}, group = true, mac = 0x15): Answer[] {
      const b = message(type, shape);
      const loan = new Uint8Array(b.length + 7).fill(0xcc);
      loan.set(b, 3);
      server.handle(loan, 3, 3 + b.length, GUEST, 0x0200, mac, group);
      loan.fill(0x77);
      return sent.splice(0).map(({ answer }) => answer);
    },
    /** Leases an address to a DUID, in two messages. */
    lease(duid = DUID, mac = 0x15): string {
      this.send(d6.SOLICIT, { duid }, true, mac);
      return this.send(d6.REQUEST, { duid, server: 'ours' }, true, mac)[0]!.ias[0]!.addresses[0]![0];
    },
  };
}

// Stateless: RFC 8415 section 18.3.6.

for (const stateful of [false, true]) {
  test(`INFORMATION-REQUEST: name servers, search list and how long they hold (${stateful ? 'with' : 'no'} pool)`, (t) => {
    const h = harness({ stateful });
    const [a] = h.send(d6.INFORMATION_REQUEST, { ia: null, oro: [23, 24] });
    t.is(a!.type, d6.REPLY);
    t.is(a!.xid, 0xabcdef);
    t.deepEqual(a!.dns, ['2001:db8::1']);
    t.is(a!.search, '\x03lab\x04test\0');
    t.is(a!.refresh, REFRESH_SEC);
    t.deepEqual(a!.codes.slice(0, 2), [2, 1]);
  });
}

test('INFORMATION-REQUEST: anonymous, for another server, for us, with an association, only what is asked for', (t) => {
  const h = harness({ stateful: false });
  t.deepEqual(h.send(d6.INFORMATION_REQUEST, { duid: null, ia: null })[0]!.codes, [2, 32, 23, 24]);
  t.deepEqual(h.send(d6.INFORMATION_REQUEST, { ia: null, server: 'other' }), []);
  t.is(h.send(d6.INFORMATION_REQUEST, { ia: null, server: 'ours' }).length, 1);
  t.deepEqual(h.send(d6.INFORMATION_REQUEST, {}), []);
  t.deepEqual(h.send(d6.INFORMATION_REQUEST, { ia: null, oro: [24] })[0]!.codes, [2, 1, 32, 24]);
  t.is(h.drops('Dhcp6Ignored'), 2);
});

test('a stateless server says that it has no addresses, and gives the rest', (t) => {
  const h = harness({ stateful: false });
  const [a] = h.send(d6.SOLICIT, { rapid: true });
  t.is(a!.type, d6.ADVERTISE);
  t.is(a!.ias[0]!.status, d6.STATUS_NO_ADDRS_AVAIL);
  t.deepEqual(a!.dns, ['2001:db8::1']);
  t.is(h.send(d6.REQUEST, { server: 'ours' })[0]!.ias[0]!.status, d6.STATUS_NO_ADDRS_AVAIL);
  t.is(h.send(d6.RENEW, { server: 'ours', ia: { addresses: ['2001:db8::9'] } })[0]!.ias[0]!.status, 3);
  t.deepEqual(h.send(d6.REBIND, { ia: { addresses: ['2001:db8::9'] } }), []);
  t.is(h.send(d6.CONFIRM, { ia: { addresses: ['2001:db8::9'] } })[0]!.status, d6.STATUS_SUCCESS);
});

// Addresses.

test('SOLICIT, ADVERTISE, REQUEST, REPLY: one address, the same all the way, T1 and T2 in their places', (t) => {
  const h = harness();
  const [offer] = h.send(d6.SOLICIT);
  t.is(offer!.type, d6.ADVERTISE);
  t.deepEqual(offer!.ias[0]!.addresses, [['2001:db8::1000', LEASE_SEC / 2, LEASE_SEC]]);
  t.deepEqual([offer!.ias[0]!.t1, offer!.ias[0]!.t2], [LEASE_SEC / 4, LEASE_SEC * 0.4]);
  const [reply] = h.send(d6.REQUEST, { server: 'ours', ia: { addresses: ['2001:db8::1000'] } });
  t.is(reply!.type, d6.REPLY);
  t.deepEqual(reply!.ias[0]!.addresses, [['2001:db8::1000', LEASE_SEC / 2, LEASE_SEC]]);
  t.deepEqual(
    h.server.leases().map(({ state, remainingMs }) => [state, remainingMs]),
    [['bound', LEASE_SEC * 1000]],
  );
});

test('Rapid Commit: two messages', (t) => {
  const h = harness();
  const [a] = h.send(d6.SOLICIT, { rapid: true });
  t.is(a!.type, d6.REPLY);
  t.true(a!.codes.includes(14));
  t.is(a!.ias[0]!.addresses.length, 1);
  t.is(h.server.leases()[0]!.state, 'bound');
});

test('every association has an address of its own; the same one again for who comes back', (t) => {
  const h = harness();
  t.is(h.lease(), '2001:db8::1000');
  t.is(h.lease(OTHER, 0x16), '2001:db8::1001');
  t.is(h.send(d6.SOLICIT, { ia: { iaid: 8 } })[0]!.ias[0]!.addresses[0]![0], '2001:db8::1002');
  t.is(h.lease(), '2001:db8::1000');
});

test('a wish is granted when nobody has the address', (t) => {
  const h = harness();
  h.lease(OTHER, 0x16);
  t.is(h.send(d6.SOLICIT, { ia: { addresses: ['2001:db8::1002'] } })[0]!.ias[0]!.addresses[0]![0], '2001:db8::1002');
  const taken = h.send(d6.SOLICIT, { ia: { iaid: 9, addresses: ['2001:db8::1000'] } });
  t.not(taken[0]!.ias[0]!.addresses[0]![0], '2001:db8::1000');
});

test('REQUEST for an address of another network: NotOnLink', (t) => {
  const h = harness();
  const [a] = h.send(d6.REQUEST, { server: 'ours', ia: { addresses: ['2001:db9::1'] } });
  t.is(a!.ias[0]!.status, d6.STATUS_NOT_ON_LINK);
  t.deepEqual(h.server.leases(), []);
});

test('the pool is exhausted: NoAddrsAvail; one hardware address cannot have it all', (t) => {
  const h = harness({ size: 1 });
  h.lease();
  t.is(h.send(d6.SOLICIT, { duid: OTHER }, true, 0x16)[0]!.ias[0]!.status, d6.STATUS_NO_ADDRS_AVAIL);
  const big = harness({ size: 100 });
  for (let i = 0; i < LEASES_PER_MAC; i++) big.send(d6.SOLICIT, { ia: { iaid: i } });
  t.is(big.send(d6.SOLICIT, { ia: { iaid: 99 } })[0]!.ias[0]!.status, d6.STATUS_NO_ADDRS_AVAIL);
});

test('an offer that is not taken up lapses', (t) => {
  const h = harness({ size: 1 });
  h.send(d6.SOLICIT);
  h.clock.advance(11_000);
  t.is(h.lease(OTHER, 0x16), '2001:db8::1000');
});

test('RENEW and REBIND prolong; who renews after a restart keeps the address when nobody has it', (t) => {
  const h = harness();
  h.lease();
  h.clock.advance(500_000);
  for (const [type, server] of [
    [d6.RENEW, 'ours'],
    [d6.REBIND, null],
  ] as const) {
    const [a] = h.send(type, { server, ia: { addresses: ['2001:db8::1000'] } });
    t.deepEqual(a!.ias[0]!.addresses, [['2001:db8::1000', LEASE_SEC / 2, LEASE_SEC]]);
  }
  t.is(h.server.leases()[0]!.remainingMs, LEASE_SEC * 1000);
  const [kept] = h.send(d6.RENEW, { duid: OTHER, server: 'ours', ia: { addresses: ['2001:db8::1003'] } }, true, 0x16);
  t.deepEqual(kept!.ias[0]!.addresses[0], ['2001:db8::1003', LEASE_SEC / 2, LEASE_SEC]);
});

test('RENEW of what somebody else has, or of another network: lifetimes 0; of nothing: NoBinding', (t) => {
  const h = harness();
  h.lease();
  for (const address of ['2001:db8::1000', '2001:db9::1']) {
    const [a] = h.send(d6.RENEW, { duid: OTHER, server: 'ours', ia: { addresses: [address] } }, true, 0x16);
    t.deepEqual(a!.ias[0]!.addresses, [[address, 0, 0]]);
  }
  const [a] = h.send(d6.RENEW, { duid: OTHER, server: 'ours' }, true, 0x16);
  t.is(a!.ias[0]!.status, d6.STATUS_NO_BINDING);
});

test('CONFIRM: on this link, not on this link, nothing to confirm', (t) => {
  const h = harness();
  t.is(h.send(d6.CONFIRM, { ia: { addresses: ['2001:db8::77'] } })[0]!.status, d6.STATUS_SUCCESS);
  t.is(h.send(d6.CONFIRM, { ia: { addresses: ['2001:db8::77', '2001:db9::1'] } })[0]!.status, d6.STATUS_NOT_ON_LINK);
  t.deepEqual(h.send(d6.CONFIRM), []);
});

test('RELEASE frees, and is remembered; of what is not theirs: NoBinding', (t) => {
  const h = harness();
  h.lease();
  const release = (duid: Uint8Array) =>
    h.send(d6.RELEASE, { duid, server: 'ours', ia: { addresses: ['2001:db8::1000'] } });
  t.is(release(OTHER)[0]!.ias[0]!.status, d6.STATUS_NO_BINDING);
  t.is(h.server.leases()[0]!.state, 'bound');
  const [a] = release(DUID);
  t.is(a!.status, d6.STATUS_SUCCESS);
  t.deepEqual(a!.ias, []);
  t.is(h.server.leases()[0]!.state, 'idle');
  t.is(h.lease(), '2001:db8::1000');
});

test('DECLINE puts an address aside for ten minutes, at most a quarter of the pool', (t) => {
  const h = harness({ size: 4 });
  h.lease();
  h.send(d6.DECLINE, { server: 'ours', ia: { addresses: ['2001:db8::1000'] } });
  t.is(h.server.leases()[0]!.state, 'aside');
  t.is(h.lease(), '2001:db8::1001');
  h.send(d6.DECLINE, { server: 'ours', ia: { addresses: ['2001:db8::1001'] } });
  t.is(h.server.leases().filter(({ state }) => state === 'aside').length, 1);
  h.clock.advance(ASIDE_MS + 1);
  t.deepEqual(h.server.leases(), []);
});

test('temporary addresses and prefixes are not given, and that is said', (t) => {
  const h = harness();
  const b = h.send(d6.SOLICIT, { ia: { kind: 'pd' } });
  t.deepEqual(b[0]!.ias, []);
  t.true(b[0]!.codes.includes(25));
  t.deepEqual(h.server.leases(), []);
});

test('leases outlive the server in its store', (t) => {
  const store = new MemoryLeaseStore();
  const first = harness({ store });
  t.is(first.lease(OTHER, 0x16), '2001:db8::1000');
  const second = harness({ store });
  t.is(second.lease(), '2001:db8::1001');
  t.is(second.lease(OTHER, 0x16), '2001:db8::1000');
});

// Section 16: what is not answered.

const ignored: { name: string; type: number; shape: Shape }[] = [
  { name: 'SOLICIT with a server', type: d6.SOLICIT, shape: { server: 'ours' } },
  { name: 'SOLICIT without a client', type: d6.SOLICIT, shape: { duid: null } },
  { name: 'REQUEST without a server', type: d6.REQUEST, shape: {} },
  { name: 'REQUEST for another server', type: d6.REQUEST, shape: { server: 'other' } },
  { name: 'RENEW for another server', type: d6.RENEW, shape: { server: 'other' } },
  { name: 'REBIND with a server', type: d6.REBIND, shape: { server: 'ours' } },
  { name: 'CONFIRM with a server', type: d6.CONFIRM, shape: { server: 'ours' } },
  { name: 'RELEASE without a client', type: d6.RELEASE, shape: { server: 'ours', duid: null } },
  { name: 'DECLINE without a server', type: d6.DECLINE, shape: {} },
  { name: "a server's ADVERTISE", type: d6.ADVERTISE, shape: { server: 'ours' } },
  { name: "a server's REPLY", type: d6.REPLY, shape: { server: 'ours' } },
  { name: 'a relayed message', type: 12, shape: {} },
  { name: 'type 0', type: 0, shape: {} },
];
for (const { name, type, shape } of ignored) {
  test(`ignored: ${name}`, (t) => {
    const h = harness();
    t.deepEqual(h.send(type, shape), []);
    t.is(h.drops('Dhcp6Ignored'), 1);
  });
}

test('section 18.4: to our own address: UseMulticast, or nothing for what may only go to the group', (t) => {
  const h = harness();
  t.is(h.send(d6.REQUEST, { server: 'ours' }, false)[0]!.status, d6.STATUS_USE_MULTICAST);
  t.deepEqual(h.server.leases(), []);
  t.deepEqual(h.send(d6.SOLICIT, {}, false), []);
});

test('over the rate of one hardware address: dropped by name', (t) => {
  const h = harness();
  for (let i = 0; i < RATE_MAC + 5; i++) h.send(d6.INFORMATION_REQUEST, { ia: null });
  t.is(h.drops('Dhcp6RateLimited'), 5);
});

test('as Windows asks: elapsed time first, DUID-LLT, host name and vendor class between, the list of options last', (t) => {
  const h = harness();
  const solicit = hex(`01 5b1c2d 0008 0002 0000
    0001 000e 0001 0001 2b1d4c5a 020000000015
    0003 000c 0702 0000 0000 0000 0000 0000
    0027 0009 00 07 64 65736b746f70
    0010 000e 00000137 0008 4d53465420352e30
    0006 0008 0011 0017 0018 0027`);
  h.server.handle(solicit, 0, solicit.length, GUEST, 0x0200, 0x15, true);
  const { answer } = h.sent.splice(0)[0]!;
  t.is(answer.type, d6.ADVERTISE);
  t.is(answer.xid, 0x5b1c2d);
  t.is(answer.ias[0]!.iaid, 0x07020000);
  t.deepEqual(answer.ias[0]!.addresses, [['2001:db8::1000', LEASE_SEC / 2, LEASE_SEC]]);
  t.deepEqual(answer.dns, ['2001:db8::1']);
  t.is(answer.search, '\x03lab\x04test\0');
});

// Host names: RFC 4704.

const NAMED = { oro: [23, 39], server: 'ours' } as const;
const WEB = '\x03web\x03lab\x04test\0';

test('RFC 4704 6: a name is answered when option 39 is asked for, with S, and O where that overrides the client', (t) => {
  const h = harness();
  const [offer] = h.send(d6.SOLICIT, { name: 'web', flags: 0, oro: [39] });
  t.is(offer!.fqdn, `\x03${WEB}`, 'S and O: we keep the record');
  t.is(h.server.addressOfName('web'), null, 'an offer gives no name yet');
  t.is(h.send(d6.REQUEST, { ...NAMED, name: 'web', flags: 1 })[0]!.fqdn, `\x01${WEB}`);
  t.is(formatAddress(...h.server.addressOfName('web')!), '2001:db8::1000');
  t.is(h.server.nameOfStation(0x0200, 0x15), 'web');
  t.is(h.send(d6.RENEW, { ...NAMED, name: 'web', flags: 4 })[0]!.fqdn, `\x04${WEB}`, 'N: the client forbids it');
  t.is(h.send(d6.RENEW, { server: 'ours', name: 'web', oro: [23] })[0]!.fqdn, null, 'not asked for');
  t.is(h.send(d6.INFORMATION_REQUEST, { ia: null, name: 'web', oro: [39] })[0]!.fqdn, null, 'no address, no name');
});

for (const [name, why] of [
  ['gateway', 'is the router’s'],
  ['nas', 'is configured'],
  ['-web', 'is no host name'],
  ['we\u0000b', 'is no host name'],
  [Uint8Array.of(0, 63, 0x61), 'lies beyond the option'],
  [Uint8Array.of(0, 0xc0, 0x0c), 'is a pointer'],
  [Uint8Array.of(0), 'is empty'],
] as const) {
  test(`a client is not called what ${why}: ${JSON.stringify(name)}`, (t) => {
    const h = harness();
    h.lease();
    const [a] = h.send(d6.RENEW, { ...NAMED, name });
    t.is(a!.ias[0]!.addresses.length, 1, 'the lease is not affected');
    t.is(a!.fqdn!.charCodeAt(0) & 4, 4, 'N');
    t.is(h.server.leases()[0]!.hostname, '');
  });
}

test('a name is one client’s while its lease is in force, and outlives the server with it', (t) => {
  const store = new MemoryLeaseStore();
  const h = harness({ store });
  h.lease();
  h.send(d6.RENEW, { ...NAMED, name: 'Web' });
  h.lease(OTHER, 0x16);
  const claim = (server: ReturnType<typeof harness>): string =>
    server.send(d6.RENEW, { ...NAMED, duid: OTHER, name: 'web' }, true, 0x16)[0]!.fqdn!;
  t.is(claim(h), '\x04\x03web', 'taken: N, and the name as it came');
  const again = harness({ store });
  t.is(again.server.nameOfStation(0x0200, 0x15), 'Web');
  t.is(claim(again), '\x04\x03web');
  again.send(d6.RELEASE, { server: 'ours', ia: { addresses: ['2001:db8::1000'] } });
  t.is(again.server.addressOfName('web'), null);
  t.is(claim(again), `\x03${WEB}`);
  again.clock.advance(LEASE_SEC * 1000);
  t.is(again.server.addressOfName('web'), null, 'the lease has ended');
});

test('a name that another station has by DHCPv4 is not given', (t) => {
  const h = harness({ nameTaken: (name, _hi, lo) => name === 'web' && lo !== 0x16 });
  h.lease();
  t.is(h.send(d6.RENEW, { ...NAMED, name: 'WEB' })[0]!.fqdn!.charCodeAt(0), 4);
  h.lease(OTHER, 0x16);
  t.is(h.send(d6.RENEW, { ...NAMED, duid: OTHER, name: 'web' }, true, 0x16)[0]!.fqdn, `\x03${WEB}`);
});

test('endLease: management ends a lease; the client gets the address again', (t) => {
  const h = harness();
  const address = words(h.lease());
  t.true(h.server.endLease(address));
  t.false(h.server.endLease(address));
  t.false(h.server.endLease(words('2001:db8::1')));
  t.is(h.server.leases()[0]!.state, 'idle');
  t.is(h.lease(), formatAddress(...address));
});

test('any bytes: never an exception; malformed ones are counted', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom(1, 3, 5, 6, 8, 11), (tail, type) => {
      const h = harness();
      const b = Uint8Array.of(type, 1, 2, 3, ...tail);
      h.server.handle(b, 0, b.length, GUEST, 0x0200, 0x15, true);
      d6.summary(b, 0, b.length);
    }),
  );
  const h = harness();
  for (const bad of ['01 01', '01 010203 0001 0005 00', '01 010203 0001 0001 00', '01 010203 0003 0004 00000000']) {
    h.server.handle(hex(bad), 0, hex(bad).length, GUEST, 0x0200, 0x15, true);
  }
  t.is(h.drops('Dhcp6Malformed'), 4);
});
