import { readFileSync } from 'node:fs';
import test from 'ava';
import { Drop } from '../../src/core/drop.ts';
import * as bpdu from '../../src/wire/bpdu.ts';
import { Bridges } from './bridges.ts';
import { ALL, FakeLink, frame, plugged, setUp } from './support.ts';

const hexOf = (b: Uint8Array): string => Buffer.from(b).toString('hex');

/** Frames of a classic pcap file, little endian. */
function pcap(name: string): Uint8Array[] {
  const b = readFileSync(new URL(`../../fixtures/vde/${name}`, import.meta.url));
  const frames: Uint8Array[] = [];
  for (let o = 24; o + 16 <= b.length; ) {
    const len = b.readUInt32LE(o + 8);
    frames.push(b.subarray(o + 16, o + 16 + len));
    o += 16 + len;
  }
  return frames;
}
const FLAGS = 21;
const isBpdu = (f: Uint8Array): boolean => f[0] === 1 && f[1] === 0x80;
const from = (frames: readonly Uint8Array[], last: number): Uint8Array[] =>
  frames.filter((f) => isBpdu(f) && f[11] === last);
/** All but the flags of topology change and the age, which depend on the moment. */
const steady = (f: Uint8Array): string => {
  const copy = f.slice();
  const tag = copy[12] === 0x81 ? 4 : 0;
  copy[FLAGS + tag]! &= ~bpdu.FLAG_TC;
  copy[44 + tag] = 0;
  return hexOf(copy);
};

// ---- FSTP against what Debian's switches said to each other

test('FSTP: the first words on a cable are those of two Debian switches, byte for byte', (t) => {
  const net = new Bridges('fstp', [0x8000, 0x7000], false);
  const cable = net.cable(0, 1, 1, 1);
  net.pump();
  const recorded = pcap('fstp-link1.pcap');
  // A announces itself, then agrees to B; B announces itself, and answers A's announcement.
  t.deepEqual(cable.sent[0].map(hexOf), from(recorded, 0x0a).slice(0, 2).map(hexOf));
  t.deepEqual(cable.sent[1].map(hexOf), from(recorded, 0x0b).slice(0, 2).map(hexOf));
});

test('FSTP: every BPDU that two Debian switches sent on two cables is sent here, and no other', (t) => {
  const net = new Bridges('fstp', [0x8000, 0x7000], false);
  const first = net.cable(0, 1, 1, 1);
  net.pump();
  net.advance(1);
  for (const sw of [0, 1]) plugged(net.switches[sw]!, new FakeLink('host'), { port: 3 });
  net.pump();
  const second = net.cable(0, 2, 1, 2);
  net.pump();
  net.advance(9);
  first.cut();
  net.pump();
  net.advance(4);
  for (const sw of net.switches) {
    sw.vlans.create(10);
    sw.vlans.addPort(10, 2);
  }
  net.advance(8);
  for (const [cable, name] of [
    [first, 'fstp-link1.pcap'],
    [second, 'fstp-link2.pcap'],
  ] as const) {
    const recorded = pcap(name);
    for (const [i, last] of [0x0a, 0x0b].entries()) {
      const theirs = new Set(from(recorded, last).map(steady));
      const ours = new Set(cable.sent[i]!.filter(isBpdu).map(steady));
      t.deepEqual([...ours].sort(), [...theirs].sort(), `${name}, frames of ${last.toString(16)}`);
    }
  }
});

test('FSTP: events are told in the order of the classic switch (fixture fstp-events)', (t) => {
  const net = new Bridges('fstp', [0x8000, 0x7000], false);
  const told = net.events[0]!;
  told.length = 0;
  const first = net.cable(0, 1, 1, 1);
  net.pump();
  net.cable(0, 2, 1, 2);
  net.pump();
  first.cut();
  net.pump();
  const text = told.flatMap((e) => {
    if (e.type === 'tree+' || e.type === 'tree-') return [`${e.type} ${e.port}`];
    if (e.type === 'tree-root') return [`root ${e.port} ${hexOf(e.root)}`];
    return e.type === 'tree-state' ? [`${e.port} ${e.state}`] : [];
  });
  const [a, b] = ['800000ff0000000a', '700000ff0000000b'];
  t.deepEqual(text, [
    'tree+ 1',
    `root 1 ${b}`,
    '1 learning+forwarding',
    'tree+ 2',
    '2 discarding',
    'tree- 1',
    `root 0 ${a}`,
    '2 learning+forwarding',
    `root 2 ${b}`,
    '2 learning+forwarding',
  ]);
});

/** Sections of fixtures/vde/fstp-ring.txt: what was done to which cable, and the BPDUs of three Debian switches then. */
function recordedRing(): Map<string, string[]> {
  const text = readFileSync(new URL('../../fixtures/vde/fstp-ring.txt', import.meta.url), 'utf8');
  const sections = new Map<string, string[]>();
  let words: string[] = [];
  for (const line of text.split('\n').filter((l) => l !== '' && !l.startsWith('#'))) {
    if (/^\d[<>] /.test(line)) words.push(line);
    else sections.set(line, (words = []));
  }
  return sections;
}

test('FSTP: a ring of three heals without a hello, in no more BPDUs than three Debian switches', (t) => {
  const theirs = recordedRing();
  const net = new Bridges('fstp', [0x8000, 0x8000, 0x8000]);
  const join = (i: number) => net.cable(i, 10 + i, (i + 1) % 3, 10 + i);
  const cables = [0, 1, 2].map(join);
  net.pump();
  t.true(net.isTree);
  const start = net.clock.now();
  for (const i of [0, 1, 2]) {
    for (const what of ['cut', 'join']) {
      if (what === 'cut') cables[i]!.cut();
      else cables[i] = join(i);
      const words = net.pump();
      const recorded = theirs.get(`${what} ${i}`)!.length;
      t.true(words > 0 && words <= recorded, `${what} ${i}: ${words} BPDUs, ${recorded} of theirs`);
      t.true(net.isTree, `${what} ${i}`);
    }
  }
  t.is(net.clock.now(), start);
});

test('FSTP: a root that falls silent is given up after 12 s, a silent neighbor of a blocked port after 32 s', (t) => {
  const net = new Bridges('fstp', [1, 2]);
  const cables = [net.cable(0, 1, 1, 1), net.cable(0, 2, 1, 2)];
  net.pump();
  net.advance(5);
  t.is(net.switches[1]!.fstp.view(0)!.rootPort, 1);
  t.is(net.switches[1]!.fstp.view(0)!.ports[1]!.role, 'Alternate/Backup');
  for (const cable of cables) cable.mute(0);
  net.advance(11);
  t.false(net.switches[1]!.fstp.view(0)!.isRoot);
  net.advance(6);
  t.true(net.switches[1]!.fstp.view(0)!.isRoot);
  net.advance(32);
  t.is(net.switches[1]!.fstp.view(0)!.ports[1]!.role, 'Designated');
});

test('FSTP: edge ports hear and say nothing; a bonus makes the other cable the better one', (t) => {
  const net = new Bridges('fstp', [1, 2]);
  const [one, two] = net.switches as [(typeof net.switches)[0], (typeof net.switches)[0]];
  t.is(one.fstp.setEdge(0, 30, true), null);
  t.is(net.stations[0]!.take().length, 1, 'what was sent when the station joined');
  net.advance(20);
  t.is(net.stations[0]!.sent.length, 0);
  t.is(net.stations[1]!.sent.length, 6);
  two.admin.create(2);
  t.is(two.fstp.setBonus(0, 2, 5000), null);
  net.cable(0, 1, 1, 1);
  net.cable(0, 2, 1, 2);
  net.advance(10);
  t.like(two.fstp.view(0)!, { rootPort: 2, rootCost: 19_995_000, bonusPort: 2, bonusCost: 5000 });
  t.is(two.fstp.view(0)!.ports.find((p) => p.port === 1)!.role, 'Alternate/Backup');
  t.is(one.fstp.view(0)!.ports.find((p) => p.port === 30)!.role, 'Edge');
  t.deepEqual(
    [one.fstp.setEdge(9, 1, true), one.fstp.setEdge(0, 99, true), one.fstp.setBonus(9, 1, 1)],
    ['ENXIO', 'ENXIO', 'ENXIO'],
  );
  t.is(one.fstp.view(9), null);
});

test('FSTP: hostile BPDUs are counted, move nothing they should not, and flush at most once a second', (t) => {
  const { sw, links, clock } = setUp(2);
  sw.setTree('fstp');
  links[1]!.receive(frame(2, ALL));
  const good = new Uint8Array(bpdu.RST_FRAME_LEN);
  bpdu.writeRstFrame(good, 0x0200, 9);
  good[FLAGS] = 0x3c;
  good.fill(0xff, 22, 44);
  for (const [at, value] of [
    [14, 0x43],
    [19, 3],
    [20, 7],
  ] as const) {
    const bad = good.slice();
    bad[at] = value;
    links[0]!.receive(bad);
  }
  links[0]!.receive(good.subarray(0, 40));
  t.is(sw.port(1)!.drops[Drop.BpduMalformed], 4);
  good.fill(0xff, 30, 34); // a cost that does not fit
  links[0]!.receive(good);
  t.is(sw.port(1)!.drops[Drop.BpduMalformed], 5);
  good.fill(0, 30, 34);
  good[FLAGS]! |= bpdu.FLAG_TC;
  links[0]!.receive(good);
  t.is(sw.fdb.size, 0);
  links[1]!.receive(frame(2, ALL));
  for (let i = 0; i < 100; i++) links[0]!.receive(good);
  t.is(sw.fdb.size, 1);
  clock.advance(1000);
  links[0]!.receive(good);
  t.is(sw.fdb.size, 0);
  t.true(sw.fstp.view(0)!.isRoot);
});

test('FSTP: switched off, BPDUs are frames like others, and all ports forward', (t) => {
  const net = new Bridges('fstp', [1, 2]);
  net.cable(0, 1, 1, 1);
  const second = net.cable(0, 2, 1, 2);
  net.pump();
  second.cut();
  net.switches[1]!.setTree('off');
  t.true(net.isTree);
  t.is(net.switches[1]!.port(1)!.screens, 0);
  net.stations[1]!.take();
  net.advance(4);
  t.true(net.stations[1]!.sent.some(isBpdu));
});

// ---- RSTP

test('RSTP: two bridges agree within a hello, without waiting for timers', (t) => {
  const net = new Bridges('rstp', [0x8000, 0x7000]);
  const cable = net.cable(0, 1, 1, 1);
  net.advance(0.1);
  const [a, b] = net.switches.map((sw) => sw.rstp.view());
  t.like(a!, { isRoot: false, rootPort: 1, rootCost: 20_000 });
  t.true(b!.isRoot);
  t.like(a!.ports[0]!, { port: 1, role: 'Root', state: 'Forwarding' });
  t.like(b!.ports[0]!, { port: 1, role: 'Designated', state: 'Forwarding' });
  const flags = cable.sent[1].map((f) => f[FLAGS]! & (bpdu.FLAG_PROPOSAL | bpdu.FLAG_ROLE));
  t.is(flags[0], bpdu.FLAG_PROPOSAL | bpdu.ROLE_DESIGNATED);
  t.true(
    cable.sent[0].some(
      (f) => (f[FLAGS]! & (bpdu.FLAG_AGREEMENT | bpdu.FLAG_ROLE)) === (bpdu.FLAG_AGREEMENT | bpdu.ROLE_ROOT),
    ),
  );
});

test('RSTP: the station of a port forwards after 3 s (edge), at once when it is told so', (t) => {
  const net = new Bridges('rstp', [1]);
  const [sw] = net.switches;
  const port = () => sw!.rstp.view().ports.find((p) => p.port === 30)!;
  t.is(port().state, 'Discarding');
  net.advance(4);
  t.like(port(), { state: 'Forwarding', edge: true, role: 'Designated' });
  sw!.admin.create(5);
  t.is(sw!.rstp.setEdge(5, true), null);
  plugged(sw!, new FakeLink('told'), { port: 5 });
  t.is(sw!.rstp.view().ports.find((p) => p.port === 5)!.state, 'Forwarding');
});

test('RSTP: rings and meshes become trees, and again after each cut, within seconds', (t) => {
  const meshes: [number, number][][] = [
    [
      [0, 1],
      [1, 2],
      [2, 0],
    ],
    [
      [0, 1],
      [1, 2],
      [2, 3],
      [3, 0],
      [0, 2],
      [1, 3],
    ],
    [
      [0, 1],
      [0, 1],
      [0, 1],
    ],
  ];
  for (const mesh of meshes) {
    const count = 1 + Math.max(...mesh.flat());
    const net = new Bridges(
      'rstp',
      Array.from({ length: count }, (_, i) => 0x1000 * (1 + ((i * 3 + 1) % 5))),
    );
    const cables = mesh.map(([a, b], i) => net.cable(a, 10 + i, b, 10 + i));
    const first = net.secondsToTree(10);
    t.true(first <= 5, `${first} s until the edge ports forward`);
    const root = net.switches.filter((sw) => sw.rstp.view().isRoot);
    t.is(root.length, 1);
    for (const cable of cables.slice(0, mesh.length - count + 1)) {
      cable.cut();
      const again = net.secondsToTree(10);
      t.true(again < 3, `${again} s after a cut`);
    }
  }
});

test('RSTP: a bridge that falls silent is given up after three hellos', (t) => {
  const net = new Bridges('rstp', [1, 2, 3]);
  net.cable(0, 10, 1, 10);
  net.cable(1, 11, 2, 11);
  net.cable(2, 12, 0, 12);
  net.secondsToTree(10);
  t.is(net.switches[2]!.rstp.view().rootPort, 12);
  net.switches[0]!.setTree('off'); // BPDUs are now flooded by it as frames, but none of its own comes
  net.advance(8);
  t.is(net.switches.slice(1).filter((sw) => sw.rstp.view().isRoot).length, 1);
});

test('RSTP: a cable from a switch to itself is blocked', (t) => {
  const net = new Bridges('rstp', [1, 2]);
  net.cable(0, 1, 1, 1);
  net.cable(0, 5, 0, 6);
  net.secondsToTree(10);
  net.advance(5);
  t.true(net.isTree);
  t.is(net.switches[0]!.rstp.view().ports.find((p) => p.port === 6)!.role, 'Backup');
});

test('RSTP: cost and priority choose the root port', (t) => {
  const net = new Bridges('rstp', [1, 2]);
  const [root, leaf] = net.switches as [(typeof net.switches)[0], (typeof net.switches)[0]];
  net.cable(0, 1, 1, 1);
  net.cable(0, 2, 1, 2);
  net.advance(4);
  t.is(leaf.rstp.view().rootPort, 1);
  t.is(leaf.rstp.setCost(1, 30_000), null);
  net.advance(4);
  t.like(leaf.rstp.view(), { rootPort: 2, rootCost: 20_000 });
  t.is(leaf.rstp.setCost(1, 20_000), null);
  net.advance(4);
  t.is(leaf.rstp.view().rootPort, 1);
  t.is(root.rstp.setPriority(2, 16), null);
  net.advance(4);
  t.is(leaf.rstp.view().rootPort, 2);
  t.true(net.isTree);
  t.deepEqual(
    [leaf.rstp.setCost(1, 0), leaf.rstp.setPriority(1, 17), leaf.rstp.setEdge(29, true)],
    ['EINVAL', 'EINVAL', 'ENXIO'],
  );
});

test('RSTP: a bridge of 802.1D-1998 is spoken to in its own words', (t) => {
  const { sw, links, clock } = setUp(1);
  sw.setTree('rstp');
  const config = new Uint8Array(12 + bpdu.LLC_LEN + bpdu.CONFIG_LEN);
  bpdu.writeFrame(config, 0x0200, 9, 0, bpdu.TYPE_CONFIG);
  config.set([0xf0, 0, 2, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0xf0, 0, 2, 0, 0, 0, 0, 9, 0x80, 1, 0, 0, 20, 0, 2, 0, 15, 0], 22);
  clock.advance(3500);
  links[0]!.sent.length = 0;
  links[0]!.receive(config);
  clock.advance(2000);
  const said = links[0]!.sent.filter(isBpdu);
  t.true(said.length > 0);
  t.deepEqual([said.at(-1)![19], said.at(-1)![20], said.at(-1)!.length], [0, bpdu.TYPE_CONFIG, 52]);
  const rst = new Uint8Array(bpdu.RST_FRAME_LEN);
  bpdu.writeRstFrame(rst, 0x0200, 9);
  rst.set(config.subarray(22), 22);
  rst[FLAGS] = bpdu.ROLE_DESIGNATED;
  clock.advance(3000);
  links[0]!.receive(rst);
  clock.advance(2000);
  t.is(links[0]!.sent.filter(isBpdu).at(-1)![20], bpdu.TYPE_RST);
});

test('RSTP: nonsense is counted and ignored; no more than 6 BPDUs a second are sent', (t) => {
  const { sw, links, clock } = setUp(2);
  sw.setTree('rstp');
  const rst = new Uint8Array(bpdu.RST_FRAME_LEN);
  bpdu.writeRstFrame(rst, 0x0200, 9);
  rst.set([0x0e, 0, 0, 2, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 9, 0x80, 1, 0, 0, 20, 0, 2, 0, 15, 0], 21);
  for (const [at, value] of [
    [46, 5],
    [46, 41],
    [50, 3],
    [50, 31],
    [44, 20],
    [48, 11],
    [20, 9],
  ] as const) {
    const bad = rst.slice();
    bad[at] = value;
    links[0]!.receive(bad);
  }
  t.is(sw.port(1)!.drops[Drop.BpduMalformed], 7);
  t.true(sw.rstp.view().isRoot);
  clock.advance(1000);
  links[0]!.sent.length = 0;
  for (let i = 0; i < 200; i++) links[0]!.receive(Object.assign(rst.slice(), { 29: i }));
  t.true(links[0]!.sent.length <= 6, `${links[0]!.sent.length}`);
  t.false(sw.rstp.view().isRoot);
  const tagged = Uint8Array.of(...rst.subarray(0, 12), 0x81, 0, 0, 0, ...rst.subarray(12));
  links[0]!.receive(tagged);
  t.is(sw.port(1)!.drops[Drop.BpduMalformed], 8);
});

test('RSTP: topology changes flush a port at most once a second, and the last one counts', (t) => {
  const net = new Bridges('rstp', [1, 2, 3]);
  const cable = net.cable(0, 10, 1, 10);
  net.cable(1, 11, 2, 11);
  net.secondsToTree(10);
  net.advance(5);
  const change = cable.sent[0].filter(isBpdu).at(-1)!.slice();
  change[FLAGS]! |= bpdu.FLAG_TC;
  const tell = (): void => {
    cable.ends[0].tx.frame(change, 0, change.length);
    cable.ends[0].tx.flush();
    net.pump();
  };
  const known = (): boolean => {
    net.broadcast(2);
    return net.switches[1]!.portOf(0x0200, 3) === 11;
  };
  t.true(known());
  tell();
  t.is(net.switches[1]!.portOf(0x0200, 3), -1, 'forgotten');
  t.true(known());
  for (let i = 0; i < 100; i++) tell();
  t.is(net.switches[1]!.portOf(0x0200, 3), 11, 'not twice within a second');
  net.advance(2);
  t.is(net.switches[1]!.portOf(0x0200, 3), -1, 'and the last one was not forgotten');
});

test('RSTP: a port that is a trunk only takes part, and its state holds for all its VLANs', (t) => {
  const net = new Bridges('rstp', [1, 2], false);
  for (const sw of net.switches) {
    sw.vlans.create(10);
    sw.vlans.create(20);
    for (const port of [1, 2]) {
      sw.admin.create(port);
      sw.admin.setVlan(port, 4095);
      sw.vlans.addPort(10, port);
      sw.vlans.addPort(20, port);
    }
  }
  net.cable(0, 1, 1, 1);
  net.cable(0, 2, 1, 2);
  net.advance(5);
  const states = (vlan: number) =>
    net.switches[1]!.vlans.views()
      .find((v) => v.vlan === vlan)!
      .ports.map((p) => p.state);
  t.deepEqual(
    [states(10), states(20)],
    [
      ['Forwarding', 'Discarding'],
      ['Forwarding', 'Discarding'],
    ],
  );
  net.switches[1]!.setTree('off');
  t.deepEqual(states(10), ['Forwarding', 'Forwarding']);
});
