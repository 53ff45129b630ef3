import test from 'ava';
import { Drop } from '../../src/core/drop.ts';
import { portAllocator } from '../../src/switch/attach.ts';
import type { SwitchEvent } from '../../src/switch/events.ts';
import { queueViews } from '../../src/switch/queues.ts';
import { ALL, FakeLink, frame, plugged, setUp } from './support.ts';

const takeAll = (links: FakeLink[]) => links.map((l) => l.take());

// ---- the port table

test('ports: created, found, restricted and removed with the answers of the classic switch', (t) => {
  const { sw } = setUp(2);
  const { admin } = sw;
  t.deepEqual(
    [admin.create(12), admin.create(12), admin.create(40), admin.create(0), admin.create(-1)],
    [null, 'EEXIST', 'EINVAL', null, 'EINVAL'],
  );
  t.deepEqual([admin.createAuto(), admin.createAuto()], [3, 4]);
  t.like(sw.port(3)!, { allocatable: false, active: false });
  t.deepEqual(
    [admin.setAllocatable(12, true), admin.setAllocatable(13, true), admin.setUser(25, 0)],
    [null, 'ENXIO', 'ENXIO'],
  );
  t.deepEqual(
    [admin.remove(12), admin.remove(12), admin.remove(1), admin.remove(99)],
    [null, 'ENXIO', 'EADDRINUSE', 'EINVAL'],
  );
  t.deepEqual(
    sw.vlans.views()[0]!.ports.map((p) => p.port),
    [0, 1, 2, 3, 4],
    'a removed port is in no VLAN',
  );
});

test('the number of ports changes while the switch runs, to more than the original allows', (t) => {
  const { sw, links } = setUp(3);
  t.deepEqual(
    [sw.admin.setNumPorts(3), sw.admin.setNumPorts(0), sw.admin.setNumPorts(Number.NaN)],
    ['EADDRINUSE', 'EINVAL', 'EINVAL'],
  );
  t.is(sw.admin.setNumPorts(65_536), null);
  const far = new FakeLink('far');
  t.is(plugged(sw, far, { port: 65_535 }).port.number, 65_535);
  far.receive(frame(9, ALL));
  takeAll(links);
  links[0]!.receive(frame(1, 9, 5));
  t.deepEqual(far.take(), [5]);
  t.is(sw.admin.setNumPorts(100), 'EADDRINUSE');
  sw.unplug(sw.port(65_535)!.endpoints[0]!);
  t.is(sw.admin.remove(65_535), null);
  t.is(sw.admin.setNumPorts(4), null);
  t.is(sw.plug(new FakeLink('x')), 'no free port');
});

test('createAuto says when there is no port left', (t) => {
  const { sw } = setUp(0, { numPorts: 2 });
  t.deepEqual([sw.admin.createAuto(), sw.admin.createAuto()], [1, 'ENOSPC']);
});

test('a port with a user or a group lets only those open it, root, and links of the process', (t) => {
  const { sw } = setUp();
  sw.admin.create(5);
  sw.admin.setUser(5, 1000);
  sw.admin.setGroup(5, 50);
  const inGroup = (gid: number) => gid === 50;
  const tryPlug = (options: object) => {
    const endpoint = sw.plug(new FakeLink('x'), { port: 5, ...options });
    if (typeof endpoint === 'string') return endpoint;
    sw.unplug(endpoint);
    return 'open';
  };
  t.is(tryPlug({ uid: 1001 }), 'port is closed to this user');
  t.is(tryPlug({ uid: 1001, inGroup: () => false }), 'port is closed to this user');
  t.is(tryPlug({ uid: 1000 }), 'open');
  t.is(tryPlug({ uid: 1001, inGroup }), 'open');
  t.is(tryPlug({ uid: 0 }), 'open');
  t.is(tryPlug({}), 'open');
  sw.admin.setUser(5, -1);
  sw.admin.setGroup(5, -1);
  t.is(tryPlug({ uid: 1001 }), 'open');
});

test('who asks for any port gets one that is open to them', (t) => {
  const { sw } = setUp();
  sw.admin.create(1);
  sw.admin.setAllocatable(1, true);
  sw.admin.setUser(1, 1000);
  t.is(plugged(sw, new FakeLink('other'), { uid: 1001 }).port.number, 2);
  t.is(plugged(sw, new FakeLink('owner'), { uid: 1000 }).port.number, 1);
});

test('an allocator asks for the groups of the user who plugs in', (t) => {
  const { sw } = setUp();
  sw.admin.create(3);
  sw.admin.setGroup(3, 44);
  const asked: number[][] = [];
  const allocate = portAllocator(sw, (uid, gid) => {
    asked.push([uid, gid]);
    return uid === 1002;
  });
  const request = (uid: number) => Object.assign(new FakeLink('r'), { requestedPort: 3, uid, description: '' });
  t.is(allocate(request(1001)), 'port is closed to this user');
  t.is(allocate(request(1002)), 3);
  t.deepEqual(asked, [
    [1001, 44],
    [1002, 44],
  ]);
});

test('epclose closes one endpoint by its id, and no link of the process', async (t) => {
  const { sw } = setUp();
  const allocate = portAllocator(sw);
  const closed: number[] = [];
  for (const id of [9, 12]) {
    const link = Object.assign(new FakeLink(`${id}`), { endpointId: id, requestedPort: 9, uid: 5, description: '' });
    link.close = async () => {
      closed.push(id);
      link.onState?.(false);
    };
    allocate(link);
  }
  plugged(sw, new FakeLink('inside'), { port: 1 });
  t.deepEqual(
    [sw.admin.closeEndpoint(9, 999), sw.admin.closeEndpoint(77, 1), sw.admin.closeEndpoint(8, 1)],
    ['ENXIO', 'EINVAL', 'ENXIO'],
  );
  t.is(sw.admin.closeEndpoint(1, 0), 'ENXIO');
  t.is(sw.admin.closeEndpoint(9, 12), null);
  t.deepEqual(closed, [12]);
  t.is(sw.port(9)!.endpoints.length, 1);
});

test('counters go back to zero, of one port or of all', (t) => {
  const { sw, links } = setUp(2);
  links[0]!.receive(frame(1, ALL));
  t.is(sw.admin.resetCounters(2), null);
  t.deepEqual([sw.port(1)!.counters.rxFrames, sw.port(2)!.counters.txFrames], [1, 0]);
  t.deepEqual([sw.admin.resetCounters(-1), sw.admin.resetCounters(77)], [null, 'EINVAL']);
  t.is(sw.port(1)!.counters.rxFrames, 0);
});

// ---- hub

test('a hub sends everything to all ports but its own and port 0, learns nothing and knows no VLANs', (t) => {
  const { sw, links } = setUp(3);
  const management = new FakeLink('management');
  plugged(sw, management, { port: 0 });
  links[0]!.receive(frame(1, ALL));
  takeAll([...links, management]);
  sw.setTree('fstp');
  takeAll([...links, management]);
  sw.setHub(true);
  t.is(sw.spanningTree, 'off');
  t.false(sw.setTree('fstp'));
  t.is(sw.fdb.size, 0);
  links[1]!.receive(frame(2, 1, 3));
  t.deepEqual(takeAll([...links, management]), [[3], [], [3], []]);
  management.receive(frame(4, ALL, 4));
  t.deepEqual(takeAll(links), [[4], [4], [4]]);
  t.is(sw.fdb.size, 0);
  sw.setHub(false);
  links[0]!.receive(frame(1, ALL));
  t.is(sw.fdb.size, 1);
});

// ---- hash

test('hash settings: size rounds up and flushes, the sweep follows the interval, ages and persistence take effect', (t) => {
  const { sw, clock, links } = setUp(2, { fdb: { ageSec: 100, gcIntervalSec: 2 } });
  t.like(sw.hash.info, { hashSize: 128, gcIntervalSec: 2, ageSec: 100, minPersistenceSec: 3, capacity: 8192 });
  links[0]!.receive(frame(1, ALL));
  clock.advance(99_000);
  t.is(sw.fdb.size, 1);
  clock.advance(12_000);
  t.is(sw.fdb.size, 0, 'swept soon after its age');
  links[0]!.receive(frame(1, ALL));
  t.true(sw.hash.setSize(10_000));
  t.like(sw.hash.info, { hashSize: 16_384, capacity: 16_384, stations: 0 });
  t.false(sw.hash.setSize(0));
  t.false(sw.hash.setSize(Number.NaN));
  sw.hash.setMinPersistence(0);
  links[0]!.receive(frame(1, ALL));
  clock.advance(200);
  links[1]!.receive(frame(1, ALL));
  t.is(sw.hash.find(0, 0x0200, 1)!.port, 2);
  t.is(sw.hash.find(0, 0x0200, 9), null);
});

// ---- events

test('events: ports and endpoints, stations that come and go', (t) => {
  const { sw } = setUp();
  const events: string[] = [];
  sw.observe((e: SwitchEvent) => {
    if (e.type === 'station+' || e.type === 'station-')
      events.push(`${e.type} ${e.vlan} ${e.macHi} ${e.macLo} ${e.port}`);
    else if ('port' in e && typeof e.port === 'object') events.push(`${e.type} ${e.port.number}`);
  });
  const link = new FakeLink('a');
  const first = plugged(sw, link, { port: 6 });
  const second = plugged(sw, new FakeLink('b'), { port: 6 });
  link.receive(frame(7, ALL), frame(7, ALL));
  sw.unplug(second);
  sw.unplug(first);
  t.deepEqual(events, [
    'port+ 6',
    'endpoint+ 6',
    'endpoint+ 6',
    'station+ 0 512 7 6',
    'endpoint- 6',
    'endpoint- 6',
    'port- 6',
    'station- 0 512 7 6',
  ]);
  sw.observe(null);
  plugged(sw, link, { port: 6 });
  t.is(events.length, 8);
});

// ---- mirror, storm, isolation

test('a mirror gets copies of what goes in and out of its ports, and nothing else', (t) => {
  const { sw, links } = setUp(4);
  t.is(sw.mirrorTo(4, [1], 'both'), null);
  links[0]!.receive(frame(1, ALL, 1));
  links[1]!.receive(frame(2, 1, 2), frame(2, 3, 3));
  links[2]!.receive(frame(3, 2, 4));
  t.deepEqual(takeAll(links), [
    [2, 3],
    [1, 4],
    [1, 3],
    [1, 2, 3],
  ]);
  links[3]!.receive(frame(9, ALL, 9));
  t.deepEqual(takeAll(links), [[], [], [], []], 'the destination says nothing');
  t.is(sw.mirror.get(4)!.frames, 3);
  sw.admin.create(9);
  sw.mirrorTo(9, [1], 'in');
  sw.admin.remove(9);
  t.is(sw.mirror.get(9), null, 'a session ends with its port');
  t.is(sw.mirrorTo(4, null, 'in'), null);
  links[1]!.receive(frame(2, 1, 5));
  t.deepEqual(takeAll(links), [[5], [], [], [5]]);
  t.is(sw.mirrorEnd(4), null);
  links[0]!.receive(frame(1, ALL, 6));
  t.deepEqual(takeAll(links), [[], [6], [6], [6]]);
  t.deepEqual([sw.mirrorEnd(4), sw.mirrorTo(9, null, 'in'), sw.mirrorTo(99, null, 'in')], ['ENXIO', 'ENXIO', 'EINVAL']);
});

test('a mirror sees frames that are then dropped, and tags as they are on the port', (t) => {
  const { sw, links } = setUp(3);
  sw.mirrorTo(3, [1, 2], 'both');
  sw.vlans.create(10);
  sw.vlans.addPort(10, 2);
  sw.admin.setVlan(1, 10);
  links[0]!.receive(frame(1, ALL, 1));
  t.deepEqual(
    links[2]!.sent.splice(0).map((f) => f.length),
    [60, 64],
  );
  const bad = Uint8Array.of(...frame(1, ALL).subarray(0, 12), 0x81, 0, 0, 77, 0x88, 0xb5);
  links[0]!.receive(bad);
  t.is(links[2]!.sent.length, 1);
});

test('a frame hook sees what a port or all of them carry', (t) => {
  const { sw, links } = setUp(2);
  const seen: string[] = [];
  sw.mirror.setHook((incoming, port, b, off, len) =>
    seen.push(`${incoming ? '<' : '>'}${port.number} ${len} ${b[off + 14]}`),
  );
  links[0]!.receive(frame(1, ALL, 5));
  t.deepEqual(seen, ['<1 60 5', '>2 60 5']);
  sw.mirror.setHook(null);
  links[0]!.receive(frame(1, ALL, 6));
  t.is(seen.length, 2);
});

test('storm limits: a burst, then so many a second, for each kind and port apart', (t) => {
  const { sw, clock, links } = setUp(2);
  t.is(sw.setStorm(1, 'broadcast', 10, 3), null);
  t.is(sw.setStorm(1, 'unknown', 1, 1), null);
  links[0]!.receive(...Array.from({ length: 5 }, (_, i) => frame(1, ALL, i)));
  t.deepEqual(links[1]!.take(), [0, 1, 2]);
  t.is(sw.port(1)!.drops[Drop.StormBroadcast], 2);
  clock.advance(200);
  links[0]!.receive(...Array.from({ length: 5 }, (_, i) => frame(1, ALL, i)), frame(1, 77, 8), frame(1, 77, 9));
  t.deepEqual(links[1]!.take(), [0, 1, 8]);
  t.is(sw.port(1)!.drops[Drop.StormUnknown], 1);
  const multicast = frame(1, 1, 50);
  multicast[0] = 0x33;
  links[0]!.receive(...Array.from({ length: 9 }, () => multicast));
  t.is(links[1]!.take().length, 9, 'no limit was set for multicast');
  links[1]!.receive(frame(2, ALL));
  links[0]!.take();
  links[0]!.receive(...Array.from({ length: 9 }, (_, i) => frame(1, 2, i)));
  t.is(links[1]!.take().length, 9, 'known stations are not policed');
  t.deepEqual(
    sw.storm.list().map((l) => `${l.port} ${l.kind} ${l.rate} ${l.burst}`),
    ['1 broadcast 10 3', '1 unknown 1 1'],
  );
  sw.setStorm(-1, 'broadcast', 0, 0);
  sw.setStorm(1, 'unknown', 0, 0);
  t.is(sw.port(1)!.screens, 0, 'the plain path again');
  t.deepEqual([sw.setStorm(9, 'broadcast', 1, 1), sw.setStorm(99, 'broadcast', 1, 1)], ['ENXIO', 'EINVAL']);
});

test('isolated ports hear only ports that are not', (t) => {
  const { sw, links } = setUp(3);
  sw.admin.setIsolated(1, true);
  sw.admin.setIsolated(2, true);
  links[0]!.receive(frame(1, ALL, 1));
  links[1]!.receive(frame(2, ALL, 2), frame(2, 1, 3));
  links[2]!.receive(frame(3, ALL, 4), frame(3, 1, 5));
  t.deepEqual(takeAll(links), [[4, 5], [4], [1, 2]]);
  t.is(sw.port(2)!.drops[Drop.PortIsolated], 1);
});

test('queues: what waits and what was dropped, for each endpoint', (t) => {
  const { sw } = setUp();
  const link = Object.assign(new FakeLink('slow'), { endpointId: 9, backlogged: 3 });
  link.drops[Drop.TxQueueFull] = 2;
  plugged(sw, link, { port: 4, description: 'a guest' });
  plugged(sw, new FakeLink('inside'), { port: 5 });
  t.deepEqual(queueViews(sw.ports()), [
    { port: 4, endpointId: 9, description: 'a guest', backlogged: 3, txFrames: 0, drops: { tx_queue_full: 2 } },
    { port: 5, endpointId: -1, description: '', backlogged: 0, txFrames: 0, drops: {} },
  ]);
});
