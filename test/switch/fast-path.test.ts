import test, { type ExecutionContext } from 'ava';
import { Drop, dropSnapshot, newDropCounters } from '../../src/core/drop.ts';
import { FrameMemory, type FrameSink, type Link, newLinkStats, RX_STRIDE } from '../../src/core/frame.ts';
import { Prng } from '../../src/core/prng.ts';
import { TimerWheel } from '../../src/core/timer-wheel.ts';
import { VdeSocket } from '../../src/link/vde-socket.ts';
import { type Batch, native } from '../../src/native/native.ts';
import type { Endpoint } from '../../src/switch/port.ts';
import { Switch } from '../../src/switch/switch.ts';
import { datagramPair, tempDir, until } from '../link/support.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { plugged } from './support.ts';

const ALL = 255;
const BATCH = 64;

/** A frame from station `src` to station `dst` (255: all), with a number to know it by. */
function frame(src: number, dst: number, number: number, len = 60): Uint8Array {
  const bytes = new Uint8Array(len);
  bytes.set(dst === ALL ? [255, 255, 255, 255, 255, 255] : [2, 0, 0, 0, 0, dst], 0);
  bytes.set([2, 0, 0, 0, 0, src, 0x88, 0xb5, number >> 8, number & 255].slice(0, len - 6), 6);
  return bytes;
}

const inbox = new Uint8Array(BATCH * 2048);
const inboxBatch = native().newBatch(inbox, BATCH);

/** Reads all frames that wait on a descriptor. */
function receiveAll(fd: number): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (;;) {
    const n = native().recv(fd, inboxBatch, 0, 2048, BATCH);
    for (let i = 0; i < n; i++) frames.push(inbox.slice(i * 2048, i * 2048 + inboxBatch.lens[i]!));
    if (n < BATCH) return frames;
  }
}

/** A datagram link of the kind that a switch has for its clients; the test is the client. */
class ClientLink implements Link {
  readonly name = 'client';
  readonly mtu = 1500;
  readonly stats = newLinkStats();
  readonly drops = newDropCounters();
  onState = null;
  readonly tx: VdeSocket;
  readonly peer: number;
  sink: FrameSink | null = null;
  private readonly listens: boolean;

  /** @param listens  what the client sends comes in by the socket; else the test hands it to the sink */
  constructor(t: ExecutionContext, memory: FrameMemory, listens: boolean) {
    this.listens = listens;
    const [fd, peer] = datagramPair(tempDir(t));
    this.peer = peer;
    const { stats, drops } = this;
    this.tx = new VdeSocket(fd, { memory, maxTxFrame: 1518, stats, drops, onGone: () => {} });
    t.teardown(() => {
      this.tx.close();
      native().close(peer);
    });
  }

  attach(sink: FrameSink): void {
    this.sink = sink;
    if (this.listens) this.tx.attach(sink);
  }

  async close(): Promise<void> {
    this.tx.close();
  }
}

/** plain: without a forwarder; batch: with one; pump: frames come in by sockets, and mostly pass by JavaScript. */
type Way = 'plain' | 'batch' | 'pump';

/** A switch with clients, and batches given to it as VdeSocket does. */
class Rig {
  readonly clock = new FakeClock();
  readonly memory = new FrameMemory(1 << 20);
  readonly sw: Switch;
  readonly links: ClientLink[];
  readonly endpoints: Endpoint[];
  /** Frames that were taken without a look at each. */
  taken = 0;
  private readonly rx: Batch;
  private given = 0;

  constructor(t: ExecutionContext, way: Way, clients: number, share = 1024, ageSec = 5) {
    this.sw = new Switch({
      wheel: new TimerWheel(this.clock),
      memory: this.memory,
      fdb: { seed: [1, 2], ageSec, minPersistenceSec: 1, portShare: share },
      ...(way !== 'plain' ? { forwarder: native().newForwarder } : {}),
    });
    this.links = Array.from({ length: clients }, () => new ClientLink(t, this.memory, way === 'pump'));
    this.endpoints = this.links.map((link, i) => plugged(this.sw, link, { port: i + 1 }));
    this.rx = native().newBatch(this.memory.bytes, BATCH);
  }

  /** One wake-up of client `from` (0 is on port 1). */
  give(from: number, frames: readonly Uint8Array[]): void {
    const { rx, memory } = this;
    frames.forEach((bytes, i) => {
      rx.offs[i] = memory.rxBase + i * RX_STRIDE;
      rx.lens[i] = bytes.length;
      memory.bytes.set(bytes, rx.offs[i]);
    });
    const sink = this.endpoints[from]!;
    for (let i = 0; i < frames.length; i++) {
      const end = sink.take(rx, i, frames.length);
      this.taken += end - i;
      i = end;
      if (i < frames.length) sink.frame(memory.bytes, rx.offs[i]!, rx.lens[i]!);
    }
    sink.flush();
  }

  /** Client `from` sends; returns when the switch has done its part. */
  async send(from: number, frames: readonly Uint8Array[]): Promise<void> {
    const bytes = new Uint8Array(frames.length * 2048);
    const batch = native().newBatch(bytes, frames.length);
    frames.forEach((f, i) => {
      bytes.set(f, i * 2048);
      batch.offs[i] = i * 2048;
      batch.lens[i] = f.length;
    });
    const sent = native().send(this.links[from]!.peer, batch, 0, frames.length);
    if (sent !== frames.length) throw new Error(`${sent} of ${frames.length} frames were sent`);
    this.given += sent;
    await until(() => this.received() === this.given, 'frames to come in');
  }

  /** Frames that came in by the sockets. */
  private received(): number {
    this.sw.ports(); // brings the counters up to date
    return this.links.reduce((sum, { stats }) => sum + stats.rxFrames, 0);
  }

  /** What each client heard since the last call. */
  heard(): string[][] {
    return this.links.map(({ peer }) => receiveAll(peer).map((f) => Buffer.from(f).toString('hex')));
  }

  /** All counters and stations. */
  state() {
    const ports = this.sw.ports().map(({ number, counters, drops }) => ({ number, counters, drops: [...drops] }));
    const links = this.links.map(({ stats, drops }) => ({ stats, drops: [...drops] }));
    return { ports, links, stations: [...this.sw.stations()] };
  }
}

/** A switch where clients 0, 1, ... have said from stations 1, 2, ... that they are there. */
function learned(t: ExecutionContext, clients: number, share?: number): Rig {
  const rig = new Rig(t, 'batch', clients, share);
  for (let i = 0; i < clients; i++) rig.give(i, [frame(i + 1, ALL, 0)]);
  rig.heard();
  rig.taken = 0;
  return rig;
}

test('frames between known stations are taken as a batch, counted and sent in order', (t) => {
  const rig = learned(t, 3);
  const { sw } = rig;
  sw.port(1)!.resetCounters();
  sw.port(2)!.resetCounters();
  const frames = Array.from({ length: 50 }, (_, i) => frame(1, i % 5 === 0 ? ALL : 2, i, 60 + i));
  rig.give(0, frames);
  t.is(rig.taken, 50);
  const bytes = frames.reduce((sum, f) => sum + f.length, 0);
  t.like(sw.port(1)!.counters, { rxFrames: 50, rxBytes: bytes, txFrames: 0 });
  t.like(sw.port(2)!.counters, { txFrames: 50, txBytes: bytes });
  t.is(sw.port(3)!.counters.txFrames, 10 + 2, 'the flooded ones, and two from when the stations were learned');
  const [first, second, third] = rig.heard();
  t.deepEqual(first, []);
  t.deepEqual(
    second,
    frames.map((f) => Buffer.from(f).toString('hex')),
  );
  t.is(third!.length, 10);
});

/** Frames of client `from` in a random session, all of one switch's kinds. */
function randomFrames(below: (n: number) => number, from: number, clients: number): Uint8Array[] {
  return Array.from({ length: 1 + below(BATCH) }, (_, i) => {
    const kind = below(40);
    // Mostly the station of the port; up to five more for a share of four, and some that are on other ports.
    const src = kind < 32 ? from + 1 : kind < 38 ? 10 * (from + 1) + below(6) : 1 + below(clients);
    const bytes = frame(src, below(6) === 0 ? ALL : 1 + below(clients + 1), i, kind === 39 ? 1600 : 60 + below(60));
    if (below(60) === 0) bytes.set([0x81, 0, 0, [7, 8, 9][below(3)]!], 12);
    if (below(80) === 0) bytes[6] = 3;
    if (below(80) === 0) bytes.fill(0, 6, 12);
    return bytes;
  });
}

/** What happens to a switch in a random session, but for the time that passes. */
const CHANGES: ((rig: Rig, port: number, n: number) => void)[] = [
  ({ sw }, port, n) => sw.admin.setVlan(port, n < 4 ? 0 : 7),
  ({ sw }, port, n) => (n < 3 ? sw.vlans.addPort(8, port) : sw.vlans.delPort(8, port)),
  ({ sw }, port, n) => sw.admin.setIsolated(port, n < 2),
  ({ sw }, port, n) => (n < 2 ? sw.mirrorTo(5, [port], 'both') : sw.mirrorEnd(5)),
  ({ sw }, _port, n) => sw.setHub(n === 0),
  ({ sw }, port, n) => sw.setStorm(port, 'broadcast', n < 3 ? 10 : 0, 10),
  ({ sw }, _port, n) => void (n === 0 && sw.hash.setSize(1 << (7 + (sw.hash.info.hashSize === 128 ? 1 : 0)))),
  ({ sw }, _port, n) => void (n < 3 && sw.hash.flush()),
  ({ sw, endpoints, links }, port, n) => {
    if (n > 2) return;
    sw.unplug(endpoints[port - 1]!);
    endpoints[port - 1] = plugged(sw, links[port - 1]!, { port });
  },
];
const TIMES: typeof CHANGES = [
  ({ clock }, _port, n) => clock.advance(n * 1000),
  ({ sw }, _port, n) => void sw.hash.setAge(3 + n),
];

for (const seed of [1, 2, 3, 4, 5, 6])
  test(`with and without a forwarder a switch does the same, seed ${seed}`, (t) => {
    const random = new Prng(seed);
    const below = (n: number) => Math.floor(random.uniform() * n);
    const clients = 5;
    const rigs = (['batch', 'plain'] as const).map((way) => new Rig(t, way, clients, 4)) as [Rig, Rig];
    const both = (act: (rig: Rig) => void) => rigs.forEach(act);
    both(({ sw }) => {
      sw.vlans.create(7);
      sw.vlans.create(8);
    });
    const changes = [...CHANGES, ...TIMES];
    for (let round = 0; round < 150; round++) {
      const from = below(clients);
      const frames = randomFrames(below, from, clients);
      both((rig) => rig.give(from, frames));
      const [fast, plain] = rigs;
      t.deepEqual(fast.heard(), plain.heard(), `frames of round ${round}`);
      t.deepEqual(fast.state(), plain.state(), `state after round ${round}`);
      if (below(4) === 0) {
        const [change, port, n] = [changes[below(changes.length)]!, 1 + below(clients), below(6)];
        both((rig) => void change(rig, port, n));
      }
    }
    t.true(rigs[0].taken > 300, `${rigs[0].taken} frames took the fast path`);
    t.is(rigs[1].taken, 0);
  });

for (const seed of [7, 8, 9])
  test(`frames that pass by JavaScript are treated and counted as if it had seen them, seed ${seed}`, async (t) => {
    const random = new Prng(seed);
    const below = (n: number) => Math.floor(random.uniform() * n);
    const clients = 5;
    const [pump, plain] = [new Rig(t, 'pump', clients, 4, 300), new Rig(t, 'plain', clients, 4, 300)];
    for (const { sw } of [pump, plain]) {
      sw.vlans.create(7);
      sw.vlans.create(8);
    }
    let asked = 0;
    for (const { tx } of pump.links) {
      const link = tx as unknown as { ready(...of: number[]): void };
      const ready = link.ready.bind(link);
      link.ready = (...of) => {
        asked++;
        ready(...of);
      };
    }
    const rounds = 300;
    for (let round = 0; round < rounds; round++) {
      const from = below(clients);
      // Every other round is of the kind of traffic that is plain once the stations are known.
      const frames =
        round % 2 === 0
          ? randomFrames(below, from, clients)
          : Array.from({ length: 1 + below(BATCH) }, (_, i) =>
              frame(from + 1, 1 + ((from + 1 + below(clients - 1)) % clients), i),
            );
      await pump.send(from, frames);
      plain.give(from, frames);
      t.deepEqual(pump.heard(), plain.heard(), `frames of round ${round}`);
      const [ours, theirs] = [pump.state(), plain.state()];
      const where = ({ stations }: typeof ours) => stations.map(({ ageSec: _, ...rest }) => rest);
      t.deepEqual(where(ours), where(theirs), `stations after round ${round}`);
      t.deepEqual(ours.ports, theirs.ports, `ports after round ${round}`);
      t.deepEqual(
        ours.links.map(({ stats, drops }) => ({ tx: [stats.txFrames, stats.txBytes], drops })),
        theirs.links.map(({ stats, drops }) => ({ tx: [stats.txFrames, stats.txBytes], drops })),
        `links after round ${round}`,
      );
      if (below(6) === 0) {
        // Every other change takes something back.
        const n = below(2) === 0 ? 5 : below(6);
        const [change, port] = [CHANGES[below(CHANGES.length)]!, 1 + below(clients)];
        for (const rig of [pump, plain]) void change(rig, port, n);
      }
    }
    t.true(asked < rounds * 0.9, `JavaScript was called ${asked} times in ${rounds} wake-ups`);
  });

test('a full share: frames of stations that cannot be learned are forwarded and counted all the same', (t) => {
  const rig = learned(t, 2, 1);
  const drops = rig.sw.port(1)!.drops;
  rig.give(
    0,
    Array.from({ length: 60 }, (_, i) => frame(100 + i, 2, i)),
  );
  t.is(rig.taken, 60);
  t.is(drops[Drop.FdbFull], 60);
  t.is(rig.heard()[1]!.length, 60);
  t.is(rig.sw.fdb.countOf(1), 1);
});

test('a station that was silent for too long is flooded, and heard again on another port', (t) => {
  const rig = learned(t, 3);
  rig.clock.advance(6000);
  rig.give(0, [frame(1, 2, 1)]);
  t.deepEqual(
    rig.heard().map((frames) => frames.length),
    [0, 1, 1],
  );
  rig.give(2, [frame(2, 1, 2)]);
  rig.give(0, [frame(1, 2, 3)]);
  t.deepEqual(
    rig.heard().map((frames) => frames.length),
    [1, 0, 1],
  );
});

test('frames for a client that is gone, or a link that was closed while plugged in, are counted there', (t) => {
  const rig = learned(t, 3);
  native().close(rig.links[1]!.peer);
  rig.give(0, [frame(1, 2, 1), frame(1, 3, 2)]);
  rig.give(0, [frame(1, 2, 3), frame(1, 2, 4)]);
  t.is(rig.links[1]!.drops[Drop.TxError], 3);
  void rig.links[2]!.close();
  rig.give(0, [frame(1, 3, 5)]);
  t.is(rig.links[2]!.drops[Drop.LinkDown], 1);
});

test('a slow client: what its socket does not take waits in its backlog, in order, and other clients lose nothing', (t) => {
  const rig = learned(t, 3);
  let sent = 0;
  const other = () => receiveAll(rig.links[2]!.peer).length;
  let heard = 0;
  while (rig.links[1]!.drops[Drop.TxQueueFull] === 0) {
    rig.give(
      0,
      Array.from({ length: 32 }, () => frame(1, ALL, sent++)),
    );
    heard += other();
  }
  t.is(heard, sent);
  t.is(rig.links[1]!.tx.backlogged, 1024);
  const got = receiveAll(rig.links[1]!.peer).map((f) => (f[14]! << 8) | f[15]!);
  t.deepEqual(
    got,
    Array.from({ length: got.length }, (_, i) => i),
  );
  t.is(rig.taken, sent);
});

test('received by a socket: the frames of a wake-up leave in one, whatever stands between them', async (t) => {
  const rig = learned(t, 2);
  const link = rig.links[0]!;
  link.tx.attach(rig.endpoints[0]!);
  const give = (frames: Uint8Array[]) => {
    const bytes = new Uint8Array(64 * 10_000);
    const batch = native().newBatch(bytes, 64);
    frames.forEach((f, i) => {
      bytes.set(f, i * 10_000);
      batch.offs[i] = i * 10_000;
      batch.lens[i] = f.length;
    });
    t.is(native().send(link.peer, batch, 0, frames.length), frames.length);
  };
  give([frame(1, 2, 1), new Uint8Array(5), frame(9, 2, 2), new Uint8Array(9300), frame(1, 2, 3), frame(1, ALL, 4)]);
  const got: number[] = [];
  await until(() => {
    got.push(...receiveAll(rig.links[1]!.peer).map((f) => f[15]!));
    return got.length === 4;
  }, 'frames');
  t.deepEqual(got, [1, 2, 3, 4]);
  t.like(link.stats, { rxFrames: 4, rxBytes: 240 });
  t.deepEqual(dropSnapshot(link.drops), { frame_too_short: 1, frame_too_long: 1 });
});

/** Two clients whose stations, 1 and 2, are known, so that their frames pass by JavaScript. */
async function pumping(t: ExecutionContext, clients = 3): Promise<Rig> {
  const rig = new Rig(t, 'pump', clients, 1024, 300);
  for (let i = 0; i < clients; i++) await rig.send(i, [frame(i + 1, ALL, 0)]);
  await rig.send(0, [frame(1, ALL, 0)]);
  rig.heard();
  return rig;
}

test('passing by JavaScript: what a slow client does not take waits in its backlog, in order, and nothing overtakes it', async (t) => {
  const rig = await pumping(t);
  let sent = 0;
  const slow = rig.links[1]!;
  while (slow.tx.backlogged < 100) await rig.send(0, [frame(1, 2, sent++), frame(1, 2, sent++)]);
  const got: number[] = [];
  const read = () => {
    got.push(...receiveAll(slow.peer).map((f) => (f[14]! << 8) | f[15]!));
    return got.length;
  };
  read();
  await rig.send(0, [frame(1, 2, sent++)]);
  await until(() => read() === sent, 'frames');
  t.deepEqual(
    got,
    Array.from({ length: sent }, (_, i) => i),
  );
  await rig.send(0, [frame(1, 2, sent++)]);
  read();
  t.is(got.at(-1), sent - 1);
  rig.sw.ports();
  t.is(slow.stats.txFrames, sent + 3, 'three from when the stations were learned');
});

test('passing by JavaScript: a client that is gone is told once, and its frames are counted', async (t) => {
  const rig = await pumping(t);
  native().close(rig.links[1]!.peer);
  await rig.send(0, [frame(1, 2, 1), frame(1, 3, 2)]);
  await rig.send(0, [frame(1, 2, 3)]);
  t.is(rig.links[1]!.drops[Drop.TxError], 2);
  t.is(rig.heard()[2]!.length, 1);
});

test('passing by JavaScript: a link that was unplugged is heard no more, though its port is used again', async (t) => {
  const rig = await pumping(t);
  const { sw, links, endpoints } = rig;
  sw.unplug(endpoints[0]!);
  plugged(sw, links[2]!, { port: 1 });
  await rig.send(0, [frame(1, 2, 1)]);
  await rig.send(1, [frame(2, ALL, 2)]);
  await rig.send(0, [frame(1, 2, 3)]);
  t.deepEqual(
    rig.heard()[1]!.map((f) => f.slice(28, 32)),
    [],
  );
});

test('passing by JavaScript: frames that are none are left to it', async (t) => {
  const rig = await pumping(t, 2);
  const link = rig.links[0]!;
  await rig.send(0, [frame(1, 2, 1)]);
  const batch = native().newBatch(new Uint8Array(10_000), 3);
  batch.lens.set([5, 9300, 60]);
  t.is(native().send(link.peer, batch, 0, 3), 3);
  await until(() => link.drops[Drop.FrameTooLong] === 1, 'frames to be counted');
  t.is(link.drops[Drop.FrameTooShort], 1);
  t.is(rig.sw.port(1)!.drops[Drop.EthBadSource], 1);
});

test('newForwarder and forward refuse what would reach beyond the memory', (t) => {
  const api = native();
  const table = (words: number, sums: number) => ({
    ports: 2,
    touched: 0,
    lists: 0,
    words: new Int32Array(new SharedArrayBuffer(4 * words)),
    sums: new Float64Array(new SharedArrayBuffer(8 * sums)),
  });
  const stations = new Int32Array(new SharedArrayBuffer(4 * 4 * 64));
  const good = table(8 + 8 * 2, 9 * 2);
  t.throws(() => api.newForwarder(table(8 + 8 * 2 - 1, 18), stations), { code: 'ERR_OUT_OF_RANGE' });
  t.throws(() => api.newForwarder(table(24, 17), stations), { code: 'ERR_OUT_OF_RANGE' });
  t.throws(() => api.newForwarder(good, stations.subarray(4)), { code: 'ERR_OUT_OF_RANGE' });
  t.throws(() => api.newForwarder(good, new Int32Array(256)), { code: 'ERR_INVALID_ARG_TYPE' });
  const forwarder = api.newForwarder(good, stations);
  const batch = api.newBatch(new Uint8Array(100), 2);
  for (const [port, start, count] of [
    [2, 0, 1],
    [-1, 0, 1],
    [0, 3, 3],
    [0, 0, 3],
  ] as const)
    t.throws(() => forwarder.forward(port, batch, start, count), { code: 'ERR_OUT_OF_RANGE' });
  t.throws(() => forwarder.forward(0, { capacity: 1, offs: batch.offs, lens: batch.lens }, 0, 1), {
    instanceOf: TypeError,
  });
  t.is(forwarder.idOf({ capacity: 1, offs: batch.offs, lens: batch.lens }), -1);
  // A table of nonsense gives wrong forwarding at most: all words point beyond what there is.
  batch.lens.fill(60);
  for (const value of [-2, 1 << 30, 5]) {
    good.words.fill(value);
    t.is(forwarder.forward(0, batch, 0, 2), 0);
  }
  batch.lens.fill(101);
  t.is(forwarder.forward(0, batch, 0, 2), 0);
});
