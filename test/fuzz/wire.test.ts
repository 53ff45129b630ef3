// Any bytes, whole and mutated frames alike: no codec throws, hangs, writes to what it reads, or depends on a byte
// outside of what it was given: each input is read with several kinds of bytes around it, and with none behind it.

import test from 'ava';
import fc from 'fast-check';
import { Drop } from '../../src/core/drop.ts';
import * as arp from '../../src/wire/arp.ts';
import { putU16 } from '../../src/wire/bytes.ts';
import { finish, partial } from '../../src/wire/checksum.ts';
import * as dhcp from '../../src/wire/dhcpv4.ts';
import * as dns from '../../src/wire/dns.ts';
import * as ethernet from '../../src/wire/ethernet.ts';
import * as icmp from '../../src/wire/icmpv4.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import { frameSummary, packetSummary } from '../../src/wire/summary.ts';
import * as tcp from '../../src/wire/tcp.ts';
import * as tftp from '../../src/wire/tftp.ts';
import * as udp from '../../src/wire/udp.ts';
import { frame, frameNames } from '../support/frames.ts';
import { hex } from '../support/hex.ts';
import { mend, mutate } from './support/mutate.ts';
import { Random, SEED_VARIABLE, seedOfRun } from './support/random.ts';

type Reader = (b: Uint8Array, o: number, end: number) => unknown;

/** Everything that takes bytes nobody has checked. */
const readers: Record<string, Reader> = {
  'ethernet.check': ethernet.check,
  'ethernet.summary': ethernet.summary,
  'arp.check': arp.check,
  'arp.summary': arp.summary,
  'ipv4.check': ipv4.check,
  'ipv4.summary': ipv4.summary,
  'icmp.check': icmp.check,
  'icmp.summary': icmp.summary,
  'udp.check': udp.check,
  'udp.summary': udp.summary,
  'tcp.check': tcp.check,
  'tcp.summary': tcp.summary,
  'dhcp.parse': dhcp.parse,
  'dhcp.summary': dhcp.summary,
  'dns.check': dns.check,
  'dns.questionEnd': dns.questionEnd,
  'dns.ednsUdpSize': dns.ednsUdpSize,
  'dns.sameQuestion': (b, o, end) => dns.sameQuestion(b, o, end, b, o, end),
  'dns.summary': dns.summary,
  'tftp.parseRequest': tftp.parseRequest,
  'tftp.summary': tftp.summary,
  frameSummary: (b, o, end) => frameSummary(b, o, end - o),
  packetSummary,
  'checksum.partial': (b, o, end) => partial(b, o, end - o, 0),
};

/** What may be used only after its check gave None. */
const checkedReaders: Record<string, Reader> = {
  'ipv4 accessors': (b, o, end) => {
    if (ipv4.check(b, o, end) !== Drop.None) return null;
    return [ipv4.headerLen, ipv4.totalLen, ipv4.id, ipv4.fragOffset, ipv4.protocol, ipv4.src, ipv4.dst].map((f) =>
      f(b, o),
    );
  },
  'udp accessors': (b, o, end) => {
    if (udp.check(b, o, end) !== Drop.None) return null;
    return [udp.srcPort(b, o), udp.dstPort(b, o), partial(b, o, udp.length(b, o), 0)];
  },
  'tcp accessors and options': (b, o, end) => {
    if (tcp.check(b, o, end) !== Drop.None) return null;
    const options = new tcp.TcpOptions();
    options.parse(b, o);
    return [tcp.seq(b, o), tcp.window(b, o), tcp.payload(b, o) - o, options];
  },
  'icmp accessors': (b, o, end) => {
    if (icmp.check(b, o, end) !== Drop.None) return null;
    return [icmp.type(b, o), icmp.code(b, o), icmp.rest(b, o)];
  },
  'dns accessors and answers': (b, o, end) => {
    if (dns.check(b, o, end) !== Drop.None) return null;
    const out = new Uint8Array(end - o);
    const len = dns.writeEmptyAnswer(out, 0, b, o, end, dns.RCODE_SERVFAIL);
    const cut = new Uint8Array(end - o);
    const cutLen = dns.writeTruncated(cut, 0, b, o, end);
    if (dns.check(out, 0, len) !== Drop.None || dns.check(cut, 0, cutLen) !== Drop.None) throw new Error('bad answer');
    return [dns.qtype(b, o, end), dns.qclass(b, o, end), dns.questionName(b, o), out, cut];
  },
  'dhcp round trip': (b, o, end) => {
    const m = dhcp.parse(b, o, end);
    if (m === null) return null;
    const again = dhcp.write(m, dhcp.MAX_LEN);
    if (dhcp.parse(again, 0, again.length) === null) throw new Error('what was parsed cannot be written');
    return [m, dhcp.messageType(m), dhcp.maxReplyLen(m), again];
  },
};

const all = Object.entries({ ...readers, ...checkedReaders });

/** The bytes in the middle of others, or at the very end of the array: none outside may be seen, and none changed. */
function guarded(bytes: Uint8Array, before: number, around: number, behind: number): Uint8Array {
  const b = new Uint8Array(before + bytes.length + behind).fill(around);
  b.set(bytes, before);
  return b;
}

function readAll(bytes: Uint8Array, before: number): void {
  const end = before + bytes.length;
  for (const [name, read] of all) {
    const results = [0x00, 0x08, 0x45, 0xff].map((around, i) => {
      const b = guarded(bytes, before, around, i === 0 ? 0 : 70);
      const copy = b.slice();
      const result = JSON.stringify(read(b, before, end), (_, v: unknown) => (v instanceof Map ? [...v] : v));
      if (Buffer.compare(b, copy) !== 0) throw new Error(`${name} wrote to its input`);
      return result;
    });
    if (new Set(results).size !== 1) throw new Error(`${name} depends on bytes outside: ${results.join(' | ')}`);
  }
}

const LAYERS = [0, 14, 34, 42];
const MUTATED = 100_000;
const offset = fc.integer({ min: 0, max: 9 });

test('random bytes', (t) => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), offset, readAll), { numRuns: 150 });
  t.pass();
});

/** Bytes that look like a length, a pointer, an option or an end. */
const tricky = fc
  .array(fc.constantFrom(0, 0, 1, 2, 3, 4, 5, 8, 0x0a, 0x0c, 0x34, 0x3f, 0x40, 0x44, 0x80, 0xc0, 0xfe, 0xff), {
    maxLength: 60,
  })
  .map((a) => Uint8Array.from(a));

/** Beginnings that the checks let pass, so that what follows is looked at. */
const beginnings: Record<string, Uint8Array> = {
  nothing: new Uint8Array(0),
  'DHCP up to the cookie': frame('dhcp-request').slice(42, 42 + 240),
  'DHCP with overloaded sname and file': Uint8Array.from([...frame('dhcp-request').slice(42, 42 + 240), 52, 1, 3]),
  'DNS header': hex('1234 0100 0001 0001 0001 0001'),
  'DNS question': hex('1234 8180 0001 0001 0001 0001 03777777 00 0001 0001'),
  'TCP ports and numbers': hex('9c40 0050 00000001 00000002 f010 faf0 0000 0000'),
  'TCP with five words of options': hex('9c40 0050 00000001 00000002 a002 faf0 0000 0000'),
  'IPv4 version and length': hex('4f00 003c 0000 0000 4011'),
  'UDP ports': hex('0035 0044'),
};

for (const [name, beginning] of Object.entries(beginnings)) {
  test(`tricky bytes behind a good beginning: ${name}`, (t) => {
    const bytes = tricky.map((tail) => Uint8Array.from([...beginning, ...tail]));
    fc.assert(fc.property(bytes, offset, readAll), { numRuns: 150 });
    t.pass();
  });
}

test('tricky bytes in the overloaded fields of a DHCP message', (t) => {
  const message = Uint8Array.from([...frame('dhcp-request').slice(42, 42 + 240), 52, 1, 3, 53, 1, 1, 255]);
  fc.assert(
    fc.property(tricky, tricky, offset, (sname, file, before) => {
      const b = message.slice();
      b.set(sname, 44 + 64 - sname.length);
      b.set(file, 108 + 128 - file.length);
      readAll(b, before);
    }),
    { numRuns: 150 },
  );
  t.pass();
});

test('tricky bytes as the options of an IPv4 header with a good checksum', (t) => {
  fc.assert(
    fc.property(tricky, offset, (options, before) => {
      const b = new Uint8Array(60);
      b.set(beginnings['IPv4 version and length']!);
      b.set(options.subarray(0, 40), 20);
      putU16(b, 10, finish(partial(b, 0, 60, 0)));
      readAll(b, before);
    }),
    { numRuns: 150 },
  );
  t.pass();
});

/** A captured frame from one of its layers on, cut and with some bytes replaced. */
const mutated = fc
  .record({
    name: fc.constantFrom(...frameNames()),
    layer: fc.constantFrom(...LAYERS),
    cut: fc.oneof({ arbitrary: fc.constant(0), weight: 3 }, fc.nat(600)),
    changes: fc.array(fc.tuple(fc.nat(600), fc.nat(255)), { maxLength: 6 }),
  })
  .map(({ name, layer, cut, changes }) => {
    const whole = frame(name).slice(layer);
    const b = whole.slice(0, Math.max(0, whole.length - cut));
    for (const [at, value] of changes) if (b.length > 0) b[at % b.length] = value;
    return b;
  });

test('captured frames, cut and changed', (t) => {
  fc.assert(fc.property(mutated, offset, readAll), { numRuns: 300 });
  t.pass();
});

test(`${MUTATED} captured frames, cut, spliced and changed, by every codec`, (t) => {
  const seed = seedOfRun();
  const random = new Random(seed);
  const frames = frameNames().map(frame);
  const input = new Uint8Array(8192);
  for (let n = 0; n < MUTATED; n++) {
    const f = mutate(random.pick(frames), random.pick(frames), random).subarray(0, 4000);
    if (random.chance(70)) mend(f, random.chance(70));
    const before = random.below(10);
    input.fill(0xff, 0, f.length + 100);
    input.set(f, before);
    const layer = before + Math.min(f.length, random.pick(LAYERS));
    for (const [name, read] of all) {
      try {
        read(input, layer, before + f.length);
      } catch (error) {
        t.fail(`${SEED_VARIABLE}=${seed}: ${name}: ${error}: ${Buffer.from(f).toString('hex')}`);
        return;
      }
    }
  }
  t.pass();
});

for (const name of frameNames()) {
  test(`${name}: every length of it`, (t) => {
    const b = frame(name);
    for (const layer of LAYERS) {
      for (let len = 0; len <= Math.min(b.length - layer, 130); len++) {
        const part = b.slice(layer, layer + len);
        for (const [, read] of all) read(guarded(part, 2, 0xff, 70), 2, 2 + len);
      }
    }
    t.pass();
  });
}

test('every value of every byte of a SYN, a DHCP message and a DNS query', (t) => {
  const inputs: [string, number, Reader[]][] = [
    ['tcp-syn', 34, [readers['tcp.check']!, checkedReaders['tcp accessors and options']!, readers['tcp.summary']!]],
    ['dhcp-request', 42, [checkedReaders['dhcp round trip']!]],
    ['udp-dns-query', 42, [checkedReaders['dns accessors and answers']!, readers['dns.ednsUdpSize']!]],
  ];
  for (const [name, layer, use] of inputs) {
    const b = frame(name).slice(layer);
    for (let at = 0; at < b.length; at++) {
      const kept = b[at]!;
      for (let value = 0; value < 256; value += name === 'dhcp-request' ? 5 : 1) {
        b[at] = value;
        for (const read of use) read(b, 0, b.length);
      }
      b[at] = kept;
    }
  }
  t.pass();
});

test('64 KiB of the costliest DNS and DHCP bytes are refused in bounded time', (t) => {
  const pointers = new Uint8Array(65535);
  pointers.set([0, 0, 1, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 1, 0, 1]);
  for (let i = 17; i + 12 <= pointers.length; i += 12) {
    // Each owner name leads to the one before it; the data is empty.
    const back = i === 17 ? 12 : Math.min(i - 12, 0x3ff0);
    pointers[i] = 0xc0 | (back >>> 8);
    pointers[i + 1] = back;
  }
  const labels = new Uint8Array(65535).fill(1);
  const started = performance.now();
  for (const b of [pointers, labels, new Uint8Array(65535), new Uint8Array(65535).fill(0xff)]) {
    for (const [, read] of all) read(b, 0, b.length);
  }
  t.true(performance.now() - started < 5000);
});
