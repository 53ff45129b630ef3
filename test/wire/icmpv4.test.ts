import test from 'ava';
import { Drop } from '../../src/core/drop.ts';
import * as icmp from '../../src/wire/icmpv4.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as udp from '../../src/wire/udp.ts';
import { frame } from '../support/frames.ts';
import { hex, toHex } from '../support/hex.ts';

const cases = [
  { name: '7 bytes', give: '0800 f7ff 0000 00', want: Drop.IcmpTruncated },
  { name: 'an echo without data', give: '0800 f7ff 0000 0000', want: Drop.None },
  { name: 'an echo with an odd number of bytes', give: '0800 b6ff 0000 0000 41', want: Drop.None },
  { name: 'wrong checksum', give: '0800 f7fe 0000 0000', want: Drop.IcmpBadChecksum },
  { name: 'no checksum', give: '0800 0000 0000 0000', want: Drop.IcmpBadChecksum },
];
for (const { name, give, want } of cases) {
  test(`icmpv4.check: ${name}`, (t) => t.is(icmp.check(hex(give), 0, hex(give).length), want));
}

test('fields of a captured echo', (t) => {
  const b = frame('icmp-echo');
  t.is(icmp.check(b, 34, b.length), Drop.None);
  t.is(icmp.type(b, 34), icmp.TYPE_ECHO);
  t.is(icmp.code(b, 34), 0);
  t.is(icmp.echoId(b, 34), 0x3073);
  t.is(icmp.echoSeq(b, 34), 1);
  t.is(icmp.payload(b, 34), 42);
});

test('writeEcho turns a captured echo into the captured reply', (t) => {
  const echo = frame('icmp-echo');
  const reply = frame('icmp-echo-reply');
  icmp.writeEcho(echo, 34, icmp.TYPE_ECHO_REPLY, 0x3073, 1, echo.length - 34);
  t.is(toHex(echo.slice(34)), toHex(reply.slice(34)));
});

test('writeError gives the port unreachable that Linux sent for the same datagram', (t) => {
  const query = frame('udp-dns-query');
  const error = frame('icmp-port-unreachable');
  const out = new Uint8Array(600);
  const len = icmp.writeError(out, 3, icmp.TYPE_UNREACHABLE, icmp.CODE_PORT, 0, query, 14, query.length);
  t.is(len, error.length - 34);
  t.is(toHex(out.slice(3, 3 + len)), toHex(error.slice(34)));
});

test('a captured error quotes the header of what it is about', (t) => {
  const b = frame('icmp-port-unreachable');
  const quote = icmp.payload(b, 34);
  t.is(ipv4.check(b, quote, b.length), Drop.None);
  t.is(ipv4.protocol(b, quote), ipv4.PROTO_UDP);
  t.is(udp.dstPort(b, quote + ipv4.headerLen(b, quote)), 53);
});

test('RFC 1812 4.3.2.3: an error is at most 576 bytes with its IP header', (t) => {
  const original = new Uint8Array(1500).map((_, i) => i);
  const out = new Uint8Array(700);
  const len = icmp.writeError(out, 0, icmp.TYPE_UNREACHABLE, icmp.CODE_FRAGMENTATION_NEEDED, 1280, original, 0, 1500);
  t.is(len, 576 - 20);
  t.is(icmp.errorLen(1500), len);
  t.is(icmp.errorLen(28), 36);
  t.is(icmp.check(out, 0, len), Drop.None);
  t.is(icmp.nextHopMtu(out, 0), 1280);
  t.is(icmp.rest(out, 0), 1280);
  t.deepEqual(out.slice(8, len), original.slice(0, icmp.MAX_QUOTE));
  t.is(out[len], 0);
});

test('RFC 1122 3.2.2: which types are errors', (t) => {
  const errors = Array.from({ length: 256 }, (_, type) => type).filter(icmp.isError);
  t.deepEqual(errors, [3, 4, 5, 11, 12]);
});

const summaries = [
  { give: 'icmp-echo', want: 'ICMP echo id 12403 seq 1 len 56' },
  { give: 'icmp-echo-reply', want: 'ICMP echo reply id 12403 seq 1 len 56' },
  { give: 'icmp-net-unreachable', want: 'ICMP unreachable (net)' },
  { give: 'icmp-port-unreachable', want: 'ICMP unreachable (port)' },
  { give: 'icmp-time-exceeded', want: 'ICMP time exceeded (ttl)' },
];
for (const { give, want } of summaries) {
  test(`icmpv4.summary: ${want}`, (t) => t.is(icmp.summary(frame(give), 34, frame(give).length), want));
}

test('icmpv4.summary: rare and broken messages', (t) => {
  const line = (text: string): string => icmp.summary(hex(text), 0, hex(text).length);
  t.is(line('0304 f777 0000 0578'), 'ICMP unreachable (fragmentation needed, mtu 1400) [icmp_bad_checksum]');
  t.is(line('0c00 f0ff 0300 0000'), 'ICMP parameter problem at 3');
  t.is(line('0d00 f2ff 0000 0000'), 'ICMP type 13 code 0');
  t.is(line('08'), 'ICMP [icmp_truncated]');
});
