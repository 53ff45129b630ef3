// What an operation costs when there is more of everything: the same. Each is timed with few things and with many, in
// turns, and the quickest round of each counts, so that a machine that stalls does not matter; what grows with the
// number of things would be slower by the ratio of the numbers (some 100), and FACTOR lies far below that.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import test, { type ExecutionContext } from 'ava';
import { MAPPED, parseIpv4, parseIpv4Network } from '../../src/core/address.ts';
import { newDropCounters } from '../../src/core/drop.ts';
import { TimerWheel } from '../../src/core/timer-wheel.ts';
import { TupleTable } from '../../src/core/tuple-table.ts';
import { LeaseFile } from '../../src/host/lease-file.ts';
import { Neighbor, NeighborCache, Station } from '../../src/ip/neighbor.ts';
import { ClosingFlows } from '../../src/router/closing-flows.ts';
import { FlowTable, IdleFlow } from '../../src/router/flow-table.ts';
import type { TcpFlow } from '../../src/router/tcp-flow.ts';
import { LeasePool, LeaseState } from '../../src/services/lease-pool.ts';
import { PortShares } from '../../src/services/port-shares.ts';
import { Fdb } from '../../src/switch/fdb.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { udpFrame } from '../support/guest-frames.ts';
import { GuestTcp, RouterHarness } from '../support/router-harness.ts';
import { FakeLink, frame, plugged, setUp } from '../switch/support.ts';

const ROUNDS = 12;
const OPERATIONS = 400;
const FACTOR = 12;

type Operation = (i: number) => void;

/** Microseconds of one operation in the quickest of several rounds: `few` and `many`, round about. */
function quickest(few: Operation, many: Operation): [few: number, many: number] {
  const best: [number, number] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (let round = 0, i = 0; round < ROUNDS; round++) {
    for (const [which, operation] of [few, many].entries()) {
      const start = performance.now();
      for (let n = 0; n < OPERATIONS; n++) operation(i++);
      best[which] = Math.min(best[which]!, ((performance.now() - start) * 1000) / OPERATIONS);
    }
  }
  return best;
}

/** `make(n)` gives the operation on `n` things. */
function sameCost(t: ExecutionContext, small: number, large: number, make: (n: number) => Operation): void {
  const [few, many] = quickest(make(small), make(large));
  // What takes a fraction of a microsecond is at the mercy of caches.
  t.true(many < FACTOR * Math.max(few, 0.2), `${few.toFixed(2)} us with ${small}, ${many.toFixed(2)} us with ${large}`);
}

const hexByte = (n: number): string => n.toString(16).padStart(2, '0');

class Flow extends IdleFlow {
  release(): void {}
  describe(): { port: number; peer: string; state: string } {
    return { port: 0, peer: '', state: '' };
  }
}

const neighborOf = (mac: number): Neighbor => {
  const n = new Neighbor(0, 0, MAPPED, mac);
  n.station = new Station(mac);
  return n;
};
const keyOf = (guest: number, i: number): Int32Array => Int32Array.of(0, 0, MAPPED, guest, 0, 0, MAPPED, 0, i);
const flowTable = (capacity: number, clock = new FakeClock()): FlowTable<Flow> =>
  new FlowTable<Flow>({ kind: 'udp', wheel: new TimerWheel(clock), capacity, budget: null, k0: 1, k1: 2 });

test.serial('flows: look-up and use', (t) => {
  sameCost(t, 50, 10_000, (n) => {
    const table = flowTable(n);
    const guest = neighborOf(1);
    for (let i = 0; i < n; i++) table.add(new Flow(guest, keyOf(1, i)), 30_000);
    return (i) => table.touch(table.find(0, 0, MAPPED, 1, 0, 0, MAPPED, 0, (i * 7) % n)!, 1_000_000 + i, 30_000);
  });
});

test.serial('flows: a new one in a full table, with the older flows of another guest in front', (t) => {
  sameCost(t, 50, 10_000, (n) => {
    const table = flowTable(n);
    const [quiet, loud] = [neighborOf(1), neighborOf(2)];
    for (let i = 0; i < n / 2 - 1; i++) table.add(new Flow(quiet, keyOf(1, i)), 30_000);
    for (let i = 0; i < n / 2 + 1; i++) table.add(new Flow(loud, keyOf(2, -i - 1)), 30_000);
    return (i) => {
      t.true(table.makeRoom(loud));
      table.add(new Flow(loud, keyOf(2, i)), 30_000);
    };
  });
});

test.serial('flows: a new one in a full table, with many guests', (t) => {
  sameCost(t, 10, 2000, (n) => {
    const table = flowTable(2 * n);
    const guests = Array.from({ length: n }, (_, i) => neighborOf(i + 1));
    for (let i = 0; i < 2 * n; i++) table.add(new Flow(guests[i % n]!, keyOf(i % n, -i - 1)), 30_000);
    return (i) => {
      const guest = guests[i % n]!;
      t.true(table.makeRoom(guest));
      table.add(new Flow(guest, keyOf(guest.w3, i)), 30_000);
    };
  });
});

test.serial('flows: one that ends by itself', (t) => {
  sameCost(t, 50, 10_000, (n) => {
    const clock = new FakeClock();
    const table = flowTable(n + 1, clock);
    const guest = neighborOf(1);
    for (let i = 0; i < n; i++) table.add(new Flow(guest, keyOf(1, -i - 1)), 80_000_000);
    return (i) => {
      table.add(new Flow(guest, keyOf(1, i)), 8);
      clock.advance(20);
      t.is(table.size, n);
    };
  });
});

test.serial('connections that may be ended for others: a few are looked at, whatever their number', (t) => {
  let looks = 0;
  const closing = new ClosingFlows();
  const busy = {
    get usedAt() {
      looks++;
      return 100_000;
    },
    guest: neighborOf(1),
  };
  for (let i = 0; i < 5000; i++) closing.add(Object.create(busy) as TcpFlow);
  const idle = { usedAt: 0, guest: neighborOf(2) } as TcpFlow;
  closing.add(idle);
  t.is(closing.idle(null, 100_000), null);
  t.true(looks <= 16, `${looks}`);
  let calls = 1;
  while (closing.idle(null, 100_000) !== idle) calls++;
  t.true(calls < 5000 / 16 + 2, 'all have their turn');
});

test.serial('forwards and connections: the table of tuples', (t) => {
  sameCost(t, 50, 16_000, (n) => {
    const table = new TupleTable(1, 2);
    for (let i = 0; i < n; i++) table.set(0, 0, MAPPED, 1, 0, 0, MAPPED, i, i, i);
    return (i) => {
      const at = (i * 7) % n;
      t.is(table.find(0, 0, MAPPED, 1, 0, 0, MAPPED, at, at), at);
      table.set(0, 0, MAPPED, 2, 0, 0, MAPPED, at, at, at);
      table.delete(0, 0, MAPPED, 2, 0, 0, MAPPED, at, at);
    };
  });
});

test.serial('neighbors: known ones, and new ones in a full table', (t) => {
  const cache = (): NeighborCache =>
    new NeighborCache({
      wheel: new TimerWheel(new FakeClock()),
      drops: newDropCounters(),
      seed: 7,
      solicit: () => {},
      release: () => {},
    });
  sameCost(t, 8, 1000, (n) => {
    const neighbors = cache();
    for (let i = 0; i < n; i++) neighbors.heard(0, 0, MAPPED, i + 1, 1, i + 1, 1);
    return (i) => t.truthy(neighbors.heard(0, 0, MAPPED, (i % n) + 1, 1, (i % n) + 1, i));
  });
  sameCost(t, 8, 1024, (n) => {
    const neighbors = cache();
    for (let i = 0; i < n; i++) neighbors.heard(0, 0, MAPPED, -i - 1, 1, i, 1);
    // With few there is room at first: then it is the same as with many, and the quickest rounds are those before.
    return (i) => t.truthy(neighbors.heard(0, 0, MAPPED, i + 1, 2, i, i));
  });
});

test.serial('leases: a new client in a large pool', (t) => {
  sameCost(t, 32, 4096, (n) => {
    const pool = new LeasePool(0x0a000001, n, []);
    const give = (i: number): void => {
      const holder = { client: `c${i}`, macHi: 2, macLo: i, hostname: '', confirmed: true };
      pool.sweep(i);
      pool.assign(pool.pick(), holder, LeaseState.Bound, i + n - 1);
    };
    for (let i = 0; i < n; i++) give(i);
    return (i) => give(n + i);
  });
});

test.serial('leases: the ports of the switch are counted once a second, however many new clients there are', (t) => {
  const pool = new LeasePool(0x0a000001, 4096, []);
  let looks = 0;
  const shares = new PortShares(pool, (_, macLo) => {
    looks++;
    return macLo < 1000 ? 7 : 3;
  });
  const lease = (i: number): void => {
    const holder = { client: `c${i}`, macHi: 2, macLo: i, hostname: '', confirmed: true };
    pool.assign(pool.pick(), holder, LeaseState.Bound, 1e9);
  };
  for (let i = 0; i < 900; i++) lease(i);
  for (let i = 900; i < 1000; i++) {
    t.true(shares.take(2, i, 950, 5000) === i < 950, `${i}`);
    if (i < 950) lease(i);
  }
  t.is(looks, 900 + 100);
  t.true(shares.take(2, 1001, 950, 5000), 'another port');
  t.false(shares.take(2, 951, 950, 6000), 'counted again');
});

test.serial('start with 4,096 leases in the file: no more than 200 ms longer than with none', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'vdenet-cost-'));
  const stores: LeaseFile[] = [];
  const wheel = new TimerWheel(new FakeClock());
  const start = (count: number): number => {
    const path = join(dir, `leases-${count}`);
    const lines = ['{"vdenet":"leases","version":1,"boot":"x"}'];
    for (let i = 0; i < count; i++) {
      const [ip, mac] = [`10.1.${i >> 8}.${i & 255}`, `02:00:00:00:${hexByte(i >> 8)}:${hexByte(i & 255)}`];
      const times = { ends: Date.now() + 3_600_000, up: 1, left: 3_600_000 };
      lines.push(JSON.stringify({ ip, client: `hw:${mac}`, mac, name: `guest-${i}`, ...times }));
    }
    writeFileSync(path, `${lines.join('\n')}\n`);
    const from = process.cpuUsage();
    const store = new LeaseFile({ path, wheel, warn: () => {} });
    const network = parseIpv4Network('10.1.255.254/16', 24);
    const poolStart = parseIpv4('10.1.0.0') + 1;
    const h = new RouterHarness({ dhcp: { network, dns: [], poolStart, store }, networks: [network] });
    const { user, system } = process.cpuUsage(from);
    const took = (user + system) / 1000;
    t.is(h.router.dhcp!.usage().bound, Math.max(0, count - 1));
    stores.push(store);
    return took;
  };
  const few = Math.min(...[1, 2, 3].map(() => start(1)));
  const many = Math.min(...[1, 2, 3].map(() => start(4096)));
  t.log(`${few.toFixed(1)} and ${many.toFixed(1)} ms`);
  for (const store of stores) await store.close();
  rmSync(dir, { recursive: true, force: true });
  t.true(many - few < 200, `${few.toFixed(1)} ms and ${many.toFixed(1)} ms`);
});

test.serial('timers: set, moved and cancelled', (t) => {
  sameCost(t, 50, 50_000, (n) => {
    const wheel = new TimerWheel(new FakeClock());
    const timers = Array.from({ length: n }, () => wheel.timer(() => {}));
    for (const [i, timer] of timers.entries()) timer.set(1000 + i);
    return (i) => {
      const timer = timers[(i * 7) % n]!;
      timer.cancel();
      timer.set(500 + (i % 1000));
      timer.set(2000);
    };
  });
});

test.serial('stations of a switch: learned and looked up', (t) => {
  sameCost(t, 50, 8000, (n) => {
    const fdb = new Fdb({ ports: 16, portShare: 8192 });
    for (let i = 0; i < n; i++) fdb.learn(0, 2, i, 1 + (i & 7), 1);
    return (i) => {
      const mac = (i * 7) % n;
      fdb.learn(0, 2, mac, 1 + (mac & 7), 1);
      t.is(fdb.lookup(0, 2, mac, 1), 1 + (mac & 7));
    };
  });
});

test.serial('a frame to all: as many copies as the VLAN has ports, whatever other ports there are', (t) => {
  sameCost(t, 2, 300, (others) => {
    const { sw } = setUp(0, { numPorts: 512 });
    const links = Array.from({ length: 3 + others }, (_, i) => new FakeLink(`${i}`));
    const endpoints = links.map((link) => plugged(sw, link));
    t.is(sw.vlans.create(7), null);
    for (const { port } of endpoints.slice(3)) t.is(sw.admin.setVlan(port.number, 7), null);
    const to = frame(1, 255);
    return () => {
      links[0]!.receive(to);
      t.deepEqual([links[1]!.take().length, links[2]!.take().length, links[3]!.sent.length], [1, 1, 0]);
    };
  });
});

/** Bytes of the heap and of buffers in use after a collection. */
function held(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

test.serial(
  'memory: 2 KiB for an idle UDP flow, 8 KiB for an idle TCP flow, 200 bytes for a station of the switch',
  (t) => {
    const FLOWS = 4000;
    const h = new RouterHarness({ maxFlows: 10_000 });
    const bare = held();
    for (let i = 0; i < FLOWS; i++) h.send(udpFrame({ dst: '192.0.2.1', sport: 1024 + i, dport: 7 }));
    h.host.forgetPast(); // what the fake sockets remember is not the router's
    for (const socket of h.host.udp.splice(0)) socket.sent.splice(0);
    const udp = (held() - bare) / FLOWS;
    const before = held();
    t.is(h.router.udpNat.size, FLOWS);
    t.true(udp < 2048, `${Math.round(udp)} bytes`);
    for (let i = 0; i < 1000; i++) {
      const guest = new GuestTcp(h, '192.0.2.1', 80, 1024 + i);
      guest.send('S');
      h.host.lastTcp.connect();
      guest.poll();
      guest.send('A');
      h.host.tcp.splice(0);
    }
    const tcp = (held() - before) / 1000;
    t.is(h.router.tcpNat.size, 1000);
    t.true(tcp < 8192, `${Math.round(tcp)} bytes`);
    const empty = held();
    const fdb = new Fdb({ ports: 16, maxEntries: 8192, portShare: 8192 });
    for (let i = 0; i < 8192; i++) fdb.learn(0, 2, i, 1, 1);
    t.true((held() - empty) / 8192 < 200);
    t.is(fdb.lookup(0, 2, 5, 1), 1);
    t.log(`${Math.round(udp)} bytes a UDP flow, ${Math.round(tcp)} a TCP flow`);
  },
);
