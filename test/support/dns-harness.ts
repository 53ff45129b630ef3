// A DNS forwarder between guests and a FakeHostNet. Messages are written and read by dns-packet.

import { createRequire } from 'node:module';
import { Endpoint, parseEndpoint } from '../../src/core/address.ts';
import { Drop, type DropName, newDropCounters } from '../../src/core/drop.ts';
import { copyBytes } from '../../src/core/frame.ts';
import { TimerWheel } from '../../src/core/timer-wheel.ts';
import { DnsForwarder, type DnsForwarderOptions } from '../../src/services/dns-forwarder.ts';
import type { UpstreamList } from '../../src/services/resolv-conf.ts';
import { FakeClock } from './fake-clock.ts';
import { FakeHostNet, type FakeUdp } from './fake-host-net.ts';

/** A message as dns-packet has it: what is used of it here. */
export interface Message {
  id: number;
  type: 'query' | 'response';
  flags: number;
  rcode: string;
  flag_tc: boolean;
  flag_rd: boolean;
  flag_ra: boolean;
  questions: { type: string; name: string }[];
  answers: { type: string; name: string; ttl: number; data: string }[];
  additionals: object[];
}
interface DnsPacket {
  readonly RECURSION_DESIRED: number;
  readonly RECURSION_AVAILABLE: number;
  readonly TRUNCATED_RESPONSE: number;
  readonly AUTHENTIC_DATA: number;
  readonly CHECKING_DISABLED: number;
  readonly DNSSEC_OK: number;
  encode(message: Partial<Message>): Uint8Array;
  decode(b: Uint8Array): Message;
}
export const packet = createRequire(import.meta.url)('dns-packet') as DnsPacket;

export const GUEST = parseEndpoint('10.0.2.15', 40_000);

export interface QueryShape {
  id?: number;
  name?: string;
  type?: string;
  flags?: number;
  additionals?: object[];
}

export function query(q: QueryShape = {}): Uint8Array {
  return packet.encode({
    type: 'query',
    id: q.id ?? 0x1234,
    flags: q.flags ?? packet.RECURSION_DESIRED,
    questions: [{ type: q.type ?? 'A', name: q.name ?? 'example.com' }],
    ...(q.additionals === undefined ? {} : { additionals: q.additionals }),
  });
}

/** The answer a server gives to the bytes of a query; `change` spoils it. */
export function answerTo(question: Uint8Array, address = '192.0.2.1', change: Partial<Message> = {}): Uint8Array {
  const q = packet.decode(Buffer.from(question));
  const first = q.questions[0]!;
  return packet.encode({
    type: 'response',
    id: q.id,
    flags: packet.RECURSION_DESIRED | packet.RECURSION_AVAILABLE,
    questions: q.questions,
    answers: [{ type: 'A', name: first.name, ttl: 60, data: address }],
    ...change,
  });
}

export const decode = (b: Uint8Array): Message => packet.decode(Buffer.from(b));

export interface Got {
  client: string;
  bytes: Uint8Array;
}

/** Pseudo-random 16-bit numbers, the same in every run. */
export function seeded16(seed = 1): () => number {
  let x = seed;
  return () => {
    x = (Math.imul(x, 1103515245) + 12345) >>> 0;
    return (x >>> 12) & 0xffff;
  };
}

export function dnsHarness(
  options: { servers?: string[] } & Partial<Omit<DnsForwarderOptions, 'upstreams' | 'host'>> = {},
) {
  const clock = new FakeClock();
  const host = new FakeHostNet();
  const drops = newDropCounters();
  const upstream = {
    list: (options.servers ?? ['198.51.100.1']).map((s) => parseEndpoint(s, 53)) as readonly Endpoint[],
    suspected: 0,
  };
  const upstreams: UpstreamList = {
    servers: () => upstream.list,
    suspect: () => {
      upstream.suspected++;
    },
  };
  const got: Got[] = [];
  const sink = {
    answer(client: Endpoint, b: Uint8Array, off: number, len: number): void {
      got.push({ client: client.toString(), bytes: copyBytes(b, off, off + len) });
    },
  };
  const { servers: _servers, ...rest } = options;
  const wheel = new TimerWheel(clock);
  const forwarder = new DnsForwarder({ host, upstreams, wheel, drops, random16: seeded16(), ...rest });
  return {
    clock,
    host,
    wheel,
    forwarder,
    upstream,
    sink,
    drops: (name: DropName): number => drops[Drop[name]]!,
    got,
    /** A guest asks over UDP, in a wake-up of its own. */
    ask(bytes: Uint8Array = query(), from: Endpoint = GUEST): void {
      this.take(bytes, from);
      this.flush();
    },
    /** The end of a wake-up in which guests asked. */
    flush(): void {
      forwarder.flush();
      host.flush();
    },
    /** A guest's question by UDP within a wake-up; the bytes are spoiled after the call, as on loan. */
    take(bytes: Uint8Array = query(), from: Endpoint = GUEST): void {
      const loan = new Uint8Array(bytes.length + 9).fill(0xcc);
      loan.set(bytes, 4);
      const client = new Endpoint().copy(from);
      forwarder.query(client, loan, 4, bytes.length, sink);
      loan.fill(0x77);
      client.set(-1, -1, -1, -1, 1);
    },
    /** Everything sent upstream by UDP so far, in order of sockets. */
    sent(): { socket: FakeUdp; to: string; bytes: Uint8Array; id: number }[] {
      return host.udp.flatMap((socket) =>
        socket.sent.map(({ to, bytes }) => ({ socket, to: to.host, bytes, id: (bytes[0]! << 8) | bytes[1]! })),
      );
    },
    /** The only datagram sent so far. */
    only() {
      const all = this.sent();
      if (all.length !== 1) throw new Error(`${all.length} datagrams were sent upstream`);
      return all[0]!;
    },
    server: (host = '198.51.100.1', port = 53): Endpoint => parseEndpoint(host, port),
  };
}
