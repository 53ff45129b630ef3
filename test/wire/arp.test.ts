import test from 'ava';
import { parseIpv4 } from '../../src/core/address.ts';
import { Drop } from '../../src/core/drop.ts';
import * as arp from '../../src/wire/arp.ts';
import { frame } from '../support/frames.ts';
import { hex, toHex } from '../support/hex.ts';

const REQUEST = '0001 0800 0604 0001 020000000051 0a00020f 000000000000 0a000202';

const cases = [
  { name: 'a request', give: REQUEST, want: Drop.None },
  { name: 'padding behind it', give: `${REQUEST} 0000 0000`, want: Drop.None },
  { name: 'cut short', give: REQUEST.slice(0, -2), want: Drop.ArpMalformed },
  { name: 'hardware other than Ethernet', give: REQUEST.replace('0001', '0006'), want: Drop.ArpMalformed },
  { name: 'protocol other than IPv4', give: REQUEST.replace('0800', '86dd'), want: Drop.ArpMalformed },
  { name: 'hardware address of 8 bytes', give: REQUEST.replace('0604', '0804'), want: Drop.ArpMalformed },
  { name: 'protocol address of 16 bytes', give: REQUEST.replace('0604', '0610'), want: Drop.ArpMalformed },
];
for (const { name, give, want } of cases) {
  test(`arp.check: ${name}`, (t) => t.is(arp.check(hex(give), 0, hex(give).length), want));
}

test('fields of a captured reply', (t) => {
  const b = frame('arp-reply');
  t.is(arp.check(b, 14, b.length), Drop.None);
  t.is(arp.op(b, 14), arp.OP_REPLY);
  t.is(arp.senderMacHi(b, 14), 0x5255);
  t.is(arp.senderMacLo(b, 14), 0x0a000202);
  t.is(arp.senderIp(b, 14), parseIpv4('10.0.2.2'));
  t.is(arp.targetMacHi(b, 14), 0x0200);
  t.is(arp.targetMacLo(b, 14), 0x00000051);
  t.is(arp.targetIp(b, 14), parseIpv4('10.0.2.15'));
});

test('addresses above 127.255.255.255 are unsigned', (t) => {
  const b = hex(REQUEST.replace('0a000202', 'c0a80101'));
  t.is(arp.targetIp(b, 0), 0xc0a80101);
});

test('write gives the bytes of RFC 826', (t) => {
  const out = new Uint8Array(arp.MESSAGE_LEN);
  arp.write(out, 0, arp.OP_REQUEST, 0x0200, 0x51, parseIpv4('10.0.2.15'), 0, 0, parseIpv4('10.0.2.2'));
  t.is(toHex(out), toHex(hex(REQUEST)));
});

const summaries = [
  { give: 'arp-request', want: 'ARP who-has 10.0.2.2 tell 10.0.2.15' },
  { give: 'arp-reply-padded', want: 'ARP reply 10.0.2.2 is-at 52:55:0a:00:02:02' },
  { give: 'arp-announce', want: 'ARP announce 10.0.2.15 at 02:00:00:00:00:51' },
];
for (const { give, want } of summaries) {
  test(`arp.summary: ${want}`, (t) => t.is(arp.summary(frame(give), 14, frame(give).length), want));
}

test('arp.summary: other operations and malformed messages', (t) => {
  const rarp = hex(REQUEST.replace('0001 02', '0003 02'));
  t.is(arp.summary(rarp, 0, rarp.length), 'ARP op 3 10.0.2.15 > 10.0.2.2');
  t.is(arp.summary(rarp, 0, 5), 'ARP [arp_malformed]');
});
