// Options that are sent on demand: boot, routes, names, and whatever the configuration adds.
import test from 'ava';
import { parseIpv4 } from '../../src/core/address.ts';
import { parse } from '../../src/wire/dhcpv4.ts';
import { type Ask, dhcpHarness } from '../support/dhcp-client.ts';
import { hex, toHex } from '../support/hex.ts';

const A = '02:00:00:00:00:51';
const ip = parseIpv4;
const textHex = (text: string): string => toHex(Buffer.from(text));

const CONFIG = {
  nextServer: ip('10.0.2.77'),
  bootFile: 'pxelinux.0',
  routes: [
    { network: ip('10.17.0.0'), prefixLen: 16, router: ip('10.0.2.9') },
    { network: ip('192.0.2.0'), prefixLen: 24, router: 0 },
  ],
  extra: new Map([
    [42, hex('0a000205')],
    [108, hex('00000708')],
    [114, Uint8Array.from(Buffer.from('https://portal.test/'))],
    [43, hex('0104')],
  ]),
};

const cases: { name: string; code: number; want: string }[] = [
  { name: 'NTP servers', code: 42, want: '0a000205' },
  { name: 'vendor data', code: 43, want: '0104' },
  { name: 'boot server', code: 66, want: textHex('10.0.2.77') },
  { name: 'boot file', code: 67, want: textHex('pxelinux.0') },
  { name: 'IPv6-only preferred (RFC 8925)', code: 108, want: '00000708' },
  { name: 'captive portal (RFC 8910)', code: 114, want: textHex('https://portal.test/') },
  { name: 'routes and the default route (RFC 3442)', code: 121, want: '100a110a000209 18c0000200000000 000a000202' },
];
for (const { name, code, want } of cases) {
  test(`parameter list: ${name} (${code})`, (t) => {
    const d = dhcpHarness(CONFIG);
    t.is(toHex(d.say('DISCOVER', { mac: A, params: [code] })!.options.get(code)!), want.replaceAll(' ', ''));
    t.false(d.say('DISCOVER', { mac: A, params: [1, 3] })!.options.has(code));
    t.false(d.say('DISCOVER', { mac: A })!.options.has(code));
  });
}

test('RFC 3442: a default route that is configured stays, and a restricted network gets none', (t) => {
  const own = [{ network: 0, prefixLen: 0, router: ip('10.0.2.9') }];
  const ask: Ask = { mac: A, params: [121] };
  t.is(toHex(dhcpHarness({ routes: own }).say('DISCOVER', ask)!.options.get(121)!), '000a000209');
  const closed = dhcpHarness({ routes: CONFIG.routes.slice(1), restricted: true });
  t.is(toHex(closed.say('DISCOVER', ask)!.options.get(121)!), '18c0000200000000');
});

test('an extra option never replaces one that the server sends of its own', (t) => {
  const extra = new Map([51, 53, 54, 1, 3, 6].map((code) => [code, hex('ffffffff')]));
  const o = dhcpHarness({ extra }).say('DISCOVER', { mac: A, params: [51, 53, 54, 1, 3, 6] })!;
  t.deepEqual(
    [51, 53, 54, 1, 3, 6].map((code) => toHex(o.options.get(code)!)).join(' '),
    ['00015180 02 0a000202 ffffff00 0a000202 0a000203'].join(' '),
  );
});

test('PXE: siaddr, sname and file without being asked; in NAK nothing of it', (t) => {
  const d = dhcpHarness(CONFIG);
  const offer = parse(d.say('DISCOVER', { mac: A })!.reply.payload, 0, 300)!;
  t.deepEqual([offer.siaddr, offer.sname, offer.file], [ip('10.0.2.77'), '10.0.2.77', 'pxelinux.0']);
  const nak = parse(d.say('REQUEST', { mac: A, requested: '1.2.3.4' })!.reply.payload, 0, 300)!;
  t.deepEqual([nak.siaddr, nak.sname, nak.file], [0, '', '']);
});

test('PXE: without a boot server the router is it; a long boot file is in option 67 only', (t) => {
  const bootFile = `boot/${'x'.repeat(150)}`;
  const o = dhcpHarness({ bootFile }).say('DISCOVER', { mac: A, params: [66, 67] })!;
  const m = parse(o.reply.payload, 0, o.reply.payload.length)!;
  t.deepEqual([m.siaddr, m.sname, m.file], [ip('10.0.2.2'), '', '']);
  t.is(toHex(m.options.get(67)!), textHex(bootFile));
  t.false(m.options.has(66));
});

test('overload: what exceeds the client’s maximum goes to sname and file, and is all there', (t) => {
  const search = Array.from({ length: 11 }, (_, i) => `subdomain-number-${i}.example${i}.test`);
  const d = dhcpHarness({ search: () => search, domain: 'lab.test' });
  const o = d.say('DISCOVER', { mac: A, params: [119, 15, 28, 58, 59], maxSize: 576 })!;
  const m = parse(o.reply.payload, 0, o.reply.payload.length)!;
  t.true(o.reply.payload.length <= 548);
  t.deepEqual(
    [...m.options.keys()].sort((a, b) => a - b),
    [1, 3, 6, 15, 28, 51, 53, 54, 58, 59, 119],
  );
  t.true(m.options.get(119)!.length > 255, 'in more than one part (RFC 3396)');
});

// Client FQDN, RFC 4702.

const wire = (name: string): number[] => [...name.split('.').flatMap((l) => [l.length, ...Buffer.from(l)])];
const fqdn = (flags: number, name: number[]): [number, number[]] => [81, [flags, 0, 0, ...name]];
const S = 1;
const O = 2;
const E = 4;
const N = 8;

const fqdns: { name: string; domain: string; give: [number, number[]]; flags: number; want: number[]; host: string }[] =
  [
    {
      name: 'S: granted',
      domain: 'lab.test',
      give: fqdn(S | E, [...wire('web.home'), 0]),
      flags: S | E,
      want: [...wire('web.lab.test'), 0],
      host: 'web',
    },
    {
      name: 'no S: overridden',
      domain: 'lab.test',
      give: fqdn(E, wire('web')),
      flags: S | O | E,
      want: [...wire('web.lab.test'), 0],
      host: 'web',
    },
    {
      name: 'N: no updates',
      domain: 'lab.test',
      give: fqdn(N | E, wire('web')),
      flags: N | E,
      want: [...wire('web.lab.test'), 0],
      host: 'web',
    },
    {
      name: 'no domain: a partial name',
      domain: '',
      give: fqdn(S | E, [...wire('web.x'), 0]),
      flags: S | E,
      want: wire('web'),
      host: 'web',
    },
    {
      name: 'ASCII',
      domain: 'lab.test',
      give: fqdn(S, [...Buffer.from('web.x')]),
      flags: S,
      want: [...Buffer.from('web.lab.test')],
      host: 'web',
    },
    {
      name: 'a name nobody may have',
      domain: 'lab.test',
      give: fqdn(S | E, wire('gateway')),
      flags: N | O | E,
      want: wire('gateway'),
      host: '',
    },
    {
      name: 'a label past the end',
      domain: 'lab.test',
      give: fqdn(S | E, [9, 0x61]),
      flags: N | O | E,
      want: [9, 0x61],
      host: '',
    },
  ];
for (const { name, domain, give, flags, want, host } of fqdns) {
  test(`RFC 4702: ${name}`, (t) => {
    const d = dhcpHarness({ domain });
    const offer = d.say('DISCOVER', { mac: A, raw: [give] })!;
    const ack = d.say('REQUEST', { mac: A, requested: '10.0.2.15', raw: [give] })!;
    for (const answer of [offer, ack]) t.deepEqual([...answer.options.get(81)!], [flags, 255, 255, ...want]);
    t.is(d.server.leases()[0]?.hostname, host);
  });
}

test('RFC 4702 3.1: option 12 counts only when 81 names nobody', (t) => {
  const d = dhcpHarness();
  d.join({ mac: A, hostname: 'other', raw: [fqdn(S | E, wire('web'))] });
  t.is(d.server.leases()[0]?.hostname, 'web');
  d.say('REQUEST', { mac: A, ciaddr: '10.0.2.15', hostname: 'other', raw: [fqdn(S | E, [])] });
  t.is(d.server.leases()[0]?.hostname, 'other');
});

test('RFC 4702: option 81 is not sent to clients that sent none, nor parsed when cut short', (t) => {
  const d = dhcpHarness({ domain: 'lab.test' });
  t.false(d.say('DISCOVER', { mac: A, params: [81], hostname: 'web' })!.options.has(81));
  t.false(d.say('DISCOVER', { mac: A, raw: [[81, [1, 0]]] })!.options.has(81));
});

test('option 12 may be qualified by the domain of the network', (t) => {
  const d = dhcpHarness({ domain: 'lab.test' });
  d.join({ mac: A, hostname: 'web.LAB.test' });
  t.is(d.server.leases()[0]?.hostname, 'web');
});
