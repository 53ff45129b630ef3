// The numbers behind all generated inputs: small, fast, and the same for the same seed. Not for secrets.

/** The environment variable that sets the seed, so that a run which failed can be had again. */
export const SEED_VARIABLE = 'VDENET_FUZZ_SEED';

/** The seed of this run: what the environment says, or a new one each time. Unsigned 32 bits. */
export function seedOfRun(): number {
  const text = process.env[SEED_VARIABLE];
  return text === undefined ? (Date.now() * 2654435761) >>> 0 : Number.parseInt(text, 10) >>> 0;
}

/** xorshift32 (Marsaglia 2003) behind a seed that is stirred first, so that neighbouring seeds differ at once. */
export class Random {
  private state: number;

  constructor(seed: number) {
    let h = (seed ^ 0x9e3779b9) >>> 0;
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    this.state = (h ^ (h >>> 16)) >>> 0 || 1;
  }

  /** 0 to 2^32 - 1. */
  next(): number {
    let x = this.state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x >>> 0;
    return this.state;
  }

  /** 0 to n - 1. */
  below(n: number): number {
    return Math.floor((this.next() / 0x1_0000_0000) * n);
  }

  /** True `percent` times of a hundred. */
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }

  bytes(n: number): Uint8Array {
    const b = new Uint8Array(n);
    for (let i = 0; i < n; i++) b[i] = this.next() >>> 11;
    return b;
  }
}
