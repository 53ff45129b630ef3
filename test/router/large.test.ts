// Datagrams that no link takes in one packet: through UdpNat, forwards and echo, both ways.
import test from 'ava';
import { parseEndpoint, parseIpv4 } from '../../src/core/address.ts';
import { Drop } from '../../src/core/drop.ts';
import * as checksum from '../../src/wire/checksum.ts';
import * as icmp from '../../src/wire/icmpv4.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as udp from '../../src/wire/udp.ts';
import { fragments, joined } from '../support/fragments.ts';
import { echoFrame, udpFrame } from '../support/guest-frames.ts';
import { toHex } from '../support/hex.ts';
import { RouterHarness } from '../support/router-harness.ts';

const bytes = (n: number): Uint8Array => Uint8Array.from({ length: n }, (_, i) => (i * 7 + (i >>> 8)) & 255);
const MAX = 65_507;

/** The UDP payload of a datagram that the router sent in fragments; throws when anything about it is wrong. */
function payloadOf(frames: Uint8Array[]): string {
  const b = joined(frames);
  const pseudo = checksum.pseudoIpv4(ipv4.src(frames[0]!, 14), ipv4.dst(frames[0]!, 14), ipv4.PROTO_UDP);
  if (udp.check(b, 0, b.length) !== Drop.None || !udp.checksumOk(b, 0, pseudo)) throw new Error('bad datagram');
  return toHex(b.slice(8));
}

for (const size of [1473, 9000, MAX]) {
  test(`UDP: ${size} bytes both ways, last fragment first`, (t) => {
    const h = new RouterHarness();
    const data = bytes(size);
    h.send(...fragments(udpFrame({ dst: '192.0.2.1', sport: 5000, dport: 7, data })).reverse());
    t.is(toHex(h.host.lastUdp.sent[0]!.bytes), toHex(data));
    h.host.lastUdp.deliver(parseEndpoint('192.0.2.1', 7), data);
    h.settle();
    const sent = h.link.take();
    t.is(payloadOf(sent), toHex(data));
    t.is(sent.length, Math.ceil((size + 8) / 1480));
    t.true(sent.every((f) => f.length <= 1514));
  });
}

test('UDP: a link with an MTU that is no multiple of 8', (t) => {
  const h = new RouterHarness({ mtu: 1303 });
  h.send(udpFrame({ dst: '192.0.2.1', sport: 5000, dport: 7 }));
  h.host.lastUdp.deliver(parseEndpoint('192.0.2.1', 7), bytes(5000));
  h.settle();
  const sent = h.link.take();
  t.is(payloadOf(sent), toHex(bytes(5000)));
  t.is(ipv4.totalLen(sent[0]!, 14), 1300);
});

test('UDP forward: 65,507 bytes both ways', async (t) => {
  const h = new RouterHarness();
  const rule = { listen: parseEndpoint('0.0.0.0', 5353), guest: parseEndpoint('10.0.2.15', 53) } as const;
  await h.router.addForward({ protocol: 'udp', ...rule });
  const data = bytes(MAX);
  h.host.lastUdp.deliver(parseEndpoint('203.0.113.5', 9999), data);
  h.settle();
  t.is(payloadOf(h.link.take()), toHex(data));
  h.send(...fragments(udpFrame({ dst: '203.0.113.5', sport: 53, dport: 9999, data })));
  t.is(toHex(h.host.lastUdp.sent[0]!.bytes), toHex(data));
});

test('echo: 65,507 bytes out and back', (t) => {
  const h = new RouterHarness();
  const data = bytes(MAX);
  h.send(...fragments(echoFrame({ dst: '192.0.2.1', id: 5, seq: 9, data })));
  t.is(toHex(h.host.pings[0]!.sent[0]!.bytes), toHex(data));
  h.host.pings[0]!.reply();
  h.settle();
  const frames = h.link.take();
  const b = joined(frames);
  t.is(icmp.check(b, 0, b.length), Drop.None);
  t.deepEqual([icmp.type(b, 0), icmp.echoId(b, 0), icmp.echoSeq(b, 0)], [icmp.TYPE_ECHO_REPLY, 5, 9]);
  t.is(toHex(b.slice(8)), toHex(data));
  t.is(ipv4.src(frames[0]!, 14), parseIpv4('192.0.2.1'));
});

test('an error about a fragmented datagram quotes its header and ports', (t) => {
  const h = new RouterHarness();
  h.link.receive(...fragments(udpFrame({ dst: '169.254.1.1', sport: 5000, dport: 7, data: bytes(3000) })));
  const [f] = h.link.take();
  t.is(toHex(f!.slice(34, 36)), '030d');
  t.deepEqual([udp.srcPort(f!, 62), udp.dstPort(f!, 62)], [5000, 7]);
});
