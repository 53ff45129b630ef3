// Whether a lack of host resources (descriptors, ports, memory) lasts.
//
// At first a guest's SYN is met with silence: it tries again after a second, and by then there may be room. When there
// has been none for LASTING_MS, the guest is told "refused" instead of being left to its timeout.

/** A SYN's first three retries (after 1, 3 and 7 s by RFC 6298) straddle this. */
const LASTING_MS = 3000;
/** Failures further apart than this are two shortages, not one. */
const PAUSE_MS = 30_000;

export class Shortage {
  private since = Number.NEGATIVE_INFINITY;
  private latest = Number.NEGATIVE_INFINITY;

  /** A host socket failed for lack of resources; true when that has been so for a while. */
  met(now: number): boolean {
    if (now - this.latest > PAUSE_MS) this.since = now;
    this.latest = now;
    return now - this.since >= LASTING_MS;
  }

  /** A host socket could be had. */
  over(): void {
    this.latest = Number.NEGATIVE_INFINITY;
  }
}
