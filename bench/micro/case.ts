// What a micro benchmark is here, and how it is measured.
//
// Times are CPU time of this process, since on a busy machine wall time says nothing; each case's best of some rounds
// counts. A round runs every case once for about the same time, and a reference loop in plain JavaScript before each of
// them: the figure to compare between machines and runs is the ratio of a case to that loop.

export interface Case {
  /** `room: what one operation is`. */
  readonly name: string;
  /** Prepares what the operations need and returns what does `n` of them. */
  readonly prepare: () => (n: number) => void;
}

export interface Result {
  readonly name: string;
  /** Best round, ns of CPU time for one operation. */
  readonly ns: number;
  /** `ns` over that of one reference loop. */
  readonly ratio: number;
}

/** Warm-up of each case, ms of CPU time. */
const WARM_MS = 500;

/** CPU time of this process, ms. */
export function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

const bytes = Uint8Array.from({ length: 1460 }, (_, i) => i * 7);
let sink = 0;

/** The reference: adds up the bytes of one full segment, one by one. */
function reference(n: number): void {
  for (let i = 0; i < n; i++) {
    let sum = 0;
    for (let o = 0; o < bytes.length; o++) sum += bytes[o]!;
    sink = (sink + sum) | 0;
  }
}

function nsEach(run: (n: number) => void, n: number): number {
  const start = cpuMs();
  run(n);
  return ((cpuMs() - start) * 1e6) / n;
}

/** How many operations take about `ms`. Runs them for `warmMs` first: the compiler needs that long. */
function calibrate(run: (n: number) => void, ms: number, warmMs: number): number {
  let n = 64;
  for (let took = 0; took < warmMs; ) {
    const each = nsEach(run, n);
    took += (each * n) / 1e6;
    n = Math.max(1, Math.round(Math.min(n * 4, (ms * 1e6) / each)));
  }
  return n;
}

/**
 * Runs all cases, interleaved.
 *
 * @param rounds   best of so many
 * @param roundMs  CPU time of one round of one case, ms
 */
export function measure(cases: readonly Case[], rounds: number, roundMs: number): Result[] {
  const refN = calibrate(reference, roundMs / 4, WARM_MS);
  const runs = cases.map(({ name, prepare }) => {
    const run = prepare();
    return { name, run, n: calibrate(run, roundMs, WARM_MS), best: Number.POSITIVE_INFINITY };
  });
  let ref = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    for (const r of runs) {
      ref = Math.min(ref, nsEach(reference, refN));
      r.best = Math.min(r.best, nsEach(r.run, r.n));
    }
  }
  return runs.map(({ name, best }) => ({ name, ns: best, ratio: best / ref }));
}
