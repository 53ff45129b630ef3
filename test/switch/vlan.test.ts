import test from 'ava';
import { Drop } from '../../src/core/drop.ts';
import { FrameMemory, type FrameSink } from '../../src/core/frame.ts';
import type { Switch } from '../../src/switch/switch.ts';
import { NO_VLAN } from '../../src/switch/vlan-table.ts';
import { ALL, FakeLink, frame, plugged, setUp } from './support.ts';

/** A frame between stations with a tag: VLAN and priority. */
function tagged(src: number, dst: number, vlan: number, number = 0, priority = 0): Uint8Array {
  const plain = frame(src, dst, number);
  return Uint8Array.of(
    ...plain.subarray(0, 12),
    ...[0x81, 0x00, (priority << 5) | (vlan >> 8), vlan & 255],
    ...plain.subarray(12),
  );
}

/** What left a link: number, then VLAN and priority when there is a tag: `7`, `7@10`, `7@10p3`. */
function take(link: FakeLink): string[] {
  return link.sent.splice(0).map((f) => {
    if (f[12] !== 0x81 || f[13] !== 0) return `${f[14]}`;
    const tci = (f[14]! << 8) | f[15]!;
    return `${f[18]}@${tci & 0xfff}${tci >> 13 ? `p${tci >> 13}` : ''}`;
  });
}
const takeAll = (links: FakeLink[]) => links.map(take);

/** Ports 1 and 2 untagged in VLAN 10, 3 a trunk of VLANs 0 (untagged) and 10, 4 as every new port. */
function office(sw: Switch): void {
  sw.vlans.create(10);
  sw.admin.setVlan(1, 10);
  sw.admin.setVlan(2, 10);
  sw.vlans.addPort(10, 3);
}

for (const memory of [null, new FrameMemory()]) {
  const where = memory === null ? 'without shared memory' : 'in shared memory';

  test(`untagged and tagged members get a flood in their own form, ${where}`, (t) => {
    const { sw, links } = setUp(4, memory === null ? {} : { memory });
    office(sw);
    links[0]!.receive(frame(1, ALL, 7));
    t.deepEqual(takeAll(links), [[], ['7'], ['7@10'], []]);
    links[2]!.receive(tagged(3, ALL, 10, 8, 5));
    t.deepEqual(takeAll(links), [['8'], ['8'], [], []]);
    links[2]!.receive(frame(4, ALL, 9));
    t.deepEqual(takeAll(links), [[], [], [], ['9']]);
  });

  test(`a known station gets its frames in the form of its port, ${where}`, (t) => {
    const { sw, links } = setUp(4, memory === null ? {} : { memory });
    office(sw);
    links[0]!.receive(frame(1, ALL));
    links[2]!.receive(tagged(3, ALL, 10));
    takeAll(links);
    links[0]!.receive(frame(1, 3, 1), frame(1, 3, 2));
    links[2]!.receive(tagged(3, 1, 10, 3, 6));
    t.deepEqual(takeAll(links), [['3'], [], ['1@10', '2@10'], []]);
    t.is(sw.port(3)!.counters.txBytes, 3 * 64, 'the flood and two frames, each 4 bytes longer');
  });

  test(`between trunks a frame passes as it is, priority and all, ${where}`, (t) => {
    const { sw, links } = setUp(4, memory === null ? {} : { memory });
    office(sw);
    sw.vlans.addPort(10, 4);
    links[2]!.receive(tagged(3, ALL, 10, 8, 5));
    t.deepEqual(takeAll(links), [['8'], ['8'], [], ['8@10p5']]);
  });
}

/** A link that keeps offsets into the shared memory until its flush, as sockets do, and copies anything else. */
class OffsetLink extends FakeLink {
  private readonly held: (() => Uint8Array)[] = [];
  override readonly tx: FrameSink;

  constructor(name: string, memory: FrameMemory) {
    super(name);
    this.tx = {
      frame: (b, off, len) => {
        const copy = b.slice(off, off + len);
        this.held.push(b === memory.bytes ? () => b.slice(off, off + len) : () => copy);
      },
      flush: () => {
        for (const bytes of this.held.splice(0)) this.sent.push(bytes());
      },
    };
  }
}

test('all frames of a wake-up are retagged, also when the arena is used up; the next wake-up has all of it again', (t) => {
  const memory = new FrameMemory(1200 << 10);
  const { sw } = setUp(0, { memory });
  const make = (i: number) => new OffsetLink(`link ${i}`, memory);
  const links = [make(1), make(2), make(3)] as const;
  for (const link of links) plugged(sw, link);
  office(sw);
  const many = Array.from({ length: 700 }, (_, i) => frame(1, ALL, i & 127, 1500));
  for (let round = 0; round < 2; round++) {
    links[0].receive(...many);
    t.deepEqual(
      take(links[2]),
      many.map((_, i) => `${i & 127}@10`),
    );
    t.is(take(links[1]).length, 700);
  }
});

test('the same MAC address in two VLANs is two stations', (t) => {
  const { sw, links } = setUp(4);
  office(sw);
  links[0]!.receive(frame(1, ALL));
  links[3]!.receive(frame(1, ALL));
  takeAll(links);
  links[1]!.receive(frame(2, 1, 5));
  links[2]!.receive(frame(3, 1, 6));
  t.deepEqual(takeAll(links), [['5'], [], [], ['6']]);
  t.is(sw.hash.find(10, 0x0200, 1)!.port, 1);
  t.is(sw.hash.find(0, 0x0200, 1)!.port, 4);
});

const drops = (sw: Switch, port: number, reason: keyof typeof Drop) => sw.port(port)!.drops[Drop[reason]!];

test('a default port drops tagged frames, as the classic switch does; its own VLAN id and priority tags pass', (t) => {
  const { sw, links } = setUp(2);
  links[0]!.receive(tagged(1, ALL, 5, 1), tagged(1, ALL, 0, 2, 7));
  t.deepEqual(takeAll(links), [[], ['2']]);
  t.is(drops(sw, 1, 'VlanNotMember'), 1);
});

test('a priority tag is no VLAN on a port outside VLAN 0: the frame belongs to the untagged one', (t) => {
  const { sw, links } = setUp(4);
  office(sw);
  links[0]!.receive(tagged(1, ALL, 0, 2, 6));
  t.deepEqual(takeAll(links), [[], ['2'], ['2@10p6'], []]);
});

test('a tag that is cut short, two tags, and frames for no VLAN are dropped by their reasons', (t) => {
  const { sw, links } = setUp(3);
  sw.admin.setVlan(3, NO_VLAN);
  const double = Uint8Array.of(...tagged(1, ALL, 0).subarray(0, 16), ...tagged(1, ALL, 10).subarray(12));
  links[0]!.receive(tagged(1, ALL, 0).subarray(0, 17), double);
  links[2]!.receive(frame(3, ALL));
  t.deepEqual(takeAll(links), [[], [], []]);
  t.is(drops(sw, 1, 'VlanTagTruncated'), 1);
  t.is(drops(sw, 1, 'VlanDoubleTag'), 1);
  t.is(drops(sw, 3, 'VlanNoNative'), 1);
});

test('transparent: tagged frames pass between default ports as they are, and are learned there', (t) => {
  const { sw, links } = setUp(3);
  sw.admin.setTransparent(-1, true);
  links[0]!.receive(tagged(1, ALL, 5, 1, 3));
  t.deepEqual(takeAll(links), [[], ['1@5p3'], ['1@5p3']]);
  links[1]!.receive(tagged(2, 1, 5, 2));
  t.deepEqual(takeAll(links), [['2@5'], [], []]);
  const late = new FakeLink('late');
  plugged(sw, late);
  links[0]!.receive(tagged(1, ALL, 6, 3));
  t.deepEqual(take(late), ['3@6']);
  sw.admin.setTransparent(1, false);
  takeAll(links);
  links[0]!.receive(tagged(1, ALL, 5, 1));
  t.deepEqual(takeAll(links), [[], [], []]);
});

test('transparent: a tag the switch knows does not get out by a trunk, where it would be another VLAN', (t) => {
  const { sw, links } = setUp(4);
  office(sw);
  sw.admin.setTransparent(4, true);
  links[3]!.receive(tagged(4, ALL, 10, 1));
  t.deepEqual(takeAll(links), [[], [], [], []]);
  t.is(drops(sw, 3, 'VlanHidden'), 1);
  links[2]!.receive(frame(3, ALL));
  takeAll(links);
  links[3]!.receive(tagged(4, 3, 10, 1));
  t.deepEqual(takeAll(links), [[], [], [], []]);
});

test('transparent inside a tunnel: the outer tag is ours, the inner one passes', (t) => {
  const { sw, links } = setUp(3);
  sw.vlans.create(20);
  sw.admin.setVlan(1, 20);
  sw.vlans.addPort(20, 3);
  sw.admin.setTransparent(-1, true);
  links[0]!.receive(tagged(1, ALL, 5, 1));
  const [out] = links[2]!.sent;
  t.deepEqual([...out!.subarray(12, 22)], [0x81, 0, 0, 20, 0x81, 0, 0, 5, 0x88, 0xb5]);
  takeAll(links);
  links[2]!.receive(Uint8Array.of(...out!.subarray(0, 6), 2, 0, 0, 0, 0, 3, ...out!.subarray(12)));
  t.deepEqual(take(links[0]!), ['1@5']);
});

// ---- administration

test('VLANs: created, filled, emptied and removed with the answers of the classic switch', (t) => {
  const { sw } = setUp(3);
  const { vlans, admin } = sw;
  t.deepEqual(
    [
      vlans.create(10),
      vlans.create(10),
      vlans.create(0),
      vlans.create(4093),
      vlans.create(4094),
      vlans.create(Number.NaN),
    ],
    [null, 'EEXIST', 'EINVAL', null, 'EINVAL', 'EINVAL'],
  );
  t.deepEqual(
    [vlans.addPort(10, 1), vlans.addPort(10, 30), vlans.addPort(11, 1), vlans.addPort(10, 1)],
    [null, 'ENXIO', 'ENXIO', null],
  );
  t.deepEqual(
    [admin.setVlan(2, 10), admin.setVlan(2, 11), admin.setVlan(30, 10), admin.setVlan(2, 5000)],
    [null, 'ENXIO', 'ENXIO', 'EINVAL'],
  );
  t.deepEqual(
    vlans.views().map(({ vlan, ports }) => [vlan, ports.map((p) => `${p.port}${p.tagged ? 't' : 'u'}${p.state[0]}`)]),
    [
      [0, ['1uF', '3uF']],
      [10, ['1tF', '2uF']],
      [4093, []],
    ],
  );
  t.deepEqual([vlans.delPort(10, 2), vlans.delPort(10, 1), vlans.delPort(10, 1)], ['EADDRINUSE', null, null]);
  t.is(vlans.remove(10), 'EADDRINUSE');
  t.is(admin.setVlan(2, NO_VLAN), null);
  t.deepEqual(
    [vlans.remove(10), vlans.remove(10), vlans.remove(0), vlans.remove(9999)],
    [null, 'ENXIO', 'EADDRINUSE', 'EINVAL'],
  );
  admin.create(7);
  t.like(vlans.views()[0]!.ports.at(-1), { port: 7, active: false, state: 'Learning' });
});

test('a tagged membership becomes the untagged one, and stations of a VLAN that a port leaves are forgotten', (t) => {
  const { sw, links } = setUp(2);
  sw.vlans.create(10);
  sw.vlans.addPort(10, 1);
  sw.vlans.addPort(10, 2);
  links[0]!.receive(tagged(1, ALL, 10), frame(1, ALL));
  t.is(sw.fdb.countOf(1), 2);
  sw.admin.setVlan(1, 10);
  t.is(sw.port(1)!.trunked, 0);
  t.is(sw.fdb.countOf(1), 0, 'both memberships have changed');
  links[1]!.receive(tagged(2, ALL, 10, 4));
  t.deepEqual(take(links[0]!), ['4']);
});

test('a protected address goes with its port to another VLAN', (t) => {
  const { sw, endpoints } = setUp(2);
  sw.vlans.create(10);
  t.true(sw.protect(endpoints[0]!, 0x0200, 1));
  sw.admin.setVlan(1, 10);
  t.is(sw.hash.find(0, 0x0200, 1), null);
  t.like(sw.hash.find(10, 0x0200, 1), { port: 1, static: true });
  sw.hash.setSize(1024);
  t.like(sw.hash.find(10, 0x0200, 1), { port: 1, static: true });
});
