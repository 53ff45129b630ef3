// Options of the services: what they mean, and what is refused.
import test from 'ava';
import { parseCommandLine } from '../../src/cli/parse.ts';
import { type SlirpvdeConfig, slirpvdeConfig } from '../../src/cli/slirpvde-config.ts';
import { SLIRPVDE } from '../../src/cli/slirpvde-options.ts';
import { parseIpv4 } from '../../src/core/address.ts';
import { toHex } from '../support/hex.ts';

const config = (line: string): SlirpvdeConfig =>
  slirpvdeConfig(parseCommandLine(SLIRPVDE, line === '' ? [] : line.split(' ')), '/home/me');

test('DHCP: defaults', (t) => {
  t.deepEqual(config('-D').dhcp, {
    network: { address: 0x0a000202, network: 0x0a000200, prefixLen: 24, mask: 0xffffff00 },
    start: parseIpv4('10.0.2.15'),
    count: 0,
    hosts: [],
    nextServer: 0,
    bootFile: '',
    domain: '',
    routes: [],
    options: new Map(),
  });
});

test('DHCP: everything', (t) => {
  const c = config(
    '-D --leases l.json --dhcp-lease-time 600 --dhcp-host 52:54:00:12:34:56,10.0.2.9,web --dhcp-host 52:54:00:12:34:57,10.0.2.40 ' +
      '--dhcp-domain Lab.Test --dhcp-search a.test,host --dhcp-search b.test. --dhcp-next-server 10.0.2.7 --dhcp-file x/y.0',
  );
  t.is(c.domain, 'lab.test');
  t.like(c, { leases: '/home/me/l.json', leaseSec: 600, search: { names: ['a.test', 'b.test.'], ofHost: true } });
  t.like(c.dhcp, {
    domain: 'lab.test',
    nextServer: parseIpv4('10.0.2.7'),
    bootFile: 'x/y.0',
  });
  t.deepEqual(c.dhcp?.hosts, [
    { macHi: 0x5254, macLo: 0x00123456, address: parseIpv4('10.0.2.9'), name: 'web' },
    { macHi: 0x5254, macLo: 0x00123457, address: parseIpv4('10.0.2.40'), name: '' },
  ]);
});

const values: [give: string, code: number, want: string][] = [
  ['42,10.0.2.2', 42, '0a000202'],
  ['42,10.0.2.2,10.0.2.3', 42, '0a0002020a000203'],
  ['108,1800', 108, '00000708'],
  ['19,1', 19, '01'],
  ['25,576', 25, '0240'],
  ['43,01:04:ff', 43, '0104ff'],
  ['114,https://p.test/a,b', 114, toHex(Buffer.from('https://p.test/a,b'))],
  ['252,1', 252, '31'],
];
for (const [give, code, want] of values) {
  test(`--dhcp-option ${give}`, (t) => {
    t.is(toHex(config(`-D --dhcp-option ${give}`).dhcp!.options.get(code)!), want);
  });
}

test('--dhcp-option 121 is routes', (t) => {
  const { dhcp } = config(
    '-D --dhcp-option 121,10.1.0.0/16,10.0.2.9,192.0.2.1/32,10.0.2.8 --dhcp-option 121,0.0.0.0/0,10.0.2.7',
  );
  t.deepEqual(dhcp?.routes, [
    { network: parseIpv4('10.1.0.0'), prefixLen: 16, router: parseIpv4('10.0.2.9') },
    { network: parseIpv4('192.0.2.1'), prefixLen: 32, router: parseIpv4('10.0.2.8') },
    { network: 0, prefixLen: 0, router: parseIpv4('10.0.2.7') },
  ]);
  t.is(dhcp?.options.size, 0);
});

test('names and TFTP', (t) => {
  const c = config(
    '--dns-record nas,10.0.2.9 --dns-record V6.test.,2001:db8::1 --dns-rebind-protect --dns-rebind-ok Corp.Test -t tftp',
  );
  t.deepEqual(c.dnsRecords, [
    { name: 'nas', words: [0, 0, 0xffff, 0x0a000209] },
    { name: 'V6.test', words: [0x20010db8, 0, 0, 1] },
  ]);
  t.deepEqual(c.rebindExempt, ['corp.test']);
  t.is(c.tftp, '/home/me/tftp');
  t.deepEqual(config('--tftp=/srv').tftp, '/srv');
});

const refused: [give: string, why: RegExp][] = [
  ['--leases x', /'--leases' means nothing without --dhcp/],
  ['--dhcp-host 52:54:00:12:34:56,10.0.2.9', /without --dhcp/],
  ['-D --dhcp-lease-time 59', /60 to 2147483647/],
  ['-D --dhcp-lease-time 1d', /not a number of seconds/],
  ['-D --dhcp-host 52:54:00:12:34:56', /not a host and its address/],
  ['-D --dhcp-host x,10.0.2.9', /no host's MAC address/],
  ['-D --dhcp-host 53:54:00:12:34:56,10.0.2.9', /no host's MAC address/],
  ['-D --dhcp-host 52:54:00:12:34:56,10.0.3.9', /not the address of a guest/],
  ['-D --dhcp-host 52:54:00:12:34:56,10.0.2.2', /not the address of a guest/],
  ['-D --dhcp-host 52:54:00:12:34:56,10.0.2.255', /not the address of a guest/],
  ['-D --dhcp-host 52:54:00:12:34:56,10.0.2.9,a.b', /'a.b' is not a host name/],
  ['-D --dhcp-host 52:54:00:12:34:56,10.0.2.9,a,b', /not a host and its address/],
  ['-D --dhcp-host 52:54:00:12:34:56,10.0.2.9 --dhcp-host 52:54:00:12:34:57,10.0.2.9', /given to another host/],
  ['-D --dhcp-host 52:54:00:12:34:56,10.0.2.9 --dhcp-host 52:54:00:12:34:56,10.0.2.8', /its MAC address/],
  ['-D --dhcp-host 52:54:00:12:34:56,10.0.2.9,a --dhcp-host 52:54:00:12:34:57,10.0.2.8,A', /the name 'A'/],
  ['-D --dhcp-domain a..b', /not a domain name/],
  ['-D --dhcp-search a..b', /not a domain name/],
  ['-D --dhcp-next-server here', /not an IPv4 address/],
  ['-D --dhcp-file \u00e9', /ASCII text/],
  ['-D --dhcp-option 42', /not an option and its value/],
  ['-D --dhcp-option 300,1', /not an option and its value/],
  ['-D --dhcp-option 51,60', /option 51 is not set this way/],
  ['-D --dhcp-option 42,10.0.2.2 --dhcp-option 42,10.0.2.3', /given before/],
  ['-D --dhcp-option 108,x', /not a number from 0/],
  ['-D --dhcp-option 121,10.1.0.0/8,10.0.2.2', /not a list of routes/],
  ['-D --dhcp-option 121,10.0.0.0/8', /not a list of routes/],
  ['--dns-record nas', /not a name and its address/],
  ['--dns-record nas,here', /not a name and its address/],
  ['--dns-record -x,10.0.2.9', /not a name and its address/],
  ['--dns-rebind-protect --dns-rebind-ok a..b', /not a domain name/],
];
for (const [give, why] of refused) {
  test(`refused: ${give}`, (t) => {
    t.throws(() => config(give), { name: 'UsageError', message: why });
  });
}
