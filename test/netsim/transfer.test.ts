// Two engines over a link that loses, delays, duplicates and reorders: every byte arrives, both directions at once, both
// FINs are exchanged, and it takes a bounded time. VDENET_NETSIM_SEED repeats a failing run.

import test from 'ava';
import type { TcpLimits } from '../../src/tcp/index.ts';
import { type LinkOptions, Netsim, Transfer } from '../support/netsim-link.ts';

const SEED = Number(process.env['VDENET_NETSIM_SEED'] ?? 1);

interface Case extends Omit<LinkOptions, 'seed'> {
  name: string;
  /** Bytes from A to B and back. */
  bytes: [number, number];
  /** Simulated time that it may take, ms. */
  maxMs: number;
}

const small: Partial<TcpLimits> = {
  receiveBuffer: 4000,
  receiveBufferMax: 4000,
  sendBuffer: 6000,
  sendBufferMax: 6000,
};
const messy = { duplicate: 0.05, reorder: 0.1, holdMs: 8, jitterMs: 2 };

const cases: Case[] = [];
for (const loss of [0, 0.01, 0.05, 0.2]) {
  // Timeouts rule at a fifth of all segments lost; each costs 200 ms and more.
  const slow = 1 + 400 * loss * loss;
  for (const delayMs of [0, 5, 50]) {
    const name = `loss ${loss * 100} %, delay ${delayMs} ms`;
    const maxMs = (3000 + 80 * delayMs) * slow;
    cases.push({ name, loss, delayMs, rate: 100, queue: 60_000, bytes: [300_000, 300_000], maxMs });
    cases.push({
      name: `${name}, messy`,
      loss,
      delayMs,
      ...messy,
      rate: 100,
      bytes: [200_000, 100_000],
      maxMs: 2 * maxMs,
    });
  }
  const rest = { loss, delayMs: 2, rate: 100 };
  cases.push({
    name: `loss ${loss * 100} %, small windows`,
    ...rest,
    ...messy,
    limits: small,
    bytes: [60_000, 60_000],
    maxMs: 12_000 * slow,
  });
  cases.push({
    name: `loss ${loss * 100} %, timestamps`,
    ...rest,
    limits: { offerTimestamps: true },
    bytes: [200_000, 200_000],
    maxMs: 6000 * slow,
  });
  cases.push({ name: `loss ${loss * 100} %, half close first`, ...rest, bytes: [0, 200_000], maxMs: 6000 * slow });
  cases.push({
    name: `loss ${loss * 100} %, large frames`,
    ...rest,
    mtu: 65_000,
    bytes: [2_000_000, 500_000],
    maxMs: 12_000 * slow,
  });
}

for (const c of cases) {
  test(`netsim: ${c.name}`, (t) => {
    for (const seed of [SEED, SEED + 1]) {
      // At such loss the last ACK may need longer than our TIME-WAIT: RFC 9293's 2 MSL here.
      const limits = { ...c.limits, ...((c.loss ?? 0) < 0.2 ? {} : { timeWaitMs: 240_000 }) };
      const sim = new Netsim({ ...c, limits, seed });
      const a = new Transfer(c.bytes[0], 3, 5);
      const b = new Transfer(c.bytes[1], 5, 3);
      sim.open(a, b);
      const ms = sim.run(() => a.end !== null && b.end !== null, c.maxMs);
      const say = `seed ${seed}\nA ${JSON.stringify(a.c?.snapshot())}\nB ${JSON.stringify(b.c?.snapshot())}\n${sim.summary()}`;
      t.true(ms >= 0, `not done after ${c.maxMs} ms, ${say}`);
      t.deepEqual([a.end, b.end, a.wrong, b.wrong], ['closed', 'closed', -1, -1], say);
      t.deepEqual([b.received, a.received], c.bytes, say);
      t.deepEqual([b.peerClosedAt, a.peerClosedAt], c.bytes, say);
      t.is(sim.a.memoryUsed + sim.b.memoryUsed, 0, say);
    }
  });
}

test('netsim: a reader that stops and goes on loses nothing and the window never overflows', (t) => {
  for (const loss of [0, 0.05]) {
    const sim = new Netsim({ seed: SEED, loss, delayMs: 1, rate: 100 });
    const a = new Transfer(300_000, 3, 5);
    const b = new Transfer(1000, 5, 3, 2000);
    sim.open(a, b);
    const ms = sim.run(() => a.end !== null && b.end !== null, 60_000, { ms: 5, run: () => b.read() });
    t.true(ms > 0, `seed ${SEED}, loss ${loss}\n${sim.summary()}`);
    t.is(b.received, 300_000);
    t.is(b.wrong, -1);
    // 2000 bytes in 5 ms is what the reader takes.
    t.true(ms >= 700, `${ms}`);
  }
});

test('netsim: sequence numbers pass 2^31 and 2^32', (t) => {
  for (const start of [0x7fff_8000, 0xffff_8000]) {
    const sim = new Netsim({
      seed: SEED,
      loss: 0.03,
      delayMs: 2,
      ...messy,
      rate: 100,
      limits: { offerTimestamps: true },
    });
    sim.a.isnFor = () => start | 0;
    sim.b.isnFor = () => start | 0;
    const a = new Transfer(150_000, 3, 5);
    const b = new Transfer(150_000, 5, 3);
    sim.open(a, b);
    const ms = sim.run(() => a.end !== null && b.end !== null, 30_000);
    t.true(ms >= 0, `seed ${SEED}\n${sim.summary()}`);
    t.deepEqual([a.received, b.received, a.wrong, b.wrong], [150_000, 150_000, -1, -1]);
  }
});

test('netsim: many connections at once over one lossy link', (t) => {
  const sim = new Netsim({ seed: SEED, loss: 0.03, delayMs: 3, jitterMs: 1, rate: 100, queue: 100_000 });
  const pairs: [Transfer, Transfer][] = [];
  for (let i = 0; i < 20; i++) {
    const a = new Transfer(20_000 + i, i, i + 1);
    const b = new Transfer(10_000 + i, i + 1, i);
    sim.open(a, b, 2000 + i);
    pairs.push([a, b]);
  }
  const ms = sim.run(() => pairs.every(([a, b]) => a.end !== null && b.end !== null), 60_000);
  t.true(ms >= 0, `seed ${SEED}`);
  for (const [i, [a, b]] of pairs.entries()) {
    t.deepEqual([a.received, b.received, a.wrong, b.wrong], [10_000 + i, 20_000 + i, -1, -1]);
  }
});

test('netsim: time by loss and by receive buffer', (t) => {
  // 500 kB one way, 10 ms each way, 100 Mbit/s. Simulated ms, mean of three seeds: whoever changes recovery or congestion
  // control sees here what it does.
  const table: string[] = [];
  const buffers = [8, 32, 128, 256];
  table.push(`loss %   ${buffers.map((k) => `${k} KiB`.padStart(8)).join('')}`);
  for (const loss of [0, 0.001, 0.01, 0.03, 0.1]) {
    const row = buffers.map((kib) => {
      let sum = 0;
      for (const seed of [11, 12, 13]) {
        const limits = { receiveBuffer: kib << 10, receiveBufferMax: kib << 10 };
        const sim = new Netsim({ seed, loss, delayMs: 10, rate: 100, queue: 100_000, limits });
        const a = new Transfer(500_000, 3, 5);
        const b = new Transfer(0, 5, 3);
        sim.open(a, b);
        sum += sim.run(() => b.received === 500_000, 600_000);
      }
      return String(Math.round(sum / 3)).padStart(8);
    });
    table.push(`${String(loss * 100).padEnd(9)}${row.join('')}`);
  }
  t.snapshot(table.join('\n'));
});

test('netsim: windows and buffers grow to fill a path of 100 ms', (t) => {
  const sim = new Netsim({ seed: SEED, delayMs: 50, rate: 200, queue: 2_500_000 });
  const a = new Transfer(40_000_000, 3, 5);
  const b = new Transfer(0, 5, 3);
  sim.open(a, b);
  const ms = sim.run(() => b.received === 40_000_000, 60_000);
  const ideal = (40_000_000 * 8) / 200_000;
  t.true(
    ms > 0 && ms < 2 * ideal,
    `${Math.round(ms)} ms, ${ideal} at the path's rate: ${JSON.stringify(a.c?.snapshot())}`,
  );
});

test('netsim: a path of 50 ms is filled though its queue holds 93 frames only', (t) => {
  const bytes = 20_000_000;
  const sim = new Netsim({ seed: SEED, delayMs: 25, rate: 200, queue: 93 * 1514 });
  const a = new Transfer(bytes, 3, 5);
  const b = new Transfer(0, 5, 3);
  sim.open(a, b);
  const ms = sim.run(() => b.received === bytes, 60_000);
  const ideal = (bytes * 8) / 200_000;
  const say = `${Math.round(ms)} ms, ${ideal} at the path's rate: ${JSON.stringify(a.c?.snapshot())}`;
  // Half a second is what it takes to find the rate; a fifth of all is sent by then.
  t.true(ms > 0 && ms < 500 + ideal, say);
  t.true(a.c!.snapshot().retransmits < 0.05 * (bytes / 1460), say);
});

test('netsim: on a LAN with room for a long queue none longer than 5 ms builds up', (t) => {
  const sim = new Netsim({ seed: SEED, delayMs: 0.1, rate: 1000, queue: 4_000_000 });
  const a = new Transfer(60_000_000, 3, 5);
  const b = new Transfer(0, 5, 3);
  sim.open(a, b);
  let longest = 0;
  const look = { ms: 1, run: () => (longest = Math.max(longest, a.c?.snapshot().srttMs ?? 0)) };
  const ms = sim.run(() => b.received === 60_000_000, 60_000, look);
  t.true(longest < 5, `${longest} ms`);
  t.true(ms > 0 && ms < 700, `${Math.round(ms)} ms, 480 at the rate of the link`);
});
