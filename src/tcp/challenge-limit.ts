// How many challenge ACKs an engine sends in a second (RFC 5961 section 10). How many there are is not quite constant, so
// that nobody can count them to learn about the connections of others.

export class ChallengeLimit {
  private readonly most: number;
  private readonly mix: (second: number) => number;
  private second = -1;
  private left = 0;

  /**
   * @param most  challenge ACKs in a second, at most
   * @param mix   secret hash of a number
   */
  constructor(most: number, mix: (second: number) => number) {
    this.most = most;
    this.mix = mix;
  }

  /** True, and counted, when one more may be sent at `nowMs`. */
  allows(nowMs: number): boolean {
    const second = Math.floor(nowMs / 1000);
    if (second !== this.second) {
      this.second = second;
      this.left = this.most - ((this.mix(second) >>> 0) % (Math.floor(this.most / 2) + 1));
    }
    if (this.left <= 0) return false;
    this.left--;
    return true;
  }
}
