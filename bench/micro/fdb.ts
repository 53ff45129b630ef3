// Forwarding database: nanoseconds for what the switch does with each frame (learn the source, look up the destination),
// with few stations, with a full table, and while somebody floods random sources.
//
//   node --import=tsx bench/micro/fdb.ts

import { Fdb } from '../../src/switch/fdb.ts';

const FRAMES = 4_000_000;
const ROUNDS = 5;

/** Best of some rounds, ns per frame. */
function measure(name: string, stations: number, floodPerFrame: number): void {
  const fdb = new Fdb({ ports: 32 });
  let random = 1;
  const next = () => (random = Math.imul(random, 1664525) + 1013904223);
  // Addresses with a common prefix and random tails, spread over ports within their shares.
  const macs = Int32Array.from({ length: stations }, () => next());
  for (let i = 0; i < stations; i++) fdb.learn(0, 0x5254, macs[i]!, 1 + (i % 16), 0);
  let best = Number.POSITIVE_INFINITY;
  let found = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    for (let n = 0; n < FRAMES; n++) {
      const src = n % stations;
      fdb.learn(0, 0x5254, macs[src]!, 1 + (src % 16), n >>> 12);
      if (fdb.lookup(0, 0x5254, macs[(n * 7 + 1) % stations]!, n >>> 12) >= 0) found++;
      for (let i = 0; i < floodPerFrame; i++) fdb.learn(0, 0x0200, next(), 20, n >>> 12);
    }
    best = Math.min(best, ((performance.now() - start) * 1e6) / FRAMES);
  }
  const share = ((100 * found) / (FRAMES * ROUNDS)).toFixed(0);
  console.log(
    `${name.padEnd(42)} ${best.toFixed(1).padStart(6)} ns per frame   (${share} % found, ${fdb.size} entries)`,
  );
}

measure('2 stations', 2, 0);
measure('100 stations', 100, 0);
measure('8000 stations', 8000, 0);
measure('100 stations, one random source per frame', 100, 1);
