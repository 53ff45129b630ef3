import { endpointIpv4, parseIpv4, parseIpv4Network, parseMac } from '../../src/core/address.ts';
import type { Drop } from '../../src/core/drop.ts';
import { FrameMemory } from '../../src/core/frame.ts';
import { TimerWheel } from '../../src/core/timer-wheel.ts';
import { Router, type RouterOptions } from '../../src/router/index.ts';
import { MemoryLeaseStore } from '../../src/services/index.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';
import { WELL_KNOWN_PREFIX } from '../../src/wire/nat64.ts';
import * as tcp from '../../src/wire/tcp.ts';
import { FakeClock } from './fake-clock.ts';
import { FakeHostNet } from './fake-host-net.ts';
import { arpFrame, ROUTER_MAC, type Segment, tcpFrame } from './guest-frames.ts';
import { GUEST6, nd6Frame, ROUTER6, solicitedNode, tcp6Frame } from './guest6-frames.ts';
import { LINK6 } from './ip-harness.ts';
import { TestLink } from './test-link.ts';

const UPSTREAM = endpointIpv4(parseIpv4('198.51.100.53'), 53);

/** A whole router at 10.0.2.2 (DNS at 10.0.2.3) between a test link and fake host sockets. */
export class RouterHarness {
  readonly clock = new FakeClock();
  readonly wheel = new TimerWheel(this.clock);
  readonly link: TestLink;
  readonly host = new FakeHostNet();
  readonly router: Router;
  readonly log: string[] = [];
  private readonly deferred: (() => void)[] = [];
  private seed = 0x12345678;

  constructor(options: Partial<RouterOptions> & { mtu?: number } = {}) {
    this.link = new TestLink(options.mtu ?? 1500);
    this.router = new Router({
      link: this.link,
      memory: new FrameMemory(),
      wheel: this.wheel,
      host: this.host,
      random: () => {
        this.seed = (Math.imul(this.seed, 1664525) + 1013904223) >>> 0;
        return this.seed;
      },
      defer: (run) => this.deferred.push(run),
      mac: parseMac(ROUTER_MAC)!,
      networks: [parseIpv4Network('10.0.2.2/24', 24)],
      aliases: [parseIpv4('10.0.2.3')],
      hostLoopback: true,
      dns: { address: parseIpv4('10.0.2.3'), upstreams: { servers: () => [UPSTREAM], suspect: () => {} } },
      dhcp: {
        network: parseIpv4Network('10.0.2.2/24', 24),
        dns: [parseIpv4('10.0.2.3')],
        poolStart: parseIpv4('10.0.2.15'),
        store: new MemoryLeaseStore(),
      },
      maxFlows: 1000,
      log: (_key, line) => this.log.push(line),
      ...options,
    });
    this.introduce('10.0.2.15');
  }

  /** A guest asks for the router, as every guest does first. */
  introduce(spa: string, srcMac?: string): void {
    this.link.receive(arpFrame({ spa, tpa: '10.0.2.2', ...(srcMac === undefined ? {} : { srcMac }) }));
    this.settle();
    this.link.take();
  }

  /** The same over IPv6: a guest asks for the router's global address. */
  introduce6(src = GUEST6, srcMac?: string): void {
    const option = srcMac === undefined ? {} : { srcMac };
    this.link.receive(nd6Frame({ src, dst: solicitedNode(ROUTER6), target: ROUTER6, ...option }));
    this.settle();
    this.link.take();
  }

  /** Runs what was deferred to the end of the event loop's turn; how much that was. */
  settle(): number {
    let runs = 0;
    for (; this.deferred.length > 0; runs++) this.deferred.shift()!();
    return runs;
  }

  advance(ms: number): void {
    this.clock.advance(ms);
    this.settle();
  }

  /** One wake-up with these frames; gives what the router sent in answer. */
  send(...frames: Uint8Array[]): Uint8Array[] {
    this.link.receive(...frames);
    this.settle();
    return this.link.take();
  }

  /** What the router has sent since the last look, as text. */
  sent(): string[] {
    this.settle();
    return this.link.takeSummaries();
  }

  dropped(reason: Drop): number {
    return this.router.dropped(reason);
  }
}

/** A router that serves IPv6 too (or only), with NAT64 at 64:ff9b::/96 and ::ffff:0:0/96, and one IPv6 guest known. */
export function router6(options: Partial<RouterOptions> & { mtu?: number } = {}): RouterHarness {
  const h = new RouterHarness({ ipv6: LINK6, nat64: [WELL_KNOWN_PREFIX], mappedV4: true, ...options });
  h.introduce6();
  return h;
}

/** The guest's side of one TCP connection, played by hand. */
export class GuestTcp {
  seq: number;
  ack = 0;
  readonly received: number[] = [];
  /** Letters of the flags of each segment that came, in order. */
  readonly flags: string[] = [];
  private readonly h: RouterHarness;
  private readonly base: { src: string; dst: string; sport: number; dport: number };
  private readonly isIpv4: boolean;

  constructor(h: RouterHarness, dst: string, dport: number, sport = 40_000, src?: string) {
    this.h = h;
    this.seq = 1000;
    this.isIpv4 = !dst.includes(':');
    this.base = { src: src ?? (this.isIpv4 ? '10.0.2.15' : GUEST6), dst, sport, dport };
  }

  /** Sends a segment and takes in what the router answers. */
  send(flags: string, data?: Uint8Array, options?: Uint8Array): void {
    const ack = flags.includes('A') ? this.ack : 0;
    const more = { ...(data === undefined ? {} : { data }), ...(options === undefined ? {} : { options }) };
    const segment: Segment = { ...this.base, flags, seq: this.seq, ack, ...more };
    this.seq = (this.seq + (data?.length ?? 0) + (/[SF]/.test(flags) ? 1 : 0)) >>> 0;
    this.take(this.h.send(this.isIpv4 ? tcpFrame(segment) : tcp6Frame(segment)));
  }

  /** Takes in what the router has sent. */
  poll(): void {
    this.h.settle();
    this.take(this.h.link.take());
  }

  private take(frames: Uint8Array[]): void {
    for (const f of frames) {
      const l4 = this.isIpv4 ? 34 : 54;
      const isOurs = this.isIpv4
        ? f[12] === 8 && f[13] === 0 && ipv4.protocol(f, 14) === ipv4.PROTO_TCP
        : f[12] === 0x86 && f[20] === ipv4.PROTO_TCP;
      if (!isOurs || tcp.dstPort(f, l4) !== this.base.sport) continue;
      const bits = tcp.flags(f, l4);
      this.flags.push(
        [...'FSRPA'].filter((c) => bits & { F: tcp.FIN, S: tcp.SYN, R: tcp.RST, P: tcp.PSH, A: tcp.ACK }[c]!).join(''),
      );
      const from = l4 + tcp.dataOffset(f, l4);
      const end = this.isIpv4 ? 14 + ipv4.totalLen(f, 14) : 54 + ipv6.payloadLen(f, 14);
      const len = end - from + (bits & (tcp.SYN | tcp.FIN) ? 1 : 0);
      if (bits & tcp.SYN) this.ack = tcp.seq(f, l4);
      if (tcp.seq(f, l4) === this.ack) {
        this.received.push(...f.subarray(from, end));
        this.ack = (this.ack + len) >>> 0;
      }
    }
  }

  /** Takes the flags seen so far. */
  takeFlags(): string[] {
    return this.flags.splice(0);
  }
}
