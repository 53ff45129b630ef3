import test from 'ava';
import { Drop } from '../../src/core/drop.ts';
import { VdeError } from '../../src/core/errors.ts';
import { FrameMemory } from '../../src/core/frame.ts';
import { StationTable } from '../../src/link/station-table.ts';
import { openVxlan, parseVxlanUrl } from '../../src/link/vxlan.ts';
import { AF_INET, native, SOCK_DGRAM } from '../../src/native/native.ts';
import * as vxlan from '../../src/wire/vxlan.ts';
import { hex } from '../support/hex.ts';
import { numbered, Recorder, receiveAll, turns, until } from './support.ts';

const headers = [
  { name: 'its VNI', give: '0800 0000 123456 00 ff', want: Drop.None },
  { name: 'reserved bits are ignored', give: 'ff12 3456 123456 99', want: Drop.None },
  { name: 'no valid VNI', give: 'f700 0000 123456 00', want: Drop.VxlanBadHeader },
  { name: 'cut short', give: '0800 0000 123456', want: Drop.VxlanBadHeader },
  { name: 'another VNI', give: '0800 0000 123457 00', want: Drop.VxlanOtherVni },
];
for (const { name, give, want } of headers)
  test(`vxlan.check: ${name}`, (t) => t.is(vxlan.check(hex(give), 0, hex(give).length, 0x123456), want));

test('vxlan.write and the strict form of vxvde', (t) => {
  const b = new Uint8Array(10).fill(0xff);
  vxlan.write(b, 1, 0xabcdef);
  t.deepEqual([...b], [0xff, 8, 0, 0, 0, 0xab, 0xcd, 0xef, 0, 0xff]);
  t.true(vxlan.isExact(b, 1));
  for (const at of [2, 3, 4, 8]) {
    const wrong = b.slice();
    wrong[at] = 1;
    t.false(vxlan.isExact(wrong, 1));
  }
});

test('URLs: groups, peers, keys cut short, defaults', (t) => {
  const of = (argument: string, scheme: 'vxlan' | 'vxvde' = 'vxlan') => {
    const { ipv6, group, peers, port, vni, ttl } = parseVxlanUrl(scheme, argument);
    return { ipv6, group, peers, port, vni, ttl };
  };
  const base = { ipv6: false, group: '239.0.0.1', peers: [], port: 4789, vni: 1, ttl: null };
  t.deepEqual(of(''), base);
  t.deepEqual(of('/v6'), { ...base, ipv6: true, group: 'ff05:56de::1' });
  t.deepEqual(of('239.1.2.3/vn=7/po=8472/t=3'), { ...base, group: '239.1.2.3', vni: 7, port: 8472, ttl: 3 });
  t.deepEqual(of('192.0.2.1/vni=0xffffff'), { ...base, group: '', peers: ['192.0.2.1'], vni: 0xffffff });
  t.deepEqual(of('/peer=192.0.2.1,192.0.2.2'), { ...base, group: '', peers: ['192.0.2.1', '192.0.2.2'] });
  t.deepEqual(of('[2001:db8::1]'), { ...base, ipv6: true, group: '', peers: ['2001:db8::1'] });
  t.deepEqual(of('', 'vxvde'), { ...base, port: 14789 });
  t.deepEqual(of('/grp=66051', 'vxvde'), { ...base, port: 14789, group: '239.1.2.3', vni: 0x010203 });
  const full = parseVxlanUrl('vxlan', '/hashsize=16/expire=9/if=eth7/rcvbuf=4096/mtu=9000');
  t.deepEqual(
    [full.hashSize, full.expireSec, full.interface, full.receiveBuffer, full.mtu],
    [16, 9, 'eth7', 4096, 9000],
  );
});

for (const bad of [
  'host.example',
  '/vni=16777216',
  '/vni=-1',
  '/vni',
  '/v4=1',
  '/colour=red',
  '/port=0',
  '239.1.1.1/peer=192.0.2.1',
  '192.0.2.1/peer=2001:db8::1',
  '/peer=239.1.1.1',
  '2001:db8::1/v4',
  '239.1.1.1/local=192.0.2.1',
  `/peer=${Array(65).fill('192.0.2.1').join(',')}`,
])
  test(`URLs that are refused: ${bad.slice(0, 40)}`, (t) => {
    const error = t.throws(() => parseVxlanUrl('vxlan', bad), { instanceOf: VdeError });
    t.is((error as VdeError).code, 'ERR_VDE_BAD_ADDRESS');
  });

test('stations: learned, moved, aged, forgotten with their peer; a flood is bounded', (t) => {
  const table = new StationTable(64, 1000, 12345);
  const peer = (last: number): Int32Array => Int32Array.of(0, 0, 0xffff, last, 4789, 0);
  table.learn(0x0200, 1, peer(1), 0, 0);
  const where = (lo: number, now: number): number => {
    const i = table.find(0x0200, lo, now);
    return i < 0 ? -1 : table.cells[StationTable.addressOf(i) + 3]!;
  };
  t.is(where(1, 500), 1);
  table.learn(0x0200, 1, peer(2), 0, 600);
  t.is(where(1, 1500), 2);
  t.is(where(1, 1600), -1);
  t.is(where(2, 0), -1);
  table.learn(0x0200, 2, peer(3), 0, 600);
  table.forget(peer(2), 0);
  t.deepEqual([where(1, 700), where(2, 700)], [-1, 3]);
  for (let i = 0; i < 100_000; i++) table.learn(0x0600, i, peer(9), 0, 700 + i / 1000);
  t.true(table.size <= 64);
});

test('a peer on loopback: flooded to all, then to the one that was heard; strangers and long frames dropped', async (t) => {
  const api = native();
  const peers = ['127.0.0.2', '127.0.0.3'].map((address) => {
    const fd = api.socket(AF_INET, SOCK_DGRAM, 0);
    return { fd, bytes: Uint8Array.from(address.split('.'), Number) };
  });
  // A free port that both peers and our end can have, on addresses of their own.
  let port = 0;
  t.is(api.bindInet(peers[0]!.fd, peers[0]!.bytes, 0), 0);
  port = api.localPort(peers[0]!.fd);
  t.is(api.bindInet(peers[1]!.fd, peers[1]!.bytes, port), 0);
  const memory = new FrameMemory();
  const link = await openVxlan({
    ...parseVxlanUrl('vxlan', `/peer=127.0.0.2,127.0.0.3/port=${port}/vni=5/local=127.0.0.1`),
    memory,
  });
  t.teardown(async () => {
    await link.close();
    for (const { fd } of peers) api.close(fd);
  });
  const sink = new Recorder();
  link.attach(sink);
  const frame = numbered(1, 60, 7); // to all, from 02:00:00:00:00:07
  link.tx.frame(frame, 0, 60);
  link.tx.flush();
  await turns();
  const heard = (): number[] => peers.map(({ fd }) => receiveAll(fd).length);
  t.deepEqual(heard(), [1, 1]);

  const out = new Uint8Array(8 + 60);
  vxlan.write(out, 0, 5);
  out.set(numbered(2, 60, 9), 8);
  const batch = api.newAddressedBatch(out, 1);
  batch.lens[0] = out.length;
  batch.addresses.set([0, 0, 0xffff, 0x7f000001, port, 0]);
  t.is(api.sendTo(peers[1]!.fd, batch, 0, 1), 1);
  await until(() => sink.frames.length === 1, 'the frame');
  const back = numbered(3, 60, 7);
  back.set([0x02, 0, 0, 0, 0, 9], 0);
  link.tx.frame(back, 0, 60);
  link.tx.flush();
  await turns();
  t.deepEqual(heard(), [0, 1]);

  const stranger = api.socket(AF_INET, SOCK_DGRAM, 0);
  api.bindInet(stranger, Uint8Array.of(127, 0, 0, 4), 0);
  api.sendTo(stranger, batch, 0, 1);
  await until(() => link.drops[Drop.VxlanBadPeer] === 1, 'the stranger is dropped');
  api.close(stranger);
  link.tx.frame(new Uint8Array(1519), 0, 1519);
  t.is(link.drops[Drop.FrameTooLong], 1);
  await link.close();
  link.tx.frame(frame, 0, 60);
  t.is(link.drops[Drop.LinkDown], 1);
});
