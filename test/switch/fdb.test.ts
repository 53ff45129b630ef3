import test from 'ava';
import fc from 'fast-check';
import { FDB_TICK_MS, Fdb, Learn } from '../../src/switch/fdb.ts';

const SEED = [1, 2] as const;
const ticks = (seconds: number) => (seconds * 1000) / FDB_TICK_MS;

test('a station is found where it was heard', (t) => {
  const fdb = new Fdb({ ports: 4 });
  t.is(fdb.lookup(0, 0x0200, 1, 0), -1);
  t.is(fdb.learn(0, 0x0200, 1, 2, 0), Learn.Added);
  t.is(fdb.learn(0, 0x0200, 1, 2, 1), Learn.Refreshed);
  t.is(fdb.lookup(0, 0x0200, 1, 1), 2);
  t.is(fdb.lookup(1, 0x0200, 1, 1), -1, 'another VLAN');
  t.is(fdb.lookup(0, 0x0201, 1, 1), -1);
  t.is(fdb.lookup(0, 0x0200, 2, 1), -1);
});

test('signed and unsigned halves of an address are the same', (t) => {
  const fdb = new Fdb({ ports: 4 });
  fdb.learn(4095, 0xfeff, 0xfffffffe, 1, 0);
  t.is(fdb.lookup(4095, 0xfeff, -2, 0), 1);
  t.deepEqual([...fdb.list(0)], [{ vlan: 4095, macHi: 0xfeff, macLo: 0xfffffffe, port: 1, ageSec: 0, static: false }]);
});

test('an entry is forgotten after the age limit, not before, and hearing it starts over', (t) => {
  const fdb = new Fdb({ ports: 4 });
  fdb.learn(0, 0x0200, 1, 1, 0);
  fdb.learn(0, 0x0200, 1, 1, ticks(200));
  t.is(fdb.lookup(0, 0x0200, 1, ticks(500)), 1);
  t.is([...fdb.list(ticks(500))][0]!.ageSec, 300);
  t.is([...fdb.list(ticks(500) + 1)].length, 0);
  t.is(fdb.lookup(0, 0x0200, 1, ticks(500) + 1), -1);
  t.is(fdb.size, 0);
});

test('a station moves after more than 3 s of silence; until then it is held', (t) => {
  const fdb = new Fdb({ ports: 4 });
  fdb.learn(0, 0x0200, 1, 1, 0);
  t.is(fdb.learn(0, 0x0200, 1, 2, ticks(3)), Learn.Held);
  t.is(fdb.lookup(0, 0x0200, 1, ticks(3)), 1);
  t.is(fdb.learn(0, 0x0200, 1, 2, ticks(3) + 1), Learn.Moved);
  t.is(fdb.lookup(0, 0x0200, 1, ticks(3) + 1), 2);
  t.deepEqual([fdb.countOf(1), fdb.countOf(2)], [0, 1]);
});

test('a pinned station neither moves nor ages, until its port is flushed', (t) => {
  const fdb = new Fdb({ ports: 4 });
  fdb.learn(0, 0x0200, 1, 2, 0);
  t.true(fdb.pin(0, 0x0200, 1, 1));
  t.is(fdb.learn(0, 0x0200, 1, 2, ticks(10_000)), Learn.Held);
  t.is(fdb.learn(0, 0x0200, 1, 1, ticks(10_000)), Learn.Refreshed);
  t.is(fdb.lookup(0, 0x0200, 1, ticks(20_000)), 1);
  fdb.sweep(fdb.slots, ticks(20_000));
  fdb.flush();
  t.is(fdb.size, 1);
  fdb.flushPort(1);
  t.is(fdb.size, 0);
  t.deepEqual([fdb.countOf(1), fdb.countOf(2)], [0, 0]);
});

test('when the share of a port is full it learns nothing new and keeps what it has; other ports are not affected', (t) => {
  const fdb = new Fdb({ ports: 4, portShare: 10 });
  for (let i = 0; i < 10; i++) t.is(fdb.learn(0, 0x0200, i, 1, 0), Learn.Added);
  t.is(fdb.learn(0, 0x0200, 99, 1, 0), Learn.Full);
  t.is(fdb.learn(0, 0x0200, 5, 1, 0), Learn.Refreshed);
  t.is(fdb.learn(0, 0x0200, 99, 2, 0), Learn.Added);
  t.is(fdb.learn(0, 0x0200, 99, 1, ticks(100)), Learn.Full, 'nor does a station move there');
  t.is(fdb.lookup(0, 0x0200, 99, ticks(100)), 2);
  fdb.setShare(1, 11);
  t.is(fdb.learn(0, 0x0200, 98, 1, 0), Learn.Added);
});

test('the table is bounded, and a sweep makes room', (t) => {
  const fdb = new Fdb({ ports: 4, maxEntries: 100, portShare: 1000, seed: SEED });
  for (let i = 0; i < 1000; i++) fdb.learn(0, 0x0200, i, 1, 0);
  t.is(fdb.size, 100);
  t.is(fdb.learn(0, 0x0200, 5000, 2, ticks(301)), Learn.Full);
  fdb.sweep(fdb.slots, ticks(301));
  t.is(fdb.size, 0);
  t.is(fdb.learn(0, 0x0200, 5000, 2, ticks(301)), Learn.Added);
});

test('8192 stations with addresses in sequence and at random are all found', (t) => {
  for (const lo of [(i: number) => i, (i: number) => i << 19, (i: number) => Math.imul(i, 0x9e3779b1)]) {
    const fdb = new Fdb({ ports: 4, portShare: 8192 });
    for (let i = 0; i < 8192; i++) fdb.learn(0, 0x0200, lo(i), i & 3, 0);
    t.is(fdb.size, 8192);
    for (let i = 0; i < 8192; i++) if (fdb.lookup(0, 0x0200, lo(i), 0) !== (i & 3)) t.fail(`${i}`);
  }
});

test('flushPort removes the stations of that port, whatever their places', (t) => {
  const fdb = new Fdb({ ports: 8, maxEntries: 32, portShare: 32, seed: SEED });
  for (let i = 0; i < 32; i++) fdb.learn(0, 0x0200, i * 7, i % 5, 0);
  fdb.flushPort(3);
  t.is(fdb.countOf(3), 0);
  for (let i = 0; i < 32; i++) t.is(fdb.lookup(0, 0x0200, i * 7, 0), i % 5 === 3 ? -1 : i % 5);
});

// ---- against a model

interface Entry {
  port: number;
  seen: number;
  pinned: boolean;
}

/** The same rules over a Map, without hashing. */
class Model {
  readonly entries = new Map<string, Entry>();
  readonly age = ticks(300);
  readonly persistence = ticks(3);
  private readonly max: number;
  private readonly share: number;

  constructor(max: number, share: number) {
    this.max = max;
    this.share = share;
  }

  get(key: string, tick: number): Entry | undefined {
    const entry = this.entries.get(key);
    return entry !== undefined && (entry.pinned || tick - entry.seen <= this.age) ? entry : undefined;
  }

  count = (port: number): number => [...this.entries.values()].filter((e) => e.port === port).length;

  learn(key: string, port: number, tick: number): Learn {
    const old = this.entries.get(key);
    // Too old, but not swept yet, and heard on its own port again: as good as refreshed.
    const entry = old?.port === port ? old : this.get(key, tick);
    if (entry === undefined) {
      this.entries.delete(key);
      if (this.entries.size >= this.max || this.count(port) >= this.share) return Learn.Full;
      this.entries.set(key, { port, seen: tick, pinned: false });
      return Learn.Added;
    }
    if (entry.port === port) {
      entry.seen = tick;
      return Learn.Refreshed;
    }
    if (entry.pinned || tick - entry.seen <= this.persistence) return Learn.Held;
    if (this.count(port) >= this.share) return Learn.Full;
    entry.port = port;
    entry.seen = tick;
    return Learn.Moved;
  }

  lookup(key: string, tick: number): number {
    const entry = this.get(key, tick);
    if (entry === undefined) this.entries.delete(key);
    return entry?.port ?? -1;
  }

  keep(which: (e: Entry) => boolean): void {
    for (const [key, entry] of this.entries) if (!which(entry)) this.entries.delete(key);
  }
}

test('any sequence of operations does what the same rules do over a Map', (t) => {
  // 24 entries in 64 slots: long clusters, many wraps, and the probe limit is never reached.
  const station = fc.record({ vlan: fc.nat(1), lo: fc.nat(40), port: fc.nat(3) });
  const step = fc.oneof(
    { weight: 8, arbitrary: fc.record({ op: fc.constant('learn' as const), ...stationOf(station) }) },
    { weight: 4, arbitrary: fc.record({ op: fc.constant('lookup' as const), ...stationOf(station) }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('pin' as const), ...stationOf(station) }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('flushPort' as const), ...stationOf(station) }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('sweep' as const), ...stationOf(station) }) },
    { weight: 3, arbitrary: fc.record({ op: fc.constant('wait' as const), ...stationOf(station) }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), fc.integer(), fc.integer(), (steps, seedA, seedB) => {
      const fdb = new Fdb({ ports: 4, maxEntries: 24, portShare: 9, seed: [seedA, seedB] });
      const model = new Model(24, 9);
      let tick = 0;
      for (const { op, station: s } of steps) {
        const key = `${s.vlan}/${s.lo}`;
        if (op === 'learn') equal(fdb.learn(s.vlan, 0x0200, s.lo, s.port, tick), model.learn(key, s.port, tick), op);
        else if (op === 'lookup') equal(fdb.lookup(s.vlan, 0x0200, s.lo, tick), model.lookup(key, tick), op);
        else if (op === 'wait') tick += [1, 20, 31, 500, 3001][s.lo % 5]!;
        else if (op === 'pin') {
          const room = model.entries.has(key) || model.entries.size < 24;
          equal(fdb.pin(s.vlan, 0x0200, s.lo, s.port), room, op);
          if (room) model.entries.set(key, { port: s.port, seen: 0, pinned: true });
        } else if (op === 'flushPort') {
          fdb.flushPort(s.port);
          model.keep((e) => e.port !== s.port);
        } else {
          fdb.sweep(fdb.slots * 2, tick);
          model.keep((e) => e.pinned || tick - e.seen <= model.age);
        }
        equal(fdb.size, model.entries.size, 'size');
        for (let port = 0; port < 4; port++) equal(fdb.countOf(port), model.count(port), `count of ${port}`);
      }
      return true;
    }),
    { numRuns: 300 },
  );
  t.pass();
});

const stationOf = <T>(station: T) => ({ station });

function equal(got: unknown, want: unknown, what: string): void {
  if (got !== want) throw new Error(`${what}: ${got}, the model says ${want}`);
}
