// Clients of TCP forwards that came before their guest was known (a guest by name has no lease yet).
//
// They are kept, unread, for up to HOLD_MS while the guest is asked for four times a second: a guest that boots gets them,
// and who connects to it meets no refusal. At the end of that time, or when there are too many, they get a RST.

import type { TimerWheel } from '../core/timer-wheel.ts';
import type { HostTcp, HostTcpUser } from '../host/host-net.ts';

const HOLD_MS = 10_000;
const POLL_MS = 250;
/** In all, and of one forward. Each holds a host descriptor. */
const MAX_HELD = 256;
const MAX_HELD_PER_FORWARD = 64;

class HeldClient implements HostTcpUser {
  readonly client: HostTcp;
  readonly forward: number;
  readonly until: number;
  readonly attempt: () => boolean;
  /** The client has gone by itself. */
  gone = false;

  constructor(client: HostTcp, forward: number, until: number, attempt: () => boolean) {
    this.client = client;
    this.forward = forward;
    this.until = until;
    this.attempt = attempt;
  }

  failed(): void {
    this.gone = true;
  }
  closed(): void {
    this.gone = true;
  }
  // It is paused: nothing else happens to it.
  connected(): void {}
  data(): void {}
  end(): void {}
  drained(): void {}
}

export class HeldClients {
  private held: HeldClient[] = [];
  private readonly wheel: TimerWheel;
  private readonly timer: { set(ms: number): void; cancel(): void };

  constructor(wheel: TimerWheel) {
    this.wheel = wheel;
    this.timer = wheel.timer(() => this.poll());
  }

  get size(): number {
    return this.held.length;
  }

  get limit(): number {
    return MAX_HELD;
  }

  /**
   * Keeps a client that was just accepted (paused, without a user).
   *
   * @param forward  number of its forward, for `drop`
   * @param attempt  hands the client on and gives true, once the guest is known
   * @returns        false when there are too many: the client is its caller's again
   */
  hold(client: HostTcp, forward: number, attempt: () => boolean): boolean {
    if (this.held.length >= MAX_HELD) return false;
    if (this.held.filter((each) => each.forward === forward).length >= MAX_HELD_PER_FORWARD) return false;
    const each = new HeldClient(client, forward, this.wheel.clock.now() + HOLD_MS, attempt);
    client.user = each;
    this.held.push(each);
    if (this.held.length === 1) this.timer.set(POLL_MS);
    return true;
  }

  /** Resets the clients of a forward that is closed. */
  drop(forward: number): void {
    this.keep((each) => {
      if (each.forward !== forward) return true;
      each.client.reset();
      return false;
    });
  }

  private poll(): void {
    const now = this.wheel.clock.now();
    this.keep((each) => {
      if (each.gone || each.attempt()) return false;
      if (now < each.until) return true;
      each.client.reset();
      return false;
    });
    if (this.held.length > 0) this.timer.set(POLL_MS);
  }

  private keep(test: (each: HeldClient) => boolean): void {
    this.held = this.held.filter(test);
  }

  /** Resets all. */
  close(): void {
    this.timer.cancel();
    this.keep((each) => {
      each.client.reset();
      return false;
    });
  }
}
