// A whole router under generated input: frames of guests, events of the host's sockets, and time that passes. Every step
// is plain data, so that a run that failed can be written down, made shorter and played again (corpus.ts).
//
// What must hold, whatever came in:
//   - no exception reaches the IP layer (Drop.InternalError stays 0), none leaves it
//   - every frame that the router sends is well-formed: lengths, checksums, MTU, addresses
//   - tables and memory stay within their bounds at all times
//   - once nobody sends any more and the host's sockets are drained, nothing is left after a day: no flow, no timer, no
//     buffer, no host socket, no neighbor that is held

import { endpointIpv4, parseEndpoint, parseIpv4, parseIpv4Network } from '../../../src/core/address.ts';
import { Drop, dropLabel } from '../../../src/core/drop.ts';
import type { IcmpReport } from '../../../src/host/host-net.ts';
import type { RouterOptions } from '../../../src/router/index.ts';
import { MemoryLeaseStore, type TftpFile } from '../../../src/services/index.ts';
import * as arp from '../../../src/wire/arp.ts';
import { u16 } from '../../../src/wire/bytes.ts';
import * as checksum from '../../../src/wire/checksum.ts';
import * as ethernet from '../../../src/wire/ethernet.ts';
import * as icmp from '../../../src/wire/icmpv4.ts';
import * as ipv4 from '../../../src/wire/ipv4.ts';
import * as tcp from '../../../src/wire/tcp.ts';
import * as udp from '../../../src/wire/udp.ts';
import { RouterHarness } from '../../support/router-harness.ts';

const L3 = ethernet.HEADER_LEN;
const MAX_FLOWS = 64;
const DAY_MS = 86_400_000;
const ERRNOS = [
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EACCES',
  'ETIMEDOUT',
  'EMFILE',
  'EMSGSIZE',
];
const WORLD = parseEndpoint('192.0.2.1', 7);
const LOOPBACK = parseEndpoint('127.0.0.1', 5000);
const CLIENTS = [parseEndpoint('203.0.113.5', 9999), parseEndpoint('127.0.0.1', 40_000)];
const UPSTREAM = endpointIpv4(parseIpv4('198.51.100.53'), 53);

/** One thing that happens: a guest's frame, an event of the host chosen by a number, or time that passes, ms. */
export type Step = Uint8Array | { readonly host: number } | { readonly ms: number };

/** What differs from run to run. */
const VARIANTS: readonly (Partial<RouterOptions> & { mtu?: number })[] = [
  {},
  { mtu: 576, udpFilter: 'address' },
  { mtu: 9000, udpFilter: 'address-port', udpTimeouts: 'rfc' },
  {
    mtu: 1501,
    hostLoopback: false,
    tcp: { memory: 200_000, maxHalfOpen: 8, maxHalfOpenPerRemote: 4, offerTimestamps: true },
  },
];

const file = (size: number): TftpFile => ({
  size,
  read: (position, b, done) => done(Math.max(0, Math.min(b.length, size - position))),
  close: () => {},
});

export class RouterRun {
  readonly h: RouterHarness;
  private readonly mtu: number;

  private constructor(variant: number) {
    const options = VARIANTS[variant % VARIANTS.length]!;
    this.mtu = options.mtu ?? 1500;
    this.h = new RouterHarness({
      maxFlows: MAX_FLOWS,
      tftp: {
        open: (name, done) => {
          if (name === 'boot' || name === 'large') done(file(name === 'boot' ? 1000 : 1_000_000), 'missing');
          else done(null, name === '' ? 'missing' : 'forbidden');
        },
      },
      dhcp: {
        network: parseIpv4Network('10.0.2.2/24', 24),
        dns: [parseIpv4('10.0.2.3')],
        poolStart: parseIpv4('10.0.2.15'),
        poolSize: 12,
        domain: 'lab.test',
        search: () => ['lab.test', 'more.test'],
        bootFile: 'boot',
        routes: [{ network: parseIpv4('10.77.0.0'), prefixLen: 16, router: parseIpv4('10.0.2.2') }],
        store: new MemoryLeaseStore(),
      },
      dns: {
        address: parseIpv4('10.0.2.3'),
        upstreams: { servers: () => [UPSTREAM], suspect: () => {} },
        domain: 'lab.test',
        rebindExempt: ['lab.test'],
      },
      ...options,
    });
  }

  static async open(variant: number): Promise<RouterRun> {
    const run = new RouterRun(variant);
    const { router } = run.h;
    const guest = parseEndpoint('10.0.2.15', 80);
    for (const protocol of ['tcp', 'udp'] as const) {
      await router.addForward({ protocol, listen: parseEndpoint('0.0.0.0', 7000), guest });
    }
    await router.addForward({ protocol: 'tcp', listen: parseEndpoint('0.0.0.0', 7001), guest, guestName: 'alpha' });
    router.unixForwards.addService({ port: 7002, path: '/run/service' });
    await router.unixForwards.add({ path: '/run/forward', guest });
    return run;
  }

  /** Plays a step; gives the frames that the router has sent. Throws an Error that says what does not hold. */
  play(step: Step): Uint8Array[] {
    const { h } = this;
    if (step instanceof Uint8Array) h.link.receive(step);
    else if ('host' in step) this.hostEvent(step.host);
    else h.advance(step.ms);
    h.settle();
    const sent = h.link.take();
    for (const f of sent) this.wellFormed(f);
    if (h.dropped(Drop.InternalError) > 0)
      throw new Error(`exception: ${h.log.find((line) => line.includes('defect'))}`);
    return sent;
  }

  /** Bounds that hold at any time. Forgets what the fakes have recorded. */
  bounded(): void {
    const { router, host, log } = this.h;
    const { descriptors, tcp: t, neighbors, udp: u } = router.status();
    within('descriptors', descriptors.used, MAX_FLOWS);
    within('TCP flows', t.flows, MAX_FLOWS);
    within('UDP mappings', u.used, MAX_FLOWS / 2);
    within('half-open connections', t.halfOpen.used, t.halfOpen.limit);
    within('TCP memory', t.memory.used, t.memory.limit);
    within('neighbors', neighbors.used, neighbors.limit);
    within('bytes of fragments', router.ip.reassembly.bytesHeld, 4 << 20);
    within('host connections', host.openTcp.length, MAX_FLOWS + 64); // and those of DNS over TCP
    within('host datagram sockets', host.openUdpSockets.length, MAX_FLOWS + 128);
    host.forgetPast();
    log.length = 0;
  }

  /** Ends the input: whatever waits for time or for a host that does not read must end by itself. */
  finish(): void {
    const { h } = this;
    const { host, router } = h;
    for (let round = 0; round < 3; round++) {
      this.play({ ms: DAY_MS / 3 });
      for (const s of host.openTcp) {
        s.stalled = false;
        s.drain();
      }
    }
    this.play({ ms: DAY_MS });
    const status = router.status();
    const left = {
      'TCP flows': status.tcp.flows,
      'TCP connections': router.tcp.count,
      'TIME-WAIT': router.tcp.timeWait,
      'TCP memory': status.tcp.memory.used,
      'UDP mappings': status.udp.used,
      'ICMP flows': status.icmp.used,
      'clients of forwards': status.clients.used,
      descriptors: status.descriptors.used,
      'fragment sets': router.ip.reassembly.size,
      'fragment bytes': router.ip.reassembly.bytesHeld,
      'host connections': host.openTcp.length,
      'datagram sockets beside the forward': host.openUdpSockets.length - 1,
      'ping sockets': host.pings.filter((p) => !p.closed).length,
      'pinned neighbors': [...router.ip.neighbors].filter((n) => n.flows !== 0 || n.waiting.length > 0).length,
      timers: h.wheel.size,
    };
    for (const [what, n] of Object.entries(left)) if (n !== 0) throw new Error(`${n} ${what} left after a day`);
  }

  private hostEvent(n: number): void {
    const { host } = this.h;
    const index = (n >>> 5) & 255;
    const extra = n >>> 13;
    const s = host.tcp.length === 0 ? undefined : host.tcp[index % host.tcp.length]!;
    const u = host.udp.length === 0 ? undefined : host.udp[index % host.udp.length]!;
    const ping = host.pings.length === 0 ? undefined : host.pings[index % host.pings.length]!;
    const errno = ERRNOS[extra % ERRNOS.length]!;
    switch (n & 31) {
      case 0:
      case 1:
      case 2:
      case 3:
        for (let i = Math.max(0, host.tcp.length - 3); i < host.tcp.length; i++) {
          if (host.tcp[i]!.state === 'connecting') host.tcp[i]!.connect();
        }
        break;
      case 4:
        s?.fail(errno);
        break;
      case 5:
      case 6:
      case 7:
      case 8:
      case 9:
        if (s?.state === 'connected') s.data(new Uint8Array(extra % 4000).fill(extra));
        break;
      case 10:
        if (s?.state === 'connected') s.eof();
        break;
      case 11:
        if (s !== undefined) s.stalled = true;
        break;
      case 12:
      case 13:
        if (s !== undefined) {
          s.stalled = false;
          s.drain();
        }
        break;
      case 14:
      case 15:
      case 16:
        u?.deliver(extra & 1 ? WORLD : extra & 2 ? LOOPBACK : CLIENTS[0]!, new Uint8Array(extra % 3000));
        break;
      case 17:
        u?.fail(errno, extra & 64 ? WORLD : (u.sent.at(-1)?.to ?? null), extra & 128 ? undefined : reportOf(extra));
        break;
      case 18:
      case 19:
      case 20:
        if (ping !== undefined && ping.sent.length > 0) ping.reply();
        break;
      case 21:
        ping?.fail(errno, reportOf(extra));
        break;
      case 22:
      case 23:
        host.listeners[extra % host.listeners.length]!.incoming(CLIENTS[index & 1]!);
        break;
      case 24:
      case 25:
      case 26:
      case 27:
        this.answerQuery(index, extra);
        break;
      default:
        s?.pump();
    }
  }

  /** A DNS server answers the latest query of a socket: with the bytes that came, as an answer or nearly so. */
  private answerQuery(index: number, extra: number): void {
    const asked = this.h.host.udp.filter((u) => u.sent.at(-1)?.to.port === 53);
    if (asked.length === 0) return;
    const u = asked[index % asked.length]!;
    const { bytes, to } = u.sent.at(-1)!;
    const answer = new Uint8Array(bytes.length + (extra & 31));
    answer.set(bytes);
    if (answer.length > 3) answer[2]! |= 0x80;
    if ((extra & 0x300) === 0 && answer.length > 0) answer[(extra >>> 10) % answer.length] = extra;
    u.deliver(to, answer);
  }

  private wellFormed(f: Uint8Array): void {
    if (f.length > L3 + this.mtu) malformed(f, `${f.length} bytes over an MTU of ${this.mtu}`);
    if (f.length < L3 || ethernet.isGroupSrc(f, 0)) malformed(f, 'a bad Ethernet header');
    if (u16(f, 12) === ethernet.TYPE_ARP) {
      if (arp.check(f, L3, f.length) !== Drop.None) malformed(f, 'bad ARP');
      return;
    }
    const why = ipv4.check(f, L3, f.length);
    if (why !== Drop.None) malformed(f, dropLabel(why));
    const l4 = L3 + ipv4.headerLen(f, L3);
    const end = L3 + ipv4.totalLen(f, L3);
    if (ipv4.isFragment(f, L3)) return;
    const protocol = ipv4.protocol(f, L3);
    const pseudo = checksum.pseudoIpv4(ipv4.src(f, L3), ipv4.dst(f, L3), protocol);
    if (protocol === ipv4.PROTO_TCP) {
      if (tcp.check(f, l4, end) !== Drop.None || !tcp.checksumOk(f, l4, end, pseudo)) malformed(f, 'a bad segment');
    } else if (protocol === ipv4.PROTO_UDP) {
      if (udp.check(f, l4, end) !== Drop.None || !udp.checksumOk(f, l4, pseudo)) malformed(f, 'a bad datagram');
    } else if (icmp.check(f, l4, end) !== Drop.None) malformed(f, 'bad ICMP');
  }
}

/** Fails the run. No closure: each would cost a call for its name, for every frame. */
function malformed(f: Uint8Array, what: string): never {
  throw new Error(`the router sent ${what}: ${Buffer.from(f.subarray(0, 80)).toString('hex')}`);
}

/** What the host tells of an ICMP error, chosen by a number. */
const reportOf = (n: number): IcmpReport => ({
  type: [3, 11, 5, 0][n & 3]!,
  code: n % 16,
  mtu: n % 1600,
  offender: n & 1 ? null : WORLD,
});

function within(what: string, used: number, limit: number): void {
  if (used > limit) throw new Error(`${used} ${what}, the limit is ${limit}`);
}
