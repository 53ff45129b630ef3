// A small generator of random numbers that gives the same ones for the same seed: for simulations, never for secrets.

/** sfc32 (Doty-Humphrey, PractRand): 128 bits of state, a period of about 2^127. */
export class Prng {
  private a: number;
  private b: number;
  private c: number;
  private counter = 1;
  /** The second of a pair of normal numbers, when there is one. */
  private spare = Number.NaN;

  /** @param seed, stream  any integers; streams of one seed are independent of each other */
  constructor(seed: number, stream = 0) {
    this.a = seed | 0;
    this.b = stream | 0;
    this.c = Math.floor(seed / 2 ** 32) | 0;
    for (let i = 0; i < 15; i++) this.word();
  }

  /** 32 random bits, signed. */
  word(): number {
    const out = (this.a + this.b + this.counter) | 0;
    this.counter = (this.counter + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = ((this.c << 21) | (this.c >>> 11)) + out;
    return out;
  }

  /** From [0, 1), with 32 bits. */
  uniform(): number {
    return (this.word() >>> 0) / 2 ** 32;
  }

  /** From the normal distribution with mean 0 and deviation 1 (Marsaglia's polar method). */
  normal(): number {
    if (!Number.isNaN(this.spare)) {
      const spare = this.spare;
      this.spare = Number.NaN;
      return spare;
    }
    for (;;) {
      const u = 2 * this.uniform() - 1;
      const v = 2 * this.uniform() - 1;
      const s = u * u + v * v;
      if (s >= 1 || s === 0) continue;
      const scale = Math.sqrt((-2 * Math.log(s)) / s);
      this.spare = v * scale;
      return u * scale;
    }
  }

  /** How many events happen in a stretch in which `mean` are to be expected (Poisson); at most `most`. */
  poisson(mean: number, most: number): number {
    const limit = Math.exp(-Math.min(mean, 700));
    let n = 0;
    for (let p = this.uniform(); p > limit && n < most; p *= this.uniform()) n++;
    return n;
  }
}
