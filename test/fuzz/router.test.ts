// The whole router under a million frames, a minute of work for one CPU. A run that fails prints its seed
// (VDENET_FUZZ_SEED=N repeats it) and leaves its input, made shorter, in test/fuzz/corpus: keep it there with the fix.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import test, { type ExecutionContext } from 'ava';
import { failure, keep, kept } from './support/corpus.ts';
import { Random, SEED_VARIABLE, seedOfRun } from './support/random.ts';
import { RouterRun, type Step } from './support/router-run.ts';
import { Traffic } from './support/traffic.ts';

const FRAMES = 1_000_000;
const FRAMES_PER_ROUTER = 10_000;
/** Of these, what one router gets, in parts; how much more the process may hold after the last one than after half, bytes. */
const LONG_LIFE_FRAMES = 200_000;
const PARTS = 4;
const GROWTH = 6 << 20;

const seed = seedOfRun();

/** Sends `frames` frames and what else happens meanwhile; every step goes to `steps` before it is played. */
function pour(run: RouterRun, traffic: Traffic, random: Random, frames: number, steps: Step[]): void {
  const play = (step: Step): void => {
    steps.push(step);
    for (const f of run.play(step)) traffic.hear(f);
    if (steps.length % 256 === 0) run.bounded();
  };
  for (let n = 0; n < frames; n++) {
    play(traffic.next());
    const what = random.below(100);
    if (what < 35) play({ host: random.next() });
    else if (what < 42) play({ ms: random.below(300) });
    else if (what === 42) play({ ms: random.below(20_000) });
  }
  run.bounded();
}

async function fail(t: ExecutionContext, variant: number, steps: Step[], error: Error): Promise<void> {
  const path = await keep({ variant, steps }, `router-${seed}-${variant}`, error.message);
  t.fail(`${SEED_VARIABLE}=${seed}: ${error.message}\nthe input is in ${path}\n${error.stack}`);
}

/** Bytes of the heap and of buffers in use after a collection. */
function held(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

// One after the other: side by side each would be said to take as long as all.
for (const [name, script] of kept()) {
  test.serial(`kept input: ${name}`, async (t) => t.is(await failure(script), null));
}

test.serial(
  `${FRAMES - LONG_LIFE_FRAMES} frames through new routers: no exception, all sent is well-formed, nothing is left`,
  async (t) => {
    for (let i = 0; i < (FRAMES - LONG_LIFE_FRAMES) / FRAMES_PER_ROUTER; i++) {
      const random = new Random(seed + i);
      const run = await RouterRun.open(i);
      const steps: Step[] = [];
      try {
        pour(run, new Traffic(random), random, FRAMES_PER_ROUTER, steps);
        run.finish();
      } catch (error) {
        await fail(t, i, steps, error as Error);
        return;
      }
    }
    t.pass();
  },
);

test.serial(`${LONG_LIFE_FRAMES} frames through one router: its memory does not grow`, async (t) => {
  const random = new Random(seed ^ 0x5a5a5a5a);
  const run = await RouterRun.open(0);
  const traffic = new Traffic(random);
  const levels: number[] = [];
  for (let part = 0; part < PARTS; part++) {
    const steps: Step[] = [];
    try {
      pour(run, traffic, random, LONG_LIFE_FRAMES / PARTS, steps);
      run.finish();
    } catch (error) {
      await fail(t, 0, steps, error as Error);
      return;
    }
    steps.length = 0;
    run.bounded();
    levels.push(held());
  }
  // While the first parts go through, its tables fill: they are bounded. A level by itself is within some MB of the truth.
  const grown = Math.min(...levels.slice(PARTS / 2)) - Math.max(...levels.slice(0, PARTS / 2));
  t.true(grown < GROWTH, `${SEED_VARIABLE}=${seed}: ${levels.join(', ')} bytes`);
});
