// Invariants of the DHCP server under any bytes and any order of events.

import test from 'ava';
import fc from 'fast-check';
import { formatIpv4 } from '../../src/core/address.ts';
import { ask, clientId, dhcpHarness } from '../support/dhcp-client.ts';

const mac = (n: number): string => `02:00:00:00:00:${n.toString(16).padStart(2, '0')}`;
const US = '10.0.2.2';

test('any bytes: no exception, and never a lease of the wrong kind', (t) => {
  const d = dhcpHarness();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 700 }), (bytes) => {
      d.clock.advance(100);
      d.bytes(bytes, mac(1));
    }),
    { numRuns: 500 },
  );
  t.is(d.server.leases().length, 0);
});

test('any change of a sound message: no exception, answers are sound', (t) => {
  const whole = ask('REQUEST', { mac: mac(1), requested: '10.0.2.20', params: [1, 3, 6], raw: [clientId('x')] });
  const edit = fc.tuple(fc.nat(whole.length - 1), fc.integer({ min: 0, max: 255 }));
  fc.assert(
    fc.property(fc.array(edit, { maxLength: 8 }), fc.nat(whole.length), (edits, cut) => {
      const d = dhcpHarness();
      const m = whole.slice();
      for (const [at, value] of edits) m[at] = value;
      d.bytes(m, mac(1));
      d.clock.advance(1000);
      const answer = d.bytes(m.slice(0, cut), mac(1));
      if (answer !== null) t.true(answer.reply.payload.length >= 300 && answer.reply.payload.length <= 1472);
    }),
    { numRuns: 500 },
  );
});

type Event =
  | { what: 'discover' | 'release' | 'decline' | 'renew' | 'bootp'; client: number }
  | { what: 'request'; client: number; address: number }
  | { what: 'wait'; ms: number };

const client = fc.nat(11);
const event: fc.Arbitrary<Event> = fc.oneof(
  fc.record({
    what: fc.constantFrom('discover', 'release', 'decline', 'renew', 'bootp'),
    client,
  }) as fc.Arbitrary<Event>,
  fc.record({ what: fc.constant('request' as const), client, address: fc.integer({ min: 13, max: 24 }) }),
  fc.record({ what: fc.constant('wait' as const), ms: fc.constantFrom(100, 5000, 11_000, 700_000, 90_000_000) }),
);

test('two clients never hold one address, whatever the order of events', (t) => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 80 }), fc.boolean(), (events, probing) => {
      let inUse = false;
      const probe = (_a: number, _w: number, done: (used: boolean) => void): void => done((inUse = !inUse));
      const d = dhcpHarness({ poolSize: 8, ...(probing ? { probe } : {}) });
      // What the clients believe: address by client, until when.
      const held = new Map<number, { address: string; until: number }>();
      const offers = new Map<number, string>();
      // Two of the clients share their identifier with another MAC.
      const who = (c: number) => ({ mac: mac(c), ...(c >= 8 ? { raw: [clientId(`id-${c & 1}`)] } : {}) });
      for (const e of events) {
        if (e.what === 'wait') {
          d.clock.advance(e.ms);
          continue;
        }
        const c = e.client;
        const mine = held.get(c);
        let answer = null;
        if (e.what === 'discover') {
          answer = d.say('DISCOVER', who(c));
          if (answer !== null) offers.set(c, answer.yiaddr);
        } else if (e.what === 'bootp') answer = d.say(null, who(c));
        else if (e.what === 'request') {
          const offered = offers.get(c);
          answer =
            offered !== undefined && e.address % 2 === 0
              ? d.say('REQUEST', { ...who(c), requested: offered, server: US })
              : d.say('REQUEST', { ...who(c), requested: `10.0.2.${e.address}` });
        } else if (mine !== undefined && mine.until > d.clock.now() + 1000) {
          if (e.what === 'renew') answer = d.say('REQUEST', { ...who(c), ciaddr: mine.address });
          else {
            if (e.what === 'release') d.say('RELEASE', { ...who(c), ciaddr: mine.address, server: US });
            else d.say('DECLINE', { ...who(c), requested: mine.address, server: US });
            held.delete(c);
          }
        }
        const now = d.clock.now();
        if (answer?.type === 'ACK' || answer?.type === 'BOOTP') {
          const address = answer.yiaddr;
          for (const [other, lease] of held) {
            if (other !== c && lease.until > now) t.not(lease.address, address, `client ${c} got what ${other} has`);
          }
          held.set(c, { address, until: now + 86_400_000 });
        } else if (answer?.type === 'NAK') held.delete(c);
      }
      const leases = d.server.leases();
      t.is(new Set(leases.map((l) => l.address)).size, leases.length);
      const clients = leases.filter((l) => l.client !== '').map((l) => l.client);
      t.is(new Set(clients).size, clients.length, 'one address for each client');
      const { size, bound, aside } = d.server.usage();
      t.true(bound + aside <= size && aside <= 2);
      for (const l of leases) t.regex(formatIpv4(l.address), /^10\.0\.2\.(1[5-9]|2[0-2])$/);
    }),
    { numRuns: 300 },
  );
});

test('a pool of 4096 fills to the last address, and then says so', (t) => {
  const d = dhcpHarness({ cidr: '10.0.0.0/16', start: '10.0.16.0' });
  const macOf = (n: number): string =>
    `02:00:00:00:${(n >> 8).toString(16).padStart(2, '0')}:${(n & 255).toString(16).padStart(2, '0')}`;
  const got = new Set<string>();
  for (let n = 0; n < 4096; n++)
    got.add(d.say('REQUEST', { mac: macOf(n), requested: formatIpv4(0x0a001000 + n) })!.yiaddr);
  t.is(got.size, 4096);
  t.is(d.server.usage().bound, 4096);
  t.is(d.say('DISCOVER', { mac: macOf(5000) }), null);
  t.is(d.drops('DhcpNoAddress'), 1);
});
