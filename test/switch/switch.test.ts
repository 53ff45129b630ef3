import test from 'ava';
import { Drop } from '../../src/core/drop.ts';
import { FrameArena, FrameMemory, type FrameSink, type Link } from '../../src/core/frame.ts';
import { memoryPair } from '../../src/link/memory.ts';
import { portAllocator } from '../../src/switch/attach.ts';
import { ALL, FakeLink, frame, plugged, setUp } from './support.ts';

test('an unknown destination is flooded to all ports but the one it came from', (t) => {
  const { links } = setUp(4);
  links[1]!.receive(frame(1, 9, 7));
  t.deepEqual(
    links.map((l) => l.take()),
    [[7], [], [7], [7]],
  );
});

test('a station that was heard gets its frames alone', (t) => {
  const { links } = setUp(3);
  links[0]!.receive(frame(1, ALL));
  for (const l of links) l.take();
  links[2]!.receive(frame(3, 1, 7));
  t.deepEqual(
    links.map((l) => l.take()),
    [[7], [], []],
  );
});

test('broadcast and multicast are flooded, even when a station claimed the address', (t) => {
  const { links } = setUp(3);
  const multicast = frame(1, 1, 8);
  multicast[0] = 0x33;
  links[0]!.receive(frame(1, ALL, 7), multicast);
  t.deepEqual(
    links.map((l) => l.take()),
    [[], [7, 8], [7, 8]],
  );
});

test('frames whose source is multicast, broadcast or zero, and frames without header, are dropped and not learned', (t) => {
  const { sw, links, endpoints } = setUp(2);
  const group = frame(1, 2);
  group[6] = 0x03;
  const broadcast = frame(1, 2).fill(0xff, 6, 12);
  const zero = frame(1, 2).fill(0, 6, 12);
  links[0]!.receive(group, broadcast, zero, frame(1, 2).subarray(0, 13));
  t.deepEqual(links[1]!.take(), []);
  t.is(endpoints[0]!.port.drops[Drop.EthBadSource], 3);
  t.is(endpoints[0]!.port.drops[Drop.FrameTooShort], 1);
  t.is(endpoints[0]!.port.counters.rxFrames, 0);
  t.is(sw.fdb.size, 0);
});

test('a frame for a station on the port it came from goes nowhere', (t) => {
  const { links, endpoints } = setUp(2);
  links[0]!.receive(frame(1, ALL), frame(2, ALL));
  links[1]!.take();
  links[0]!.receive(frame(1, 2));
  t.deepEqual(links[1]!.take(), []);
  t.is(endpoints[0]!.port.drops[Drop.SwitchSamePort], 1);
});

test('a station that was silent for the age limit is flooded to again, and the sweep removes it', (t) => {
  const { sw, clock, links } = setUp(3, { fdb: { ageSec: 300 } });
  links[0]!.receive(frame(1, ALL));
  for (const l of links) l.take();
  clock.advance(300_000);
  links[1]!.receive(frame(2, 1, 7));
  t.deepEqual(
    links.map((l) => l.take()),
    [[7], [], []],
  );
  clock.advance(200);
  links[1]!.receive(frame(2, 1, 8));
  t.deepEqual(
    links.map((l) => l.take()),
    [[8], [], [8]],
  );
  t.is(sw.fdb.size, 1);
  clock.advance(300_000 * 1.3);
  t.is(sw.fdb.size, 0);
  t.is(clock.next, Number.POSITIVE_INFINITY, 'an empty table needs no timer');
});

test('a shorter age takes effect at once', (t) => {
  const { sw, clock, links } = setUp(2);
  links[0]!.receive(frame(1, ALL));
  sw.hash.setAge(10);
  clock.advance(14_000);
  t.is(sw.fdb.size, 0);
});

test('a station moves to another port only after 3 s of silence', (t) => {
  const { clock, links, endpoints } = setUp(3);
  links[0]!.receive(frame(1, ALL));
  clock.advance(3000);
  links[1]!.receive(frame(1, ALL));
  for (const l of links) l.take();
  links[2]!.receive(frame(3, 1, 7));
  t.deepEqual(
    links.map((l) => l.take()),
    [[7], [], []],
  );
  t.is(endpoints[1]!.port.counters.movesHeld, 1);
  clock.advance(200);
  links[1]!.receive(frame(1, ALL));
  for (const l of links) l.take();
  links[2]!.receive(frame(3, 1, 8));
  t.deepEqual(
    links.map((l) => l.take()),
    [[], [8], []],
  );
  t.is(endpoints[1]!.port.counters.moves, 1);
});

test('a protected address stays where it is', (t) => {
  const { sw, clock, links, endpoints } = setUp(3);
  t.true(sw.protect(endpoints[0]!, 0x0200, 1));
  clock.advance(1_000_000);
  links[1]!.receive(frame(1, ALL));
  for (const l of links) l.take();
  links[2]!.receive(frame(3, 1, 7));
  t.deepEqual(
    links.map((l) => l.take()),
    [[7], [], []],
  );
  t.is(endpoints[1]!.port.counters.movesHeld, 1);
  t.deepEqual([...sw.stations()].map((s) => [s.macLo, s.port, s.static]).sort(), [
    [1, 1, true],
    [3, 3, false],
  ]);
});

test('a flood of source addresses fills the share of its port only; known stations keep their frames', (t) => {
  const { sw, links, endpoints } = setUp(3, { fdb: { maxEntries: 100, portShare: 50 } });
  links[0]!.receive(frame(1, ALL));
  const flood = Array.from({ length: 200 }, (_, i) => {
    const bytes = frame(0, ALL, 0);
    bytes[9] = 1;
    bytes[11] = i;
    return bytes;
  });
  links[1]!.receive(...flood);
  t.is(sw.fdb.size, 51);
  t.is(endpoints[1]!.port.drops[Drop.FdbFull], 150);
  for (const l of links) l.take();
  links[2]!.receive(frame(3, 1, 7));
  t.deepEqual(
    links.map((l) => l.take()),
    [[7], [], []],
  );
});

test('counters: what came in, what went out, once for each port', (t) => {
  const { links, endpoints } = setUp(3);
  links[0]!.receive(frame(1, ALL, 0, 100), frame(1, ALL, 0, 60));
  t.like(endpoints[0]!.port.counters, { rxFrames: 2, rxBytes: 160, txFrames: 0, txBytes: 0 });
  t.like(endpoints[1]!.port.counters, { rxFrames: 0, txFrames: 2, txBytes: 160 });
  endpoints[1]!.port.resetCounters();
  t.like(endpoints[1]!.port.counters, { txFrames: 0, txBytes: 0 });
});

// ---- ports

test('ports are given from 1 up; a port that was left is given again and starts without stations', (t) => {
  const { sw, links, endpoints } = setUp(3, { numPorts: 4 });
  t.deepEqual(
    endpoints.map((e) => e.port.number),
    [1, 2, 3],
  );
  t.is(sw.plug(new FakeLink('x')), 'no free port');
  links[1]!.receive(frame(2, ALL));
  sw.unplug(endpoints[1]!);
  sw.unplug(endpoints[1]!);
  t.is(sw.fdb.size, 0);
  t.false(sw.port(2)!.active);
  links[1]!.receive(frame(2, ALL));
  t.is(sw.fdb.size, 0, 'what an unplugged link still brings goes nowhere');
  const again = plugged(sw, new FakeLink('y'));
  t.is(again.port, sw.port(2)!, 'the port keeps its counters');
});

test('a port by number; 0 is the management port; beyond the last there is none', (t) => {
  const { sw } = setUp(0, { numPorts: 4 });
  t.is(plugged(sw, new FakeLink('a'), { port: 3 }).port.number, 3);
  t.is(plugged(sw, new FakeLink('b'), { port: 0 }).port.number, 0);
  t.is(sw.plug(new FakeLink('c'), { port: 4 }), 'no such port');
  sw.port(3)!.allocatable = false;
  t.deepEqual(
    [1, 2].map(() => plugged(sw, new FakeLink('d')).port.number),
    [1, 2],
  );
  t.deepEqual(
    sw.ports().map((p) => p.number),
    [0, 1, 2, 3],
  );
});

test('a port that is not allocatable is given to who asks for it', (t) => {
  const { sw } = setUp(1, { numPorts: 3 });
  sw.unplug(sw.port(1)!.endpoints[0]!);
  sw.port(1)!.allocatable = false;
  t.is(plugged(sw, new FakeLink('a')).port.number, 2);
  t.is(plugged(sw, new FakeLink('b'), { port: 1 }).port.number, 1);
});

test('endpoints of one port all get its frames, do not hear each other, and belong to one user', (t) => {
  const { sw, links } = setUp(1);
  const [a, b, c] = ['a', 'b', 'c'].map((name) => new FakeLink(name)) as [FakeLink, FakeLink, FakeLink];
  const first = plugged(sw, a, { port: 7, uid: 1000 });
  plugged(sw, b, { port: 7, uid: 1000 });
  t.is(sw.plug(c, { port: 7, uid: 1001 }), 'port belongs to another user');
  a.receive(frame(2, ALL, 1));
  t.deepEqual([links[0]!.take(), a.take(), b.take()], [[1], [], []]);
  links[0]!.receive(frame(1, 2, 2));
  t.deepEqual([a.take(), b.take()], [[2], [2]]);
  t.is(first.port.counters.txFrames, 1);
  sw.unplug(first);
  t.true(sw.port(7)!.active);
  t.is(sw.fdb.countOf(7), 1, 'stations stay while the port is active');
});

test('a switch has 2 to 65536 ports', (t) => {
  t.throws(() => setUp(0, { numPorts: 1 }), { instanceOf: RangeError });
  t.throws(() => setUp(0, { numPorts: 65_537 }), { instanceOf: RangeError });
  t.is(setUp(0, { numPorts: 65_536 }).sw.numPorts, 65_536);
});

test('an allocator plugs what a control server offers, and unplugs it when it goes down', async (t) => {
  const { sw } = setUp(0, { numPorts: 3 });
  const allocate = portAllocator(sw);
  const request = (requestedPort: number, uid: number, description: string) =>
    Object.assign(new FakeLink(description), { requestedPort, uid, description });
  const first = request(-1, 5, 'first');
  t.is(allocate(first), 1);
  t.like(sw.port(1)!, { uid: 5 });
  t.is(sw.port(1)!.endpoints[0]!.description, 'first');
  t.is(allocate(request(9, 5, 'second')), 'no such port');
  await first.close();
  t.false(sw.port(1)!.active);
});

// ---- flushing

test('a wake-up flushes each link that got frames once, and no other', (t) => {
  const { links } = setUp(3);
  links[0]!.receive(frame(1, ALL));
  links[1]!.receive(frame(2, 1, 1), frame(2, 1, 2), frame(2, 1, 3));
  t.deepEqual(
    links.map((l) => l.flushes),
    [1, 1, 1],
  );
});

/** A station on a direct link: answers each frame at once, and sends more when it is flushed. */
class Station {
  readonly frames: number[] = [];
  flushes = 0;
  /** Frames to send at the next flush. */
  later: Uint8Array[] = [];
  answer: ((number: number) => Uint8Array | null) | null = null;
  private readonly link: Link;
  private readonly arena: FrameArena;
  private depth = 0;
  deepest = 0;

  constructor(link: Link, memory: FrameMemory) {
    this.link = link;
    this.arena = new FrameArena(memory, 16_384);
    link.attach(this.sink);
  }

  private readonly sink: FrameSink = {
    frame: (b, off) => {
      this.frames.push(b[off + 14]!);
      const answer = this.answer?.(b[off + 14]!) ?? null;
      if (answer !== null) this.send(answer);
    },
    flush: () => {
      this.deepest = Math.max(this.deepest, ++this.depth);
      this.flushes++;
      for (const bytes of this.later.splice(0)) this.send(bytes);
      this.link.tx.flush();
      this.arena.reset();
      this.depth--;
    },
  };

  private send(bytes: Uint8Array): void {
    const off = this.arena.alloc(bytes.length);
    this.arena.bytes.set(bytes, off);
    this.link.tx.frame(this.arena.bytes, off, bytes.length);
  }
}

/** A link that keeps offsets until its flush, as sockets do: it shows when memory was used again too early. */
class LazyLink extends FakeLink {
  private readonly offsets: [Uint8Array, number, number][] = [];
  override readonly tx: FrameSink = {
    frame: (b, off, len) => void this.offsets.push([b, off, len]),
    flush: () => {
      this.flushes++;
      for (const [b, off, len] of this.offsets.splice(0)) this.sent.push(b.slice(off, off + len));
    },
  };
}

function withStation(guests = 2) {
  const { sw } = setUp();
  const memory = new FrameMemory(2 << 20);
  const [inside, outside] = memoryPair('router', { delivery: 'direct' });
  const station = new Station(inside, memory);
  const endpoint = plugged(sw, outside);
  const links = Array.from({ length: guests }, (_, i) => new LazyLink(`guest ${i}`));
  for (const link of links) plugged(sw, link);
  sw.protect(endpoint, 0x0200, 200);
  return { sw, station, links };
}

test('a station that answers inside frame(): its answers leave in the same wake-up', (t) => {
  const { station, links } = withStation();
  links[0]!.receive(frame(1, ALL));
  for (const l of links) l.take();
  station.answer = (number) => frame(200, 1, number + 100);
  links[0]!.receive(frame(1, 200, 1), frame(1, 200, 2));
  t.deepEqual(station.frames, [0, 1, 2]);
  t.deepEqual(links[0]!.take(), [101, 102]);
  t.deepEqual(links[1]!.take(), []);
});

test('a station that sends inside flush(): nothing is lost, and its memory is free when its flush returns', (t) => {
  const { station, links } = withStation();
  links[0]!.receive(frame(1, ALL));
  links[1]!.receive(frame(2, ALL));
  for (const l of links) l.take();
  station.later = [frame(200, 1, 11), frame(200, 2, 12), frame(200, ALL, 13)];
  links[0]!.receive(frame(1, 200, 1), frame(1, 2, 2));
  t.deepEqual(links[0]!.take(), [11, 13]);
  t.deepEqual(links[1]!.take(), [2, 12, 13]);
  t.is(station.deepest, 1);
});

test('a station that sends of its own accord flushes the switch', (t) => {
  const { station, links } = withStation();
  station.later = [frame(200, ALL, 5)];
  (station as unknown as { sink: FrameSink }).sink.flush();
  t.deepEqual(
    links.map((l) => l.take()),
    [[5], [5]],
  );
});

test('a station that answers inside frame() does not spoil the tagged frame that others are still to get', (t) => {
  const memory = new FrameMemory(4 << 20);
  const { sw } = setUp(0, { memory });
  const [inside, outside] = memoryPair('router', { delivery: 'direct' });
  const station = new Station(inside, memory);
  plugged(sw, outside);
  const links = [new LazyLink('trunk'), new LazyLink('guest')];
  for (const link of links) plugged(sw, link);
  sw.vlans.create(10);
  for (const port of [1, 2]) {
    sw.admin.setVlan(port, 4095);
    sw.vlans.addPort(10, port);
  }
  sw.admin.setVlan(3, 10);
  // The station, a tagged member that hears the flood first, answers by a frame that is retagged too, and flushes.
  station.answer = () => Uint8Array.of(...frame(200, ALL).subarray(0, 12), 0x81, 0, 0, 10, 0x88, 0xb5, 99);
  links[1]!.receive(frame(1, ALL, 5));
  t.deepEqual(
    links[0]!.sent.map((f) => [f[15], f[18]]),
    [
      [10, 99],
      [10, 5],
    ],
  );
});

test('two stations that talk to each other inside flush(): each flush is run, none inside itself', (t) => {
  const { sw } = setUp();
  const memory = new FrameMemory(2 << 20);
  const stations = [0, 1].map((i) => {
    const [inside, outside] = memoryPair(`station ${i}`, { delivery: 'direct' });
    plugged(sw, outside);
    return new Station(inside, memory);
  }) as [Station, Station];
  const guest = new LazyLink('guest');
  plugged(sw, guest);
  // Each wakes the other by a frame sent from its flush, ten times.
  let left = 10;
  stations.forEach((station, i) => {
    station.answer = () => {
      if (left-- > 0) station.later.push(frame(201 + i, ALL, left + 20));
      return null;
    };
  });
  guest.receive(frame(1, ALL, 1));
  t.is(guest.sent.length, 10);
  t.deepEqual(
    stations.map((s) => s.later.length),
    [0, 0],
  );
  t.deepEqual(
    stations.map((s) => s.deepest),
    [1, 1],
  );
});

test('a link whose flush throws does not stop the port for good', (t) => {
  const { links } = setUp(2);
  const { flush } = links[1]!.tx;
  links[1]!.tx.flush = () => {
    throw new Error('defect');
  };
  t.throws(() => links[0]!.receive(frame(1, ALL, 1)), { message: 'defect' });
  links[1]!.tx.flush = flush;
  links[0]!.receive(frame(1, ALL, 2));
  t.deepEqual(links[1]!.take(), [1, 2]);
});
