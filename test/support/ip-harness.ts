import { formatAddress, parseIpv4, parseIpv4Network, parseMac } from '../../src/core/address.ts';
import { type Drop, newDropCounters } from '../../src/core/drop.ts';
import { FrameMemory } from '../../src/core/frame.ts';
import { TimerWheel } from '../../src/core/timer-wheel.ts';
import { IpLayer, type Ipv6Link } from '../../src/ip/index.ts';
import { FakeClock } from './fake-clock.ts';
import { arpFrame, ROUTER_MAC } from './guest-frames.ts';
import { DNS6, GUEST6, nd6Frame, ROUTER6, solicitedNode, words6 } from './guest6-frames.ts';
import { TestLink } from './test-link.ts';

/** The IPv6 side of the harnesses. */
export const LINK6: Ipv6Link = { addresses: [{ words: words6(ROUTER6), prefixLen: 64 }], aliases: [words6(DNS6)] };

/** A router's IP layer at 10.0.2.2 (DNS 10.0.2.3) on a test link, with one guest known. */
export class IpHarness {
  readonly clock = new FakeClock();
  readonly wheel = new TimerWheel(this.clock);
  readonly link: TestLink;
  readonly drops = newDropCounters();
  readonly ip: IpLayer;
  readonly defects: unknown[] = [];
  /** `ADDRESS MAC` of claims of our addresses. */
  readonly claims: string[] = [];
  private readonly deferred: (() => void)[] = [];
  private random = 0x12345678;

  constructor(options: { mtu?: number; forwarding?: boolean; ipv6?: Ipv6Link | null } = {}) {
    this.link = new TestLink(options.mtu ?? 1500);
    this.ip = new IpLayer({
      link: this.link,
      memory: new FrameMemory(2 << 20),
      wheel: this.wheel,
      drops: this.drops,
      mac: parseMac(ROUTER_MAC)!,
      networks: [parseIpv4Network('10.0.2.2/24', 24)],
      aliases: [parseIpv4('10.0.2.3')],
      ipv6: options.ipv6 ?? null,
      forwarding: options.forwarding ?? true,
      seed: 42,
      random: () => (this.random = (Math.imul(this.random, 1664525) + 1013904223) >>> 0),
      onDefect: (error) => this.defects.push(error),
      onClaim: (w0, w1, w2, w3, macHi, macLo) => {
        const mac = ((macHi & 0xffff) * 2 ** 32 + (macLo >>> 0)).toString(16).padStart(12, '0');
        this.claims.push(`${formatAddress(w0, w1, w2, w3)} ${mac}`);
      },
      defer: (run) => this.deferred.push(run),
    });
  }

  /** The guest asks for the router, as every guest does first. */
  introduce(spa = '10.0.2.15', srcMac?: string): void {
    this.link.receive(arpFrame({ spa, tpa: '10.0.2.2', ...(srcMac === undefined ? {} : { srcMac }) }));
    this.link.take();
  }

  /** The same over IPv6: a guest asks for the router's global address. */
  introduce6(src = GUEST6, srcMac?: string): void {
    const option = srcMac === undefined ? {} : { srcMac };
    this.link.receive(nd6Frame({ src, dst: solicitedNode(ROUTER6), target: ROUTER6, ...option }));
    this.link.take();
  }

  /** Runs what was deferred to the end of the event loop's turn. */
  settle(): void {
    for (const run of this.deferred.splice(0)) run();
  }

  advance(ms: number): void {
    this.clock.advance(ms);
    this.settle();
  }

  dropped(reason: Drop): number {
    return this.drops[reason]!;
  }
}
