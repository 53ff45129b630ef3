// DHCP messages as clients send them, and a server under a fake clock to send them to. Messages are written and read by
// the `dhcp` package, so that both our codec and our server are checked against a second opinion.

import { createRequire } from 'node:module';
import { formatIpv4, parseIpv4, parseIpv4Network } from '../../src/core/address.ts';
import { Drop, type DropName, newDropCounters } from '../../src/core/drop.ts';
import { type DhcpReply, DhcpServer, type DhcpServerOptions } from '../../src/services/dhcp-server.ts';
import { MemoryLeaseStore } from '../../src/services/lease-store.ts';
import { FakeClock } from './fake-clock.ts';

interface DhcpMessageJs {
  op: number;
  xid: number;
  ciaddr: string;
  yiaddr: string;
  siaddr: string;
  chaddr: string;
  flags: number;
  options: Record<number, unknown>;
}
const protocol = createRequire(import.meta.url)('dhcp/lib/protocol.js') as {
  parse(b: Buffer): DhcpMessageJs;
  format(m: unknown): { _data: Buffer; _w: number };
};

export const TYPES = { DISCOVER: 1, OFFER: 2, REQUEST: 3, DECLINE: 4, ACK: 5, NAK: 6, RELEASE: 7, INFORM: 8 } as const;
export type TypeName = keyof typeof TYPES;

export interface Ask {
  mac?: string;
  xid?: number;
  ciaddr?: string;
  giaddr?: string;
  broadcast?: boolean;
  requested?: string;
  server?: string;
  /** Parameter request list. */
  params?: number[];
  hostname?: string;
  maxSize?: number;
  /** Raw options appended behind the others: code and bytes. Client identifiers go here (61). */
  raw?: [number, Uint8Array | readonly number[]][];
}

/** A client's message. `type` null makes it BOOTP. */
export function ask(type: TypeName | null, a: Ask = {}): Uint8Array {
  const options: Record<number, unknown> = {};
  if (type !== null) options[53] = TYPES[type];
  if (a.requested !== undefined) options[50] = a.requested;
  if (a.server !== undefined) options[54] = a.server;
  if (a.params !== undefined) options[55] = a.params;
  if (a.hostname !== undefined) options[12] = a.hostname;
  if (a.maxSize !== undefined) options[57] = a.maxSize;
  const message = protocol.format({
    op: 1,
    htype: 1,
    hlen: 6,
    hops: 0,
    xid: a.xid ?? 0x11223344,
    secs: 0,
    flags: a.broadcast === true ? 0x8000 : 0,
    ciaddr: a.ciaddr ?? '0.0.0.0',
    yiaddr: '0.0.0.0',
    siaddr: '0.0.0.0',
    giaddr: a.giaddr ?? '0.0.0.0',
    chaddr: (a.mac ?? '02:00:00:00:00:51').replaceAll(':', '-').toUpperCase(),
    sname: '',
    file: '',
    options,
  });
  const bytes = [...message._data.subarray(0, message._w - 1)];
  for (const [code, value] of a.raw ?? []) bytes.push(code, value.length, ...value);
  bytes.push(255);
  return Uint8Array.from(bytes);
}

/** The client identifier option for a text. */
export const clientId = (text: string): [number, Uint8Array] => [61, Uint8Array.from([0, ...Buffer.from(text)])];

/** Raw options of a message: code to bytes. Written here, on its own, because `dhcp` drops what it does not know. */
export function rawOptions(message: Uint8Array): Map<number, Uint8Array> {
  const out = new Map<number, Uint8Array>();
  for (let o = 240; o < message.length && message[o] !== 255; ) {
    if (message[o] === 0) {
      o++;
      continue;
    }
    out.set(message[o]!, message.slice(o + 2, o + 2 + message[o + 1]!));
    o += 2 + message[o + 1]!;
  }
  return out;
}

export interface Answer {
  type: TypeName | 'BOOTP';
  yiaddr: string;
  to: string;
  /** 'broadcast' or the MAC address. */
  mac: string;
  message: DhcpMessageJs;
  options: Map<number, Uint8Array>;
  reply: DhcpReply;
}

const macText = (hi: number, lo: number): string =>
  (hi * 2 ** 32 + lo)
    .toString(16)
    .padStart(12, '0')
    .replace(/(..)(?!$)/g, '$1:');

export function readAnswer(reply: DhcpReply): Answer {
  const options = rawOptions(reply.payload);
  // The package writes to stderr about options it does not know.
  const known = [81, 82, 108, 114].some((code) => options.has(code))
    ? [...reply.payload.subarray(0, 240), 255]
    : reply.payload;
  const message = protocol.parse(Buffer.from(known));
  const type = options.get(53)?.[0];
  const mac = macText(reply.macHi, reply.macLo);
  return {
    type: type === undefined ? 'BOOTP' : (Object.keys(TYPES) as TypeName[])[type - 1]!,
    yiaddr: message.yiaddr,
    to: formatIpv4(reply.destination),
    mac: mac === 'ff:ff:ff:ff:ff:ff' ? 'broadcast' : mac,
    message,
    options,
    reply,
  };
}

/** A server on 10.0.2.0/24 as slirpvde sets it up, with everything it sent. */
export function dhcpHarness(options: Partial<DhcpServerOptions> & { cidr?: string; start?: string } = {}) {
  const clock = options.clock instanceof FakeClock ? options.clock : new FakeClock();
  const drops = newDropCounters();
  const answers: Answer[] = [];
  const store = options.store ?? new MemoryLeaseStore();
  const server = new DhcpServer({
    network: parseIpv4Network(options.cidr ?? '10.0.2.0/24', 24),
    router: parseIpv4('10.0.2.2'),
    dns: [parseIpv4('10.0.2.3')],
    poolStart: parseIpv4(options.start ?? '10.0.2.15'),
    drops,
    reply: (r) => answers.push(readAnswer(r)),
    ...options,
    store,
    clock,
  });
  return {
    server,
    clock,
    store,
    drops: (name: DropName): number => drops[Drop[name]]!,
    /** All answers since the last look. */
    take: (): Answer[] => answers.splice(0),
    /** Sends bytes from a MAC and gives the answer, or null. */
    bytes(b: Uint8Array, mac = '02:00:00:00:00:51'): Answer | null {
      const frame = new Uint8Array(b.length + 7).fill(0xaa);
      frame.set(b, 5);
      const n = Number.parseInt(mac.replaceAll(':', ''), 16);
      server.handle(frame, 5, 5 + b.length, Math.floor(n / 2 ** 32), n % 2 ** 32);
      frame.fill(0x55);
      const got = answers.splice(0);
      if (got.length > 1) throw new Error(`${got.length} answers to one message`);
      return got[0] ?? null;
    },
    /** Sends a message and gives the answer, or null. A second is let pass first, so that no rate limit is met. */
    say(type: TypeName | null, a: Ask = {}): Answer | null {
      clock.advance(1000);
      return this.bytes(ask(type, a), a.mac);
    },
    /** DISCOVER and REQUEST: the address got, or the reason there is none. */
    join(a: Ask = {}): string {
      const offer = this.say('DISCOVER', a);
      if (offer === null) return 'silence';
      const ack = this.say('REQUEST', { ...a, requested: offer.yiaddr, server: '10.0.2.2' });
      return ack?.type === 'ACK' ? ack.yiaddr : (ack?.type ?? 'silence');
    },
  };
}
