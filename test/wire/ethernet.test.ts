import test from 'ava';
import { Drop } from '../../src/core/drop.ts';
import * as ethernet from '../../src/wire/ethernet.ts';
import { frame } from '../support/frames.ts';
import { hex, toHex } from '../support/hex.ts';

const cases = [
  { name: 'no bytes', give: '', want: Drop.FrameTooShort },
  { name: 'one byte less than a header', give: '000000000000 000000000000 08', want: Drop.FrameTooShort },
  { name: 'a header alone', give: '000000000000 000000000000 0800', want: Drop.None },
];
for (const { name, give, want } of cases) {
  test(`ethernet.check: ${name}`, (t) => t.is(ethernet.check(hex(give), 0, hex(give).length), want));
}

test('fields of a captured frame', (t) => {
  const b = frame('tcp-syn');
  t.is(ethernet.dstHi(b, 0), 0x5254);
  t.is(ethernet.dstLo(b, 0), 0x0000000b);
  t.is(ethernet.srcHi(b, 0), 0x5254);
  t.is(ethernet.srcLo(b, 0), 0x0000000a);
  t.is(ethernet.type(b, 0), ethernet.TYPE_IPV4);
});

test('the low part of an address is signed', (t) => {
  t.is(ethernet.srcLo(hex('00000000000000005254ffeeddcc0806'), 2), 0xffeeddcc | 0);
});

test('802.3 clause 3.2.3: the lowest bit of the first byte marks groups', (t) => {
  const b = hex('01005e000001 030000000000 0800');
  t.true(ethernet.isGroupDst(b, 0));
  t.true(ethernet.isGroupSrc(b, 0));
  t.false(ethernet.isBroadcastDst(b, 0));
  const unicast = frame('tcp-syn');
  t.false(ethernet.isGroupDst(unicast, 0));
  t.false(ethernet.isGroupSrc(unicast, 0));
  t.true(ethernet.isBroadcastDst(frame('arp-request'), 0));
});

test('write gives the bytes that were read', (t) => {
  const b = frame('arp-request');
  const out = new Uint8Array(16);
  ethernet.write(
    out,
    2,
    ethernet.dstHi(b, 0),
    ethernet.dstLo(b, 0),
    ethernet.srcHi(b, 0),
    ethernet.srcLo(b, 0),
    ethernet.type(b, 0),
  );
  t.is(toHex(out), `0000${toHex(b.slice(0, 14))}`);
});

const summaries = [
  { give: '', want: 'Ethernet [frame_too_short] len 0' },
  { give: 'ffffffffffff 525400123456 0806', want: '52:54:00:12:34:56 > ff:ff:ff:ff:ff:ff ARP len 14' },
  { give: '0180c2000000 525400123456 0026', want: '52:54:00:12:34:56 > 01:80:c2:00:00:00 802.3 length 38 len 14' },
  { give: '525400000001 525400123456 88cc', want: '52:54:00:12:34:56 > 52:54:00:00:00:01 type 0x88cc len 14' },
];
for (const { give, want } of summaries) {
  test(`ethernet.summary: ${want}`, (t) => t.is(ethernet.summary(hex(give), 0, hex(give).length), want));
}
