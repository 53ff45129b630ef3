import test from 'ava';
import { Drop } from '../../src/core/drop.ts';
import { MAX_PORT_BINDINGS } from '../../src/switch/guard/bindings.ts';
import type { GuardKind, GuardMode, Switch } from '../../src/switch/index.ts';
import * as bpdu from '../../src/wire/bpdu.ts';
import { partial, partialAdd, pseudoWords } from '../../src/wire/checksum.ts';
import * as dhcp from '../../src/wire/dhcpv4.ts';
import { arpFrame, echoFrame, tcpFrame, udpFrame } from '../support/guest-frames.ts';
import { ALL, type FakeLink, frame, setUp } from './support.ts';

const MACS = ['', '02:00:00:00:00:01', '02:00:00:00:00:02', '02:00:00:00:00:03'] as const;
const ALL_MAC = 'ff:ff:ff:ff:ff:ff';
const ip4 = (last: number): [number, number, number, number] => [0, 0, 0xffff, 0x0a000200 | last];

/** Ports 1 and 2 are guests, 3 is trusted. */
function guarded(modes: Partial<Record<GuardKind, GuardMode>>) {
  const world = setUp(3);
  world.sw.admin.setTrusted(3, true);
  for (const [kind, mode] of Object.entries(modes)) world.sw.guard.setMode(kind as GuardKind, mode);
  return world;
}

/** Whether a frame from one port arrives at another. */
function passes(links: FakeLink[], from: number, to: number, bytes: Uint8Array): boolean {
  for (const link of links) link.sent.length = 0;
  links[from - 1]!.receive(bytes);
  return links[to - 1]!.sent.length > 0;
}
const drops = (sw: Switch, port: number, reason: keyof typeof Drop) => sw.port(port)!.drops[Drop[reason]!]!;

const reply = (mac: string, ip: string, dst = ALL_MAC): Uint8Array =>
  arpFrame({ op: 2, srcMac: mac, dstMac: dst, sha: mac, spa: ip, tha: dst, tpa: '10.0.2.9' } as never);

function dhcpReply(
  port: number,
  yiaddr: number,
  type = dhcp.ACK,
  leaseSec = 600,
  srcMac: string = MACS[3],
): Uint8Array {
  const options = new Map([
    [dhcp.OPTION_MESSAGE_TYPE, Uint8Array.of(type)],
    [dhcp.OPTION_LEASE_TIME, Uint8Array.of(0, 0, leaseSec >> 8, leaseSec & 255)],
  ]);
  const data = dhcp.write({
    ...{ op: dhcp.OP_REPLY, htype: 1, hops: 0, xid: 1, secs: 0, flags: 0, ciaddr: 0, siaddr: 0, giaddr: 0 },
    ...{ yiaddr, chaddr: Uint8Array.of(2, 0, 0, 0, 0, port), sname: '', file: '', options },
  });
  return udpFrame({ srcMac, dstMac: ALL_MAC, src: '10.0.2.2', dst: '255.255.255.255', sport: 67, dport: 68, data });
}

// ---- IPv6 frames

const LINK_LOCAL = (last: number) => Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last);
const NOBODY = new Uint8Array(16);

interface V6 {
  mac: number;
  src: Uint8Array;
  dst?: Uint8Array;
  hop?: number;
  /** Extension headers, the first type first: `[type, bytes]`. */
  extensions?: [number, number[]][];
  protocol?: number;
  payload: Uint8Array;
  badChecksum?: boolean;
}

function ip6({
  mac,
  src,
  dst = LINK_LOCAL(0x99),
  hop = 255,
  extensions = [],
  protocol = 58,
  payload,
  badChecksum,
}: V6) {
  const chain: number[] = [];
  for (const [i, [, bytes]] of extensions.entries()) chain.push(extensions[i + 1]?.[0] ?? protocol, ...bytes);
  const b = new Uint8Array(54 + chain.length + payload.length);
  b.set([0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, mac, 0x86, 0xdd, 0x60, 0, 0, 0]);
  const len = chain.length + payload.length;
  b.set([len >> 8, len & 255, extensions[0]?.[0] ?? protocol, hop], 18);
  b.set(src, 22);
  b.set(dst, 38);
  b.set(chain, 54);
  b.set(payload, 54 + chain.length);
  if (protocol === 58 && payload.length > 0) {
    const view = new DataView(b.buffer);
    const w = (o: number) => view.getInt32(22 + o);
    const pseudo = pseudoWords(w(0), w(4), w(8), w(12), w(16), w(20), w(24), w(28), 58);
    const at = 54 + chain.length;
    const sum = partial(b, at, payload.length, partialAdd(pseudo, payload.length));
    view.setUint16(at + 2, ~sum & 0xffff);
    if (badChecksum) b[at + 2]! ^= 0xff;
  }
  return b;
}
const nd = (type: number, target: Uint8Array, options: number[] = []): Uint8Array =>
  Uint8Array.of(type, 0, 0, 0, 0, 0, 0, 0, ...target, ...options);
const RA = Uint8Array.of(134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0);

// ---- tests

test('with everything off there is nothing to pay; with one thing on, trusted ports pay only for bindings', (t) => {
  const { sw } = guarded({});
  t.deepEqual(
    sw.ports().map((p) => p.screens),
    [0, 0, 0],
  );
  sw.guard.setMode('ra', 'enforce');
  t.deepEqual(
    sw.ports().map((p) => p.screens !== 0),
    [true, true, false],
  );
  sw.guard.setMode('arp', 'warn');
  t.deepEqual(
    sw.ports().map((p) => p.screens !== 0),
    [true, true, true],
  );
});

test('ARP: a claim of an address that is bound to another station is dropped', (t) => {
  const { sw, links } = guarded({ arp: 'enforce' });
  t.true(passes(links, 3, 1, reply(MACS[3], '10.0.2.2')), 'what trusted ports say is bound');
  t.false(passes(links, 1, 2, reply(MACS[1], '10.0.2.2')));
  t.is(drops(sw, 1, 'GuardArp'), 1);
  t.true(passes(links, 1, 2, reply(MACS[1], '10.0.2.15')), 'nobody has this one');
  t.true(sw.guard.bindings.bind(0, ...ip4(15), { macHi: 0x0200, macLo: 1, port: 1, source: 'static', lifetimeSec: 0 }));
  t.true(passes(links, 1, 2, reply(MACS[1], '10.0.2.15')));
  t.false(passes(links, 2, 1, reply(MACS[2], '10.0.2.15')));
  t.is(sw.fdb.countOf(2), 0, 'nor is the liar learned');
});

test('ARP: another sender than the frame, impossible addresses and malformed messages are dropped', (t) => {
  const { sw, links } = guarded({ arp: 'enforce' });
  const lying = reply(MACS[1], '10.0.2.15');
  lying[27] = 9;
  t.false(passes(links, 1, 2, lying));
  t.false(passes(links, 1, 2, reply(MACS[1], '224.0.0.1')));
  t.false(passes(links, 1, 2, reply(MACS[1], '255.255.255.255')));
  t.false(passes(links, 1, 2, reply(MACS[1], '10.0.2.15').subarray(0, 30)));
  t.true(passes(links, 1, 2, reply(MACS[1], '0.0.0.0')), 'a probe');
  t.is(drops(sw, 1, 'GuardArp'), 4);
});

test('TCP is nothing for the guard while sources are not watched', (t) => {
  const { sw, links } = guarded({ arp: 'enforce', dhcp: 'enforce', ra: 'enforce', bpdu: 'enforce' });
  const segment = tcpFrame({ srcMac: MACS[1], dstMac: MACS[2], dst: '192.0.2.1', sport: 1, dport: 2, flags: 'A' });
  t.true(passes(links, 1, 2, segment));
  const server = dhcpReply(2, 0x0a00020f, dhcp.OFFER, 600, MACS[1]);
  t.false(passes(links, 1, 2, server));
  sw.guard.setMode('source', 'enforce');
  t.false(passes(links, 1, 2, segment), 'now they are');
});

test('warn counts and lets pass', (t) => {
  const { sw, links } = guarded({ arp: 'warn', dhcp: 'warn', ra: 'warn', bpdu: 'warn' });
  passes(links, 3, 1, reply(MACS[3], '10.0.2.2'));
  t.true(passes(links, 1, 2, reply(MACS[1], '10.0.2.2')));
  t.true(passes(links, 1, 2, dhcpReply(9, 1, dhcp.OFFER, 1, MACS[1])));
  t.true(passes(links, 1, 2, ip6({ mac: 1, src: LINK_LOCAL(1), payload: RA })));
  const port = sw.port(1)!;
  t.deepEqual(
    [Drop.GuardArp, Drop.GuardDhcp, Drop.GuardRa].map((r) => [port.warnings[r], port.drops[r]]),
    [
      [1, 0],
      [1, 0],
      [1, 0],
    ],
  );
});

test('DHCP: servers are heard from trusted ports only', (t) => {
  const { sw, links } = guarded({ dhcp: 'enforce' });
  t.false(passes(links, 1, 2, dhcpReply(2, 0x0a00020f, dhcp.OFFER, 600, MACS[1])));
  t.true(passes(links, 3, 2, dhcpReply(2, 0x0a00020f)));
  const v6 = Uint8Array.of(2, 35, 2, 34, 0, 8, 0, 0); // UDP 547 to 546
  t.false(passes(links, 1, 2, ip6({ mac: 1, src: LINK_LOCAL(1), protocol: 17, payload: v6 })));
  t.true(passes(links, 3, 2, ip6({ mac: 3, src: LINK_LOCAL(3), protocol: 17, payload: v6 })));
  t.is(drops(sw, 1, 'GuardDhcp'), 2);
  t.true(passes(links, 1, 3, udpFrame({ srcMac: MACS[1], dstMac: ALL_MAC, src: '0.0.0.0', sport: 68, dport: 67 })));
});

test('RA: routers are heard from trusted ports only, whatever they hide behind', (t) => {
  const { sw, links } = guarded({ ra: 'enforce' });
  const src = LINK_LOCAL(1);
  t.false(passes(links, 1, 2, ip6({ mac: 1, src, payload: RA })));
  t.false(passes(links, 1, 2, ip6({ mac: 1, src, payload: RA, extensions: [[0, [0, 1, 4, 0, 0, 0, 0]]] })));
  const options: [number, number[]] = [60, [0, 1, 4, 0, 0, 0, 0]];
  t.false(passes(links, 1, 2, ip6({ mac: 1, src, payload: RA, extensions: [options, options, options] })));
  t.false(passes(links, 1, 2, ip6({ mac: 1, src, payload: nd(137, LINK_LOCAL(7), [...new Array(16).fill(0)]) })));
  t.is(drops(sw, 1, 'GuardRa'), 4);
  // A first fragment that ends before the upper-layer header, and a chain without end.
  const fragment: [number, number[]] = [44, [0, 0, 1, 0, 0, 0, 1]];
  t.false(passes(links, 1, 2, ip6({ mac: 1, src, payload: new Uint8Array(0), extensions: [fragment, options] })));
  t.false(passes(links, 1, 2, ip6({ mac: 1, src, payload: RA, extensions: new Array(12).fill(options) })));
  t.is(drops(sw, 1, 'GuardFragment'), 2);
  t.true(passes(links, 3, 2, ip6({ mac: 3, src: LINK_LOCAL(3), payload: RA })));
  t.true(passes(links, 1, 2, ip6({ mac: 1, src, payload: nd(133, new Uint8Array(0)) })), 'a router solicitation');
  t.true(passes(links, 1, 2, ip6({ mac: 1, src, protocol: 6, payload: new Uint8Array(20) })));
});

test('neighbor discovery: unsound messages and claims of bound addresses are dropped', (t) => {
  const { sw, links } = guarded({ arp: 'enforce' });
  const mine = LINK_LOCAL(1);
  t.true(passes(links, 1, 2, ip6({ mac: 1, src: NOBODY, payload: nd(135, mine) })), 'duplicate address detection');
  t.like(sw.guard.bindings.list()[0]!, { port: 1, macLo: 1, source: 'nd', a3: 1 });
  t.true(passes(links, 1, 2, ip6({ mac: 1, src: mine, payload: nd(136, mine) })));
  t.false(passes(links, 2, 1, ip6({ mac: 2, src: LINK_LOCAL(2), payload: nd(136, mine) })), 'a claim');
  t.false(passes(links, 2, 1, ip6({ mac: 2, src: mine, payload: nd(135, LINK_LOCAL(9)) })), 'asked in its name');
  t.true(passes(links, 2, 1, ip6({ mac: 2, src: NOBODY, payload: nd(135, mine) })), 'the owner defends it');
  const soundless: Partial<V6>[] = [
    { hop: 64 },
    { badChecksum: true },
    { payload: nd(136, LINK_LOCAL(2), [2, 0, 0, 0, 0, 0, 0, 0]) },
    { payload: nd(136, LINK_LOCAL(2), [2, 2, 0, 0, 0, 0, 0, 0]) },
    { payload: nd(136, LINK_LOCAL(2)).subarray(0, 20) },
    { extensions: [[44, [0, 0, 1, 0, 0, 0, 1]]] },
  ];
  for (const spoilt of soundless) {
    const message = { mac: 2, src: LINK_LOCAL(2), payload: nd(136, LINK_LOCAL(2)), ...spoilt };
    t.false(passes(links, 2, 1, ip6(message)), JSON.stringify(spoilt));
  }
  t.is(drops(sw, 2, 'GuardNd'), 2 + soundless.length);
  t.true(passes(links, 2, 1, ip6({ mac: 2, src: LINK_LOCAL(2), payload: nd(136, LINK_LOCAL(2)) })));
});

test('sources: only what DHCP has given, from the station and port it was given to, for as long as it lasts', (t) => {
  const { sw, clock, links } = guarded({ source: 'enforce' });
  const ping = (mac: number, src: string) => echoFrame({ srcMac: MACS[mac]!, dstMac: ALL_MAC, src, id: 1, seq: 1 });
  t.false(passes(links, 1, 3, ping(1, '10.0.2.15')), 'before');
  t.true(passes(links, 1, 3, udpFrame({ srcMac: MACS[1], dstMac: ALL_MAC, src: '0.0.0.0', sport: 68, dport: 67 })));
  t.false(passes(links, 1, 3, udpFrame({ srcMac: MACS[1], dstMac: ALL_MAC, src: '0.0.0.0', sport: 68, dport: 53 })));
  t.true(passes(links, 3, 1, dhcpReply(1, 0x0a00020f)));
  t.true(passes(links, 1, 3, ping(1, '10.0.2.15')));
  t.true(passes(links, 1, 3, reply(MACS[1], '10.0.2.15')));
  t.false(passes(links, 2, 3, ping(2, '10.0.2.15')), 'another port');
  t.false(passes(links, 1, 3, ping(2, '10.0.2.15')), 'another station');
  t.false(passes(links, 1, 3, ping(1, '10.0.2.16')), 'another address');
  t.false(passes(links, 1, 3, reply(MACS[1], '10.0.2.16')));
  t.true(passes(links, 3, 1, ping(3, '192.0.2.1')), 'trusted ports may use any');
  t.is(drops(sw, 1, 'GuardSource'), 5);
  clock.advance(601_000);
  t.false(passes(links, 1, 3, ping(1, '10.0.2.15')), 'the lease has ended');
});

test('sources: a lease that is given back, and a port that goes down, end the binding', (t) => {
  const { sw, links, endpoints } = guarded({ source: 'enforce' });
  links[0]!.receive(udpFrame({ srcMac: MACS[1], dstMac: ALL_MAC, src: '0.0.0.0', sport: 68, dport: 67 }));
  passes(links, 3, 1, dhcpReply(1, 0x0a00020f));
  t.is(sw.guard.bindings.size, 1);
  const release = dhcp.write({
    ...{ op: dhcp.OP_REQUEST, htype: 1, hops: 0, xid: 1, secs: 0, flags: 0, siaddr: 0, giaddr: 0, yiaddr: 0 },
    ...{ ciaddr: 0x0a00020f, chaddr: Uint8Array.of(2, 0, 0, 0, 0, 1), sname: '', file: '' },
    options: new Map([[dhcp.OPTION_MESSAGE_TYPE, Uint8Array.of(dhcp.RELEASE)]]),
  });
  const from = (mac: number) =>
    udpFrame({
      srcMac: MACS[mac]!,
      dstMac: MACS[3],
      src: '10.0.2.15',
      dst: '10.0.2.2',
      sport: 68,
      dport: 67,
      data: release,
    });
  links[1]!.receive(from(2));
  t.is(sw.guard.bindings.size, 1, 'only its owner gives it back');
  links[0]!.receive(from(1));
  t.is(sw.guard.bindings.size, 0);
  passes(links, 3, 1, dhcpReply(1, 0x0a00020f));
  sw.unplug(endpoints[0]!);
  t.is(sw.guard.bindings.size, 0);
});

test('sources of IPv6: bound by duplicate address detection; :: only where it belongs', (t) => {
  const { links } = guarded({ source: 'enforce' });
  const data = (src: Uint8Array, mac = 1) => ip6({ mac, src, protocol: 17, payload: new Uint8Array(8) });
  t.false(passes(links, 1, 3, data(LINK_LOCAL(1))));
  t.true(passes(links, 1, 3, ip6({ mac: 1, src: NOBODY, payload: nd(135, LINK_LOCAL(1)) })));
  t.true(passes(links, 1, 3, data(LINK_LOCAL(1))));
  t.false(passes(links, 2, 3, data(LINK_LOCAL(1), 2)));
  t.false(passes(links, 1, 3, data(NOBODY)));
  t.true(passes(links, 1, 3, ip6({ mac: 1, src: NOBODY, hop: 1, payload: Uint8Array.of(143, 0, 0, 0, 0, 0, 0, 0) })));
});

test('the binding table is bounded for each port, and DHCP counts more than what was only seen', (t) => {
  const { sw } = guarded({ arp: 'enforce' });
  const { bindings } = sw.guard;
  const owner = (port: number, source: 'nd' | 'dhcp' | 'static' = 'nd') =>
    ({ macHi: 0x0200, macLo: port, port, source, lifetimeSec: 60 }) as const;
  for (let i = 0; i < 100; i++) bindings.bind(0, 1, 2, 3, i, owner(1));
  t.is(bindings.size, MAX_PORT_BINDINGS);
  t.true(bindings.bind(0, 1, 2, 3, 1000, owner(2)), 'another port has its own share');
  t.false(bindings.bind(0, 1, 2, 3, 5, owner(2)), 'another has it');
  t.true(bindings.bind(0, 1, 2, 3, 5, owner(2, 'dhcp')));
  t.false(bindings.bind(0, 1, 2, 3, 5, owner(1, 'dhcp')));
  t.true(bindings.bind(0, 1, 2, 3, 5, owner(1, 'static')));
  t.true(bindings.unbind(0, 1, 2, 3, 5));
  t.false(bindings.unbind(0, 1, 2, 3, 5));
  t.is(bindings.find(7, 1, 2, 3, 6), null, 'another VLAN');
});

test('BPDU guard: no bridge is heard on a port that is not trusted; strict, the port is closed until it is enabled', (t) => {
  const { sw, links } = guarded({ bpdu: 'enforce' });
  sw.setTree('rstp');
  sw.guard.closesPorts = false;
  const better = new Uint8Array(bpdu.RST_FRAME_LEN);
  bpdu.writeRstFrame(better, 0x0200, 1);
  better.set([0x0e, 0, 0, 2, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 9, 0x80, 1, 0, 0, 20, 0, 2, 0, 15, 0], 21);
  links[0]!.receive(better);
  t.true(sw.rstp.view().isRoot);
  t.is(drops(sw, 1, 'GuardBpdu'), 1);
  sw.guard.closesPorts = true;
  const closed: number[] = [];
  sw.observe((e) => void (e.type === 'port-disabled' && closed.push(e.port.number)));
  links[0]!.receive(better, better, frame(1, ALL));
  t.deepEqual(closed, [1]);
  t.is(drops(sw, 1, 'PortDisabled'), 2);
  sw.setTree('off');
  t.false(passes(links, 2, 1, frame(2, ALL)), 'nor does it hear anything');
  t.is(sw.admin.enable(1), null);
  sw.guard.setMode('bpdu', 'off');
  t.true(passes(links, 2, 1, frame(2, ALL)));
  t.true(passes(links, 1, 2, frame(1, ALL)));
});

test('any bytes pass through the guard without an exception', (t) => {
  const { links } = guarded({ arp: 'enforce', dhcp: 'enforce', ra: 'enforce', source: 'enforce', bpdu: 'enforce' });
  let seed = 12345;
  const next = () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) >>> 24;
  for (let i = 0; i < 5000; i++) {
    const bytes = Uint8Array.from({ length: 14 + (next() % 100) }, next);
    bytes[6]! &= 0xfe;
    bytes.set(
      [
        [0x08, 0x06],
        [0x08, 0x00],
        [0x86, 0xdd],
        [0x81, 0x00],
      ][i & 3]!,
      12,
    );
    if (bytes.length > 20) bytes[14] = (i & 3) === 2 ? 0x60 : 0x45;
    links[i % 3]!.receive(bytes);
  }
  t.pass();
});
