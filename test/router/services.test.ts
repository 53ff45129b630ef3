// The services at the router's address, on the wire: TFTP, local names, and a guest's name from its DHCP lease.
import test from 'ava';
import { parseIpv4, parseIpv4Network } from '../../src/core/address.ts';
import { MemoryLeaseStore, type TftpFiles } from '../../src/services/index.ts';
import { ask as dhcpAsk } from '../support/dhcp-client.ts';
import { decode, query } from '../support/dns-harness.ts';
import { arpFrame, BROADCAST_MAC, GUEST_MAC, udpFrame } from '../support/guest-frames.ts';
import { RouterHarness } from '../support/router-harness.ts';

const files: TftpFiles = {
  open(name, done) {
    if (name !== 'boot') {
      done(null, 'missing');
      return;
    }
    const data = Buffer.from('hello');
    const read = (position: number, b: Uint8Array, finish: (n: number) => void): void => {
      b.set(data.subarray(position));
      finish(Math.max(0, data.length - position));
    };
    done({ size: data.length, read, close: () => {} }, 'missing');
  },
};
const rrq = (name: string): Uint8Array => Buffer.from(`\0\x01${name}\0octet\0`);
const UPSTREAM = { servers: () => [], suspect: () => {} };

test('TFTP: request to port 69 of the router, the file from another port, everything else goes where it went', (t) => {
  const h = new RouterHarness({ tftp: files });
  const [frame] = h.send(udpFrame({ sport: 2000, dport: 69, data: rrq('boot') }));
  const port = (frame![34]! << 8) | frame![35]!;
  t.true(port >= 49_152);
  t.is(Buffer.from(frame!.subarray(42, 51)).toString('latin1'), '\0\x03\0\x01hello');
  h.send(udpFrame({ sport: 2000, dport: port, data: Buffer.from('\0\x04\0\x01') }));
  t.is(h.host.udp.length, 0, 'nothing of this reached a host socket');
  h.send(udpFrame({ sport: 2000, dport: port, data: Buffer.from('to the host') }));
  t.is(h.host.udp.length, 1, 'the transfer is over: its port is the host loopback’s again');
  h.send(udpFrame({ sport: 2001, dport: 69, dst: '198.51.100.9', data: rrq('boot') }));
  t.is(h.host.udp.length, 2, 'TFTP servers of the world are not ours');
});

test('TFTP: without a directory port 69 of the router is the host’s', (t) => {
  const h = new RouterHarness();
  t.deepEqual(h.send(udpFrame({ sport: 2000, dport: 69, data: rrq('boot') })), []);
  t.is(h.host.udp.length, 1);
});

test('a guest that told its name to DHCP is found by it', (t) => {
  const h = new RouterHarness({
    dns: { address: parseIpv4('10.0.2.3'), upstreams: UPSTREAM, domain: 'lab.test' },
    dhcp: {
      network: parseIpv4Network('10.0.2.2/24', 24),
      dns: [parseIpv4('10.0.2.3')],
      poolStart: parseIpv4('10.0.2.15'),
      store: new MemoryLeaseStore(),
      domain: 'lab.test',
    },
  });
  const data = dhcpAsk('REQUEST', { mac: GUEST_MAC, requested: '10.0.2.15', hostname: 'web' });
  const all = { src: '0.0.0.0', dst: '255.255.255.255', dstMac: BROADCAST_MAC };
  h.send(udpFrame({ ...all, sport: 68, dport: 67, data }));
  for (const [name, want] of [
    ['web.lab.test', '10.0.2.15'],
    ['web', '10.0.2.15'],
    ['gateway', '10.0.2.2'],
    ['gateway.lab.test', '10.0.2.2'],
    ['_gateway', '10.0.2.2'],
    ['host.internal', '10.0.2.2'],
  ]) {
    const [frame] = h.send(udpFrame({ sport: 3000, dport: 53, dst: '10.0.2.3', data: query({ name: name! }) }));
    t.is(decode(frame!.subarray(42)).answers[0]?.data, want!, name!);
  }
});

test('host.internal is no name when the host’s loopback is closed', (t) => {
  const h = new RouterHarness({ hostLoopback: false });
  h.send(udpFrame({ sport: 3000, dport: 53, dst: '10.0.2.3', data: query({ name: 'host.internal' }) }));
  t.is(h.host.udp.length, 1, 'asked upstream');
});

test('DHCP: addresses are probed when the router starts; who is heard with one by ARP or IP has it', (t) => {
  const discover = (srcMac: string): Uint8Array =>
    udpFrame({
      srcMac,
      src: '0.0.0.0',
      dst: '255.255.255.255',
      dstMac: BROADCAST_MAC,
      sport: 68,
      dport: 67,
      data: dhcpAsk('DISCOVER', { mac: srcMac }),
    });
  const [newcomer, owner] = ['02:00:00:00:00:51', '02:00:00:00:00:15'];
  const offered = (frames: Uint8Array[]): string[] => {
    const replies = frames.filter((f) => f[12] === 8 && f[13] === 0 && f[35] === 67);
    return replies.map((f) => [...f.subarray(58, 62)].join('.'));
  };
  for (const heard of ['nobody', 'ARP', 'IP', 'in time'] as const) {
    const h = new RouterHarness();
    h.advance(1000); // the harness's own guest was heard before
    h.router.announce();
    const asked = h.sent().filter((line) => line.includes('ARP'));
    t.is(asked.filter((line) => /who-has 10\.0\.2\.1[56] /.test(line)).length, 2, asked.join('\n'));
    if (heard === 'in time') h.send(arpFrame({ srcMac: GUEST_MAC, spa: '10.0.2.15', tpa: '10.0.2.2', op: 2 }));
    h.advance(100);
    if (heard === 'ARP') h.send(arpFrame({ srcMac: owner, spa: '10.0.2.15', tpa: '10.0.2.77' }));
    if (heard === 'IP') h.send(udpFrame({ src: '10.0.2.15', dst: '10.0.2.2', sport: 4000, dport: 4000 }));
    const got = offered(h.send(discover(newcomer)));
    t.deepEqual(got, heard === 'nobody' ? ['10.0.2.15'] : [], heard);
  }
});
