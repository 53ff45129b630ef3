// Router advertisements: who gets one, and when (RFC 4861 section 6.2).
//
//   start       three advertisements to all, at most 16 s apart, then one at a random time between the minimal and the
//               maximal interval after the last
//   solicited   from an address: an answer to that address alone (RFC 7772), after up to 0.5 s; asked again meanwhile it
//               stays one answer. From ::, or when too many ask: one to all, at least 3 s after the last one
//   available   (when followed) looked at every 5 s: when the host loses or gets its way out, an advertisement to all says
//               so with router lifetime 0, or with the usual one
//   close       one to all with lifetime 0
//
// Limits: ten answers a second, 64 that wait. An RS flood therefore costs the network no more than that.

import { Drop, type DropCounters } from '../core/drop.ts';
import type { Timer, TimerWheel } from '../core/timer-wheel.ts';
import { type RouterAdvert, type Words, write } from '../wire/router-advert.ts';
import { type RaSettings, withdrawn } from './ra-settings.ts';
import { TokenBucket } from './rate-limit.ts';

// RFC 4861 section 10
export const MAX_INITIAL_MS = 16_000;
export const INITIAL_COUNT = 3;
export const MAX_RA_DELAY_MS = 500;
/** Answers to single solicitors each second, and those that wait for their time. */
export const ANSWERS_PER_SEC = 10;
export const PENDING_MAX = 64;
export const LOOK_MS = 5000;

/** Who solicits: words of its link-local address, all 0 for ::. */
export type Solicitor = Words;

/** What may change at run time. */
export interface RaOffer {
  readonly settings: RaSettings;
  /** What is advertised, as it is now. */
  readonly advert: () => RouterAdvert;
  /** Whether the router leads anywhere; null: nobody asks. */
  readonly available: (() => boolean) | null;
}

export interface RouterAdvertiserOptions extends RaOffer {
  readonly wheel: TimerWheel;
  readonly drops: DropCounters;
  /** A uniform unpredictable number, 0 to 2^32 - 1. */
  readonly random: () => number;
  /** Sends an ICMPv6 message without checksum, with hop limit 255; null: to all nodes (ff02::1). */
  readonly send: (to: Solicitor | null, message: Uint8Array) => void;
}

interface Pending {
  readonly to: Solicitor;
  readonly at: number;
}

export class RouterAdvertiser {
  private options: RouterAdvertiserOptions;
  private readonly pending = new Map<string, Pending>();
  private readonly answers: TokenBucket;
  private readonly answerTimer: Timer;
  private readonly periodic: Timer;
  private readonly lookTimer: Timer;
  private lastToAll = Number.NEGATIVE_INFINITY;
  /** Advertisements sent since the start. */
  sentToAll = 0;
  sentToOne = 0;
  /** Those to all since the start, or since the link is up again. */
  private sent = 0;
  private wasAvailable = true;
  private running = false;
  private begun = false;

  constructor(options: RouterAdvertiserOptions) {
    this.options = options;
    const { wheel } = options;
    this.answers = new TokenBucket(ANSWERS_PER_SEC, ANSWERS_PER_SEC, wheel.clock.now());
    this.answerTimer = wheel.timer(() => this.answerDue());
    this.periodic = wheel.timer(() => this.toAll());
    this.lookTimer = wheel.timer(() => this.look());
  }

  /** Begins to advertise. Does nothing when the settings say not to. */
  start(): void {
    const { settings, available } = this.options;
    this.begun = true;
    if (!settings.advSendAdvert || this.running) return;
    this.running = true;
    this.wasAvailable = available?.() ?? true;
    if (available !== null) this.lookTimer.set(LOOK_MS);
    if (!settings.unicastOnly) this.toAll();
  }

  /**
   * Says something else from now on, and says so soon. Prefixes and servers that it does not name any more are not
   * withdrawn: guests keep them until their lifetimes end.
   */
  change(offer: RaOffer): void {
    const was = this.running;
    if (was && !offer.settings.advSendAdvert) this.close();
    this.options = { ...this.options, ...offer };
    this.lookTimer.cancel();
    if (!this.begun || !offer.settings.advSendAdvert) return;
    if (!was) {
      this.start();
      return;
    }
    this.wasAvailable = offer.available?.() ?? true;
    if (offer.available !== null) this.lookTimer.set(LOOK_MS);
    if (offer.settings.unicastOnly) this.periodic.cancel();
    else this.again();
  }

  /** The link is up again: guests that were away may have a new idea of their routers. */
  again(): void {
    if (!this.running || this.options.settings.unicastOnly) return;
    this.sent = 0;
    this.toAllSoon(0);
  }

  /** A sound solicitation (wire/router-advert.ts) came from `from`. */
  solicited(from: Solicitor): void {
    if (!this.running) return;
    const { wheel, settings, drops } = this.options;
    const now = wheel.clock.now();
    const unspecified = (from[0] | from[1] | from[2] | from[3]) === 0;
    const delay = this.upTo(MAX_RA_DELAY_MS);
    if (!unspecified) {
      const key = from.join();
      if (this.pending.has(key)) return;
      if (this.pending.size < PENDING_MAX && this.answers.take(now)) {
        this.pending.set(key, { to: from, at: now + delay });
        if (!this.answerTimer.armed || this.answerTimer.deadline > now + delay) this.answerTimer.setAt(now + delay);
        return;
      }
    }
    if (settings.unicastOnly) drops[Drop.RaRateLimited]!++;
    else this.toAllSoon(delay);
  }

  /** Ends: says that this router is none any more. */
  close(): void {
    if (!this.running) return;
    this.running = false;
    this.answerTimer.cancel();
    this.periodic.cancel();
    this.lookTimer.cancel();
    this.pending.clear();
    this.options.send(null, write(withdrawn(this.options.advert())));
  }

  private message(): Uint8Array {
    const advert = this.options.advert();
    return write(this.wasAvailable ? advert : { ...advert, routerLifetimeSec: 0 });
  }

  private answerDue(): void {
    const now = this.options.wheel.clock.now();
    let next = Number.POSITIVE_INFINITY;
    for (const [key, { to, at }] of this.pending) {
      if (at <= now) {
        this.pending.delete(key);
        this.sentToOne++;
        this.options.send(to, this.message());
      } else {
        next = Math.min(next, at);
      }
    }
    if (next !== Number.POSITIVE_INFINITY) this.answerTimer.setAt(next);
  }

  /** Moves the next advertisement to all forward: not before `delayMs`, nor too soon after the last (section 6.2.6). */
  private toAllSoon(delayMs: number): void {
    const { wheel, settings } = this.options;
    const earliest = this.lastToAll + settings.minDelayBetweenRasSec * 1000;
    const at = Math.max(wheel.clock.now() + delayMs, earliest);
    if (!this.periodic.armed || this.periodic.deadline > at) this.periodic.setAt(at);
  }

  private toAll(): void {
    const { wheel, settings, send } = this.options;
    this.lastToAll = wheel.clock.now();
    this.sent++;
    this.sentToAll++;
    send(null, this.message());
    const min = settings.minRtrAdvIntervalSec * 1000;
    const interval = min + this.upTo(settings.maxRtrAdvIntervalSec * 1000 - min);
    this.periodic.set(this.sent < INITIAL_COUNT ? Math.min(interval, MAX_INITIAL_MS) : interval);
  }

  private look(): void {
    const available = this.options.available!();
    this.lookTimer.set(LOOK_MS);
    if (available === this.wasAvailable) return;
    this.wasAvailable = available;
    this.again();
  }

  private upTo(ms: number): number {
    return (this.options.random() / 2 ** 32) * ms;
  }
}
