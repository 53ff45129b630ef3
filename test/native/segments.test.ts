// Merging and cutting of TCP segments between batches (segments.c); with a TAP interface: test/link/tap.test.ts.

import test from 'ava';
import fc from 'fast-check';
import { Prng } from '../../src/core/prng.ts';
import { SUM_HOLDS } from '../../src/native/native.ts';
import * as checksum from '../../src/wire/checksum.ts';
import * as ethernet from '../../src/wire/ethernet.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';
import * as tcp from '../../src/wire/tcp.ts';
import { arpFrame, type Segment, tcpFrame, udpFrame } from '../support/guest-frames.ts';
import { api } from './support.ts';

const FRAMES = 256;
const REGION = 1 << 20;
const SLOTS = 1 << 20;
const MSS = 1448;
const TIMESTAMPS = Uint8Array.from([1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);

/** Frames in one memory, before a region of it. */
function batches(out = FRAMES) {
  const memory = new Uint8Array(SLOTS + REGION);
  const from = api.newBatch(memory, FRAMES);
  const to = api.newBatch(memory, out);
  let at = 2;
  let count = 0;
  return {
    from,
    to,
    put(frame: Uint8Array): void {
      memory.set(frame, at);
      from.offs[count] = at;
      from.lens[count++] = frame.length;
      at = ((at + frame.length + 1) & ~3) + 2;
    },
    frames: () =>
      Array.from({ length: to.used[0]! }, (_, i) => {
        const len = to.lens[i]! % SUM_HOLDS;
        return { bytes: memory.slice(to.offs[i]!, to.offs[i]! + len), holds: to.lens[i]! >= SUM_HOLDS };
      }),
    merge: (start = 0, room = REGION) => api.mergeSegments(from, start, count - start, to, SLOTS, SLOTS + room),
    split: (mtu: number, start = 0, room = REGION) =>
      api.splitSegments(from, start, count - start, mtu, to, SLOTS, SLOTS + room),
  };
}

const data = (len: number, from = 0): Uint8Array => Uint8Array.from({ length: len }, (_, i) => (from + i * 7) & 0xff);

/** Segments of one stream; `change` spoils some. */
function stream(lens: readonly number[], change: (i: number) => Partial<Segment> = () => ({})): Uint8Array[] {
  let seq = 0xffff_f000; // wraps
  return lens.map((len, i) => {
    const frame = tcpFrame({
      sport: 1000,
      dport: 80,
      seq,
      ack: 5,
      flags: i === lens.length - 1 ? 'AP' : 'A',
      options: TIMESTAMPS,
      data: data(len, i),
      ...change(i),
    });
    seq = (seq + len) >>> 0;
    return frame;
  });
}

const L4 = ethernet.HEADER_LEN + ipv4.HEADER_LEN;
const payload = (f: Uint8Array): Uint8Array => f.subarray(L4 + tcp.dataOffset(f, L4));
const pseudo = (f: Uint8Array): number => checksum.pseudoIpv4(ipv4.src(f, 14), ipv4.dst(f, 14), ipv4.PROTO_TCP);
const sumHolds = (f: Uint8Array): boolean => tcp.checksumOk(f, L4, f.length, pseudo(f));

function merged(frames: readonly Uint8Array[]) {
  const b = batches();
  for (const frame of frames) b.put(frame);
  const taken = b.merge();
  return { taken, out: b.frames() };
}

test('segments of a stream become one, with PSH of the last and a whole IP header', (t) => {
  const frames = stream([MSS, MSS, MSS, 100]);
  const { taken, out } = merged(frames);
  t.is(taken, 4);
  t.is(out.length, 1);
  const [one] = out;
  t.true(one!.holds);
  t.is(ipv4.check(one!.bytes, 14, one!.bytes.length), 0);
  t.is(ipv4.totalLen(one!.bytes, 14), one!.bytes.length - 14);
  t.is(tcp.seq(one!.bytes, L4), 0xffff_f000);
  t.is(tcp.flags(one!.bytes, L4), tcp.ACK | tcp.PSH);
  t.deepEqual(payload(one!.bytes), Uint8Array.from(frames.flatMap((f) => [...payload(f)])));
});

const CASES: readonly [string, number, (i: number) => Partial<Segment>][] = [
  ['another acknowledgement', 2, (i) => (i === 1 ? { ack: 6 } : {})],
  ['another window', 2, (i) => (i === 1 ? { window: 1 } : {})],
  ['another port', 2, (i) => (i === 1 ? { sport: 1001 } : {})],
  ['another address', 2, (i) => (i === 1 ? { src: '10.0.2.16' } : {})],
  ['another station', 2, (i) => (i === 1 ? { srcMac: '52:54:00:12:34:57' } : {})],
  ['another TTL', 2, (i) => (i === 1 ? { ttl: 63 } : {})],
  ['a later timestamp', 2, (i) => (i === 1 ? { options: TIMESTAMPS.with(7, 9) } : {})],
  ['no options', 2, (i) => (i === 1 ? { options: new Uint8Array(0) } : {})],
  ['a gap', 2, (i) => (i === 1 ? { seq: 0 } : {})],
  ['PSH before', 2, (i) => (i === 0 ? { flags: 'AP' } : {})],
  ['FIN', 2, (i) => (i === 1 ? { flags: 'AF' } : {})],
  ['RST', 2, (i) => (i === 1 ? { flags: 'AR' } : {})],
  ['SYN', 2, (i) => (i === 0 ? { flags: 'S' } : {})],
  ['no data', 2, (i) => (i === 1 ? { data: new Uint8Array(0) } : {})],
];

for (const [name, frames, change] of CASES)
  test(`not merged: ${name}`, (t) => {
    const sent = stream([MSS, MSS], change);
    const { out } = merged(sent);
    t.is(out.length, frames);
    t.deepEqual(
      out.map((f) => f.bytes),
      sent,
    );
    t.true(out.every((f) => f.holds));
  });

test('not merged: a longer segment behind a shorter one; what is shorter ends a run', (t) => {
  t.is(merged(stream([100, MSS])).out.length, 2);
  t.deepEqual(
    merged(stream([MSS, MSS, 100, MSS, MSS])).out.map((f) => payload(f.bytes).length),
    [2 * MSS + 100, 2 * MSS],
  );
});

test('a wrong checksum of TCP: passed on alone, without a mark', (t) => {
  const frames = stream([MSS, MSS, MSS, MSS]);
  frames[1]![200]! ^= 1;
  const { out } = merged(frames);
  t.deepEqual(
    out.map((f) => [payload(f.bytes).length, f.holds]),
    [
      [MSS, true],
      [MSS, false],
      [2 * MSS, true],
    ],
  );
  t.deepEqual(out[1]!.bytes, frames[1]);
});

test('a wrong checksum of IP: not merged', (t) => {
  const frames = stream([MSS, MSS]);
  frames[1]![24]! ^= 1;
  t.is(merged(frames).out.length, 2);
});

test('fragments, other protocols, cut frames and padding', (t) => {
  const [fragment, cut] = stream([MSS, MSS]);
  fragment![20] = 0x20;
  const ack = tcpFrame({ sport: 1, dport: 2, flags: 'A' });
  const padded = new Uint8Array(60);
  padded.set(ack);
  const frames = [
    fragment!,
    cut!.subarray(0, 1000),
    udpFrame({ sport: 1, dport: 2, data: data(50) }),
    arpFrame({ spa: '10.0.2.15', tpa: '10.0.2.2' }),
    padded,
    new Uint8Array(14),
  ];
  const { out } = merged(frames);
  t.deepEqual(
    out.map((f) => f.bytes),
    frames,
  );
  t.deepEqual(
    out.map((f) => f.holds),
    [false, false, false, false, true, false],
  );
});

test('merge: no more than 64 KiB in one, and what finds no room in the region stays as it is', (t) => {
  const frames = stream(Array.from({ length: 50 }, () => MSS));
  const { out } = merged(frames);
  t.deepEqual(
    out.map((f) => payload(f.bytes).length),
    [45 * MSS, 5 * MSS],
  );
  const b = batches();
  for (const frame of frames) b.put(frame);
  t.is(b.merge(0, 1000), 50);
  t.deepEqual(
    b.frames().map((f) => f.bytes),
    frames,
  );
});

test('merge and split: a small batch to write to takes a part, the rest with the next call', (t) => {
  const b = batches(2);
  const frames = stream([100, MSS, 100, MSS]);
  for (const frame of frames) b.put(frame);
  t.is(b.merge(), 3); // 100 | 1448 100
  t.is(b.merge(3), 1);
  t.is(b.split(1500), 2);
  t.is(b.split(1500, 2), 2);
});

/** A large segment as the router makes it: without checksum. */
function large(len: number, change: Partial<Segment> = {}): Uint8Array {
  const frame = tcpFrame({
    sport: 80,
    dport: 9,
    seq: 7,
    flags: 'APF',
    options: TIMESTAMPS,
    data: data(len),
    ...change,
  });
  frame[L4 + 16] = frame[L4 + 17] = 0x55;
  return frame;
}

test('split: frames of the MTU with sequence numbers, flags and checksums of their own', (t) => {
  const b = batches();
  const whole = large(3 * MSS + 5);
  b.put(whole);
  t.is(b.split(1500), 1);
  const out = b.frames().map((f) => f.bytes);
  t.deepEqual(
    out.map((f) => [f.length, tcp.seq(f, L4), tcp.flags(f, L4)]),
    [
      [1514, 7, tcp.ACK],
      [1514, 7 + MSS, tcp.ACK],
      [1514, 7 + 2 * MSS, tcp.ACK],
      [L4 + 32 + 5, 7 + 3 * MSS, tcp.ACK | tcp.PSH | tcp.FIN],
    ],
  );
  for (const f of out) {
    t.is(ipv4.check(f, 14, f.length), 0);
    t.true(sumHolds(f));
  }
  t.deepEqual(Uint8Array.from(out.flatMap((f) => [...payload(f)])), payload(whole));
});

test('split: what fits is summed where it lies; other protocols stay', (t) => {
  const b = batches();
  const udp = udpFrame({ sport: 1, dport: 2, data: data(2000) });
  b.put(large(100));
  b.put(udp);
  t.is(b.split(1500), 2);
  const [small, same] = b.frames();
  t.true(sumHolds(small!.bytes));
  t.deepEqual(same!.bytes, udp);
});

test('split: what does not fit the rest of the region waits; an empty batch takes it as it is', (t) => {
  const b = batches();
  b.put(large(3 * MSS));
  b.put(large(3 * MSS));
  t.is(b.split(1500, 0, 6000), 1);
  t.is(b.split(1500, 1, 6000), 1);
  t.is(b.frames().length, 3);
  t.is(b.split(1500, 0, 100), 1);
  t.is(b.frames()[0]!.bytes.length, L4 + 32 + 3 * MSS); // too long: the link counts it
});

test('IPv6: split and merged', (t) => {
  const b = batches();
  const len = 32 + 2 * 1428;
  const f = new Uint8Array(14 + ipv6.HEADER_LEN + len);
  ethernet.write(f, 0, 0x5254, 1, 0x5255, 2, ethernet.TYPE_IPV6);
  ipv6.writeHeader(f, 14, len, ipv4.PROTO_TCP, 64, 1, 2, 3, 4, 5, 6, 7, 8);
  const o = 14 + ipv6.HEADER_LEN;
  tcp.writeHeader(f, o, 1, 2, 3, 4, 32, tcp.ACK, 100);
  f.set(TIMESTAMPS, o + 20);
  f.set(data(2 * 1428), o + 32);
  b.put(f);
  t.is(b.split(1500), 1);
  const out = b.frames();
  const sum = checksum.pseudoWords(1, 2, 3, 4, 5, 6, 7, 8, ipv4.PROTO_TCP);
  t.is(out.length, 2);
  for (const { bytes } of out) t.true(tcp.checksumOk(bytes, o, bytes.length, sum));
  const again = merged(out.map((each) => each.bytes));
  t.is(again.out.length, 1);
  t.deepEqual(again.out[0]!.bytes.subarray(o + 20), f.subarray(o + 20));
});

test('arguments: another memory, and a region beyond it', (t) => {
  const b = batches();
  const other = api.newBatch(new Uint8Array(1000), 1);
  t.throws(() => api.mergeSegments(b.from, 0, 1, other, 0, 1000), { instanceOf: RangeError });
  t.throws(() => api.mergeSegments(b.from, 0, 1, b.to, 0, SLOTS + REGION + 1), { instanceOf: RangeError });
  t.throws(() => api.splitSegments(b.from, 0, 1, 1500, b.to, 10, 9), { instanceOf: RangeError });
  t.throws(() => api.splitSegments(b.from, 0, FRAMES + 1, 1500, b.to, 0, 9), { instanceOf: RangeError });
});

test('property: what a stream is cut into, and merged again in any grouping, is the stream', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 60_000 }), { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 576, max: 9000 }),
      (lens, mtu) => {
        const b = batches(1024);
        const sent = stream(lens);
        for (const f of sent) b.put(f);
        const all: Uint8Array[] = [];
        for (let done = 0; done < lens.length; ) {
          done += b.split(mtu, done, REGION);
          all.push(...b.frames().map((f) => f.bytes));
        }
        const back: Uint8Array[] = [];
        for (let i = 0; i < all.length; i += FRAMES)
          back.push(...merged(all.slice(i, i + FRAMES)).out.map((f) => f.bytes));
        const bytes = (frames: readonly Uint8Array[]) => Buffer.concat(frames.map(payload));
        return (
          all.every((f) => f.length <= 14 + mtu && sumHolds(f)) &&
          bytes(all).equals(bytes(sent)) &&
          bytes(back).equals(bytes(sent))
        );
      },
    ),
    { numRuns: 20 },
  );
  t.pass();
});

test('fuzz: mutated frames pass in order; all that are not merged stay as they are', (t) => {
  const prng = new Prng(1);
  const below = (n: number): number => Math.floor(prng.uniform() * n);
  for (let round = 0; round < 60; round++) {
    const frames = stream(Array.from({ length: 8 }, () => 1 + below(200)));
    for (const f of frames) for (let n = below(3); n > 0; n--) f[below(f.length)] = below(256);
    const cut = frames.map((f) => (below(10) === 0 ? f.subarray(0, below(f.length)) : f));
    const { taken, out } = merged(cut);
    t.is(taken, 8);
    const singles = out.filter((f) => cut.some((c) => Buffer.compare(c, f.bytes) === 0));
    for (const f of out) if (!singles.includes(f)) t.true(f.holds);
    const b = batches(1024);
    for (const f of cut) b.put(f);
    t.is(b.split(576), 8);
  }
});
