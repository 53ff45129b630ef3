// A hierarchical timer wheel: many timers, one clock wake-up.
//
// Four levels of 64 slots. A slot of level 0 is TICK_MS wide, a slot of each higher level 64 times as wide, so the
// wheel spans 18 hours; anything later waits in the last slot and is looked at again. Setting, moving and cancelling
// a timer cost the same whatever their number. A timer that is moved to a later time (what an RTO does with every
// ACK) is not even unlinked: its slot finds the new deadline when it comes up and puts the timer where it belongs.
//
//   level 0   64 x 4 ms        0.26 s
//   level 1   64 x 256 ms     16.4 s
//   level 2   64 x 16.4 s     17.5 min
//   level 3   64 x 17.5 min   18.6 h
//
// Timers never fire early. They fire late by at most one tick plus the lateness of the clock's wake-up.

import type { Clock } from './clock.ts';

const TICK_MS = 4;
const LEVEL_BITS = 6;
const SLOTS = 1 << LEVEL_BITS;
const LEVELS = 4;
const MAX_TICKS = 2 ** (LEVEL_BITS * LEVELS) - 1;
/** Ticks that one slot of each level spans. */
const WIDTH = [1, SLOTS, SLOTS ** 2, SLOTS ** 3] as const;

/** One timer; made once for its owner, armed and disarmed as often as needed. */
export class Timer {
  /** When to fire, monotonic ms; `Infinity` when disarmed. */
  deadline = Number.POSITIVE_INFINITY;
  /** Internal to the wheel: neighbours in the slot's list, and the slot (-1: in none). */
  next: Timer | null = null;
  prev: Timer | null = null;
  slot = -1;
  private readonly wheel: TimerWheel;
  readonly onExpire: () => void;

  constructor(wheel: TimerWheel, onExpire: () => void) {
    this.wheel = wheel;
    this.onExpire = onExpire;
  }

  get armed(): boolean {
    return this.deadline !== Number.POSITIVE_INFINITY;
  }

  /** Arms the timer to fire `delayMs` from now, replacing an earlier deadline. */
  set(delayMs: number): void {
    this.wheel.arm(this, this.wheel.clock.now() + delayMs);
  }

  /** Arms the timer to fire at `atMs` (monotonic ms), replacing an earlier deadline. */
  setAt(atMs: number): void {
    this.wheel.arm(this, atMs);
  }

  cancel(): void {
    this.deadline = Number.POSITIVE_INFINITY;
    if (this.slot >= 0) this.wheel.unlink(this);
  }
}

export class TimerWheel {
  readonly clock: Clock;
  private readonly slots: (Timer | null)[] = new Array<Timer | null>(SLOTS * LEVELS).fill(null);
  /** Number of timers per slot level, so that empty levels are skipped. */
  private readonly population = new Int32Array(LEVELS);
  /** The tick up to which all slots of level 0 have been run. */
  private tick: number;
  private wakeTick = Number.POSITIVE_INFINITY;
  private readonly runBound: () => void;
  private count = 0;

  constructor(clock: Clock) {
    this.clock = clock;
    this.tick = Math.floor(clock.now() / TICK_MS);
    this.runBound = () => this.run();
  }

  /** Makes a disarmed timer that calls `onExpire` when it fires. */
  timer(onExpire: () => void): Timer {
    return new Timer(this, onExpire);
  }

  /** Number of armed timers. */
  get size(): number {
    return this.count;
  }

  arm(timer: Timer, atMs: number): void {
    if (timer.slot >= 0 && atMs >= timer.deadline) {
      timer.deadline = atMs; // found and moved when the slot comes up
      return;
    }
    if (timer.slot >= 0) this.unlink(timer);
    timer.deadline = atMs;
    if (atMs === Number.POSITIVE_INFINITY) return;
    this.link(timer);
    const due = Math.max(Math.ceil(atMs / TICK_MS), this.tick + 1);
    if (due < this.wakeTick) this.schedule(due);
  }

  unlink(timer: Timer): void {
    const { prev, next, slot } = timer;
    if (prev !== null) prev.next = next;
    else this.slots[slot] = next;
    if (next !== null) next.prev = prev;
    timer.prev = timer.next = null;
    timer.slot = -1;
    this.population[slot >> LEVEL_BITS]!--;
    this.count--;
  }

  private link(timer: Timer): void {
    const due = Math.max(Math.ceil(timer.deadline / TICK_MS), this.tick + 1);
    let delta = Math.min(due - this.tick, MAX_TICKS);
    const at = this.tick + delta;
    let level = 0;
    while (delta >= SLOTS) {
      delta = Math.floor(delta / SLOTS);
      level++;
    }
    const slot = level * SLOTS + (Math.floor(at / WIDTH[level]!) % SLOTS);
    const head = this.slots[slot]!;
    timer.next = head;
    timer.prev = null;
    if (head !== null) head.prev = timer;
    this.slots[slot] = timer;
    timer.slot = slot;
    this.population[level]!++;
    this.count++;
  }

  /** Fires all timers that are due. Called by the clock; harmless at any other time. */
  run(): void {
    this.wakeTick = Number.POSITIVE_INFINITY;
    const nowTick = Math.floor(this.clock.now() / TICK_MS);
    while (this.tick < nowTick) {
      if (this.count === 0) {
        this.tick = nowTick;
        break;
      }
      const next = this.nextTick();
      if (next > nowTick) {
        this.tick = nowTick;
        break;
      }
      this.tick = next;
      for (let level = LEVELS - 1; level > 0; level--) {
        if (next % WIDTH[level]! === 0) this.drain(level, next);
      }
      this.drain(0, next);
    }
    if (this.count > 0) this.schedule(this.nextTick());
  }

  /** Empties the slot of `level` that `tick` opens: due timers fire, the others move to where they belong. */
  private drain(level: number, tick: number): void {
    const slot = level * SLOTS + (Math.floor(tick / WIDTH[level]!) % SLOTS);
    let timer = this.slots[slot]!;
    // Detached first: what a callback arms for this very slot belongs to the next round.
    const due: Timer[] = [];
    while (timer !== null) {
      const next = timer.next;
      this.unlink(timer);
      if (timer.deadline <= tick * TICK_MS) due.push(timer);
      else if (timer.deadline !== Number.POSITIVE_INFINITY) this.link(timer);
      timer = next!;
    }
    for (const t of due) {
      if (t.slot >= 0 || t.deadline > tick * TICK_MS) continue; // moved or cancelled by an earlier callback
      t.deadline = Number.POSITIVE_INFINITY;
      t.onExpire();
    }
  }

  /** The first tick after the present one at which a slot with timers opens. */
  private nextTick(): number {
    let best = Number.POSITIVE_INFINITY;
    for (let level = 0; level < LEVELS; level++) {
      if (this.population[level] === 0) continue;
      const width = WIDTH[level]!;
      const base = Math.floor(this.tick / width);
      for (let i = 1; i <= SLOTS; i++) {
        if (this.slots[level * SLOTS + ((base + i) % SLOTS)] !== null) {
          best = Math.min(best, (base + i) * width);
          break;
        }
      }
    }
    return best;
  }

  private schedule(tick: number): void {
    this.wakeTick = tick;
    this.clock.wake(tick * TICK_MS, this.runBound);
  }
}
