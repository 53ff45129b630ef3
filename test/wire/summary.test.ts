import test from 'ava';
import { frameSummary, packetSummary } from '../../src/wire/summary.ts';
import { frame } from '../support/frames.ts';
import { hex } from '../support/hex.ts';

const MACS = '52:54:00:00:00:0a > 52:54:00:00:00:0b';
const cases = [
  {
    give: 'arp-request',
    want: '02:00:00:00:00:51 > ff:ff:ff:ff:ff:ff ARP len 42: ARP who-has 10.0.2.2 tell 10.0.2.15',
  },
  {
    give: 'icmp-echo',
    want: `${MACS} IPv4 len 98: IPv4 10.9.0.1 > 10.9.0.2 proto 1 ttl 64 len 84 DF: ICMP echo id 12403 seq 1 len 56`,
  },
  {
    give: 'icmp-fragment-last',
    want: `${MACS} IPv4 len 562: IPv4 10.9.0.1 > 10.9.0.2 proto 1 ttl 64 len 548 frag 28504:1480`,
  },
  {
    give: 'tcp-fin',
    want:
      `${MACS} IPv4 len 66: IPv4 10.9.0.1 > 10.9.0.2 proto 6 ttl 64 len 52 DF: TCP 43352 > 8080 [F.] ` +
      'seq 3512948844 ack 409986375 win 63 <TS val 897928040 ecr 3007739927> len 0',
  },
  {
    give: 'udp-dns-query',
    want:
      `${MACS} IPv4 len 98: IPv4 10.9.0.1 > 10.9.0.2 proto 17 ttl 64 len 84: UDP 33838 > 53 len 56: ` +
      'DNS query 0xba54 AAAA? www.example.com',
  },
  {
    give: 'dhcp-discover',
    want:
      '02:00:00:00:00:51 > ff:ff:ff:ff:ff:ff IPv4 len 342: IPv4 0.0.0.0 > 255.255.255.255 proto 17 ttl 64 len 328: ' +
      'UDP 68 > 67 len 300: DHCP DISCOVER xid 0x11223344 chaddr 02:00:00:00:00:51',
  },
  {
    give: 'ipv6-router-advertisement',
    want: '52:56:00:00:00:02 > 33:33:00:00:00:01 IPv6 len 110: IPv6 fe80::2 > ff02::1 next 58 hops 255 len 96: ICMPv6 router advertisement',
  },
];
for (const { give, want } of cases) {
  test(`frameSummary: ${give}`, (t) => t.is(frameSummary(frame(give), 0, frame(give).length), want));
}

test('frameSummary: VLAN tags are shown and looked through', (t) => {
  const arp = frame('arp-request');
  const b = new Uint8Array(arp.length + 4);
  b.set(arp.subarray(0, 12));
  b.set(hex('8100 600a'), 12);
  b.set(arp.subarray(12), 16);
  t.is(
    frameSummary(b, 0, b.length),
    '02:00:00:00:00:51 > ff:ff:ff:ff:ff:ff 802.1Q len 46: VLAN 10: ARP who-has 10.0.2.2 tell 10.0.2.15',
  );
});

test('frameSummary: a layer that is broken ends the line with the reason', (t) => {
  const b = frame('tcp-syn');
  t.is(frameSummary(b, 0, 13), 'Ethernet [frame_too_short] len 13');
  t.is(frameSummary(b, 0, 20), `${MACS} IPv4 len 20: IPv4 [ipv4_truncated]`);
  b[24]! ^= 1;
  t.is(
    frameSummary(b, 0, b.length),
    `${MACS} IPv4 len 74: IPv4 10.9.0.1 > 10.9.0.2 proto 6 ttl 64 len 60 DF [ipv4_bad_checksum]`,
  );
});

test('packetSummary leaves padding out', (t) => {
  const b = frame('icmp-net-unreachable');
  t.is(packetSummary(b, 14, b.length), 'IPv4 10.0.2.2 > 10.0.2.15 proto 1 ttl 255 len 64: ICMP unreachable (net)');
});
