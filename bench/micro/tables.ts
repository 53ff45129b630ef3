// Tables of the data path: forwarding database, flow look-up, timer wheel. Each with few and with many entries, since the
// cost of a look-up must not depend on how many there are.

import { MAPPED } from '../../src/core/address.ts';
import { SystemClock } from '../../src/core/clock.ts';
import { TimerWheel } from '../../src/core/timer-wheel.ts';
import { TupleTable } from '../../src/core/tuple-table.ts';
import { Fdb } from '../../src/switch/fdb.ts';
import type { Case } from './case.ts';

/** The usual linear congruential generator: the same numbers in each run. */
function generator(): () => number {
  let state = 1;
  return () => (state = (Math.imul(state, 1664525) + 1013904223) | 0);
}

function fdb(stations: number, floodPerFrame: number): (n: number) => void {
  const table = new Fdb({ ports: 32 });
  const next = generator();
  const macs = Int32Array.from({ length: stations }, () => next());
  for (let i = 0; i < stations; i++) table.learn(0, 0x5254, macs[i]!, 1 + (i % 16), 0);
  let found = 0;
  let frame = 0;
  return (n) => {
    for (let i = 0; i < n; i++, frame++) {
      const src = frame % stations;
      table.learn(0, 0x5254, macs[src]!, 1 + (src % 16), 0);
      if (table.lookup(0, 0x5254, macs[(frame * 7 + 1) % stations]!, 0) >= 0) found++;
      for (let f = 0; f < floodPerFrame; f++) table.learn(0, 0x0200, next(), 20, 0);
    }
    if (found < 0) throw new Error('no station was found');
  };
}

function flows(count: number): (n: number) => void {
  const table = new TupleTable(0x12345678, 0x0f1e2d3c);
  for (let i = 0; i < count; i++) table.set(0, 0, MAPPED, 0x0a00020f, 0, 0, MAPPED, 0xc6336402 | 0, (i << 16) | 443, i);
  let at = 0;
  return (n) => {
    for (let i = 0; i < n; i++) {
      at = (at + 7919) % count;
      if (table.find(0, 0, MAPPED, 0x0a00020f, 0, 0, MAPPED, 0xc6336402 | 0, (at << 16) | 443) !== at)
        throw new Error();
    }
  };
}

function timers(count: number): (n: number) => void {
  const wheel = new TimerWheel(new SystemClock());
  const set = Array.from({ length: count }, () => wheel.timer(() => {}));
  let at = 0;
  return (n) => {
    for (let i = 0; i < n; i++) {
      at = (at + 7919) % count;
      set[at]!.set(200 + (i & 0xffff));
    }
  };
}

const TABLES: readonly Case[] = [
  { name: 'fdb: learn and look up, 2 stations', prepare: () => fdb(2, 0) },
  { name: 'fdb: learn and look up, 8,000 stations', prepare: () => fdb(8000, 0) },
  { name: 'fdb: the same with 100, and a new source with each frame', prepare: () => fdb(100, 1) },
  { name: 'flows: look up one of 10', prepare: () => flows(10) },
  { name: 'flows: look up one of 10,000', prepare: () => flows(10_000) },
  { name: 'timers: restart one of 10', prepare: () => timers(10) },
  { name: 'timers: restart one of 10,000', prepare: () => timers(10_000) },
];

export default TABLES;
