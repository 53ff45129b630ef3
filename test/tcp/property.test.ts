// Whatever a guest sends, and whatever the owner does meanwhile: nothing throws, and the numbers stay consistent.

import test from 'ava';
import fc from 'fast-check';
import { MAPPED } from '../../src/core/address.ts';
import { Packet } from '../../src/core/packet.ts';
import { seqDiff, seqGe, seqGt, seqLe } from '../../src/core/seq.ts';
import { TcpState } from '../../src/tcp/index.ts';
import { pseudoIpv4 } from '../../src/wire/checksum.ts';
import * as tcp from '../../src/wire/tcp.ts';
import {
  GUEST,
  type GuestSegment,
  type HarnessState,
  patternByte,
  SERVER,
  tcpHarness,
} from '../support/tcp-harness.ts';

const RUNS = 400;
const LIMITS = {
  sendBuffer: 20_000,
  sendBufferMax: 20_000,
  receiveBuffer: 20_000,
  receiveBufferMax: 20_000,
  memory: 128 << 10,
  handshakeMs: 1e9,
};

const states: HarnessState[] = [
  'DEFERRED',
  'SYN-SENT',
  'SYN-RECEIVED',
  'ESTABLISHED',
  'FIN-WAIT-1',
  'FIN-WAIT-2',
  'CLOSE-WAIT',
  'CLOSING',
  'LAST-ACK',
  'TIME-WAIT',
];

/** A number of bytes around what matters: 0, the window, a segment, anything. */
const near = fc.oneof(
  fc.integer({ min: -3, max: 3 }),
  fc.integer({ min: -1500, max: 1500 }),
  fc.integer({ min: 19_990, max: 20_010 }),
  fc.integer(),
);

type Step =
  | { do: 'segment'; flags: string; seq: number; ack: number; len: number; win: number; ts: number; sack: number[] }
  | { do: 'write'; len: number }
  | { do: 'room'; len: number }
  | { do: 'time'; ms: number }
  | { do: 'accept' | 'end' | 'reset' };

const segment: fc.Arbitrary<Step> = fc.record({
  do: fc.constant('segment' as const),
  flags: fc.oneof(
    { weight: 6, arbitrary: fc.constant('A') },
    { weight: 3, arbitrary: fc.constantFrom('FA', 'PA', 'S', 'SA', 'R', 'RA', 'F', 'UA', 'FPA', 'P') },
  ),
  seq: near,
  ack: near,
  len: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 3000 })),
  win: fc.oneof(fc.constant(65_535), fc.constant(0), fc.integer({ min: 0, max: 3000 })),
  ts: fc.integer({ min: -2, max: 5 }),
  sack: fc.array(near, { maxLength: 8 }),
});

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 10, arbitrary: segment },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('write' as const), len: fc.integer({ min: 0, max: 30_000 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('room' as const), len: fc.integer({ min: 0, max: 25_000 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('time' as const), ms: fc.integer({ min: 0, max: 70_000 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('accept' as const, 'end' as const, 'reset' as const) }) },
);

test('any segments and any calls: nothing throws, sequence numbers and windows stay consistent', (t) => {
  const run = (
    state: HarnessState,
    options: { sackOk: boolean; ts: boolean; wscale: boolean },
    steps: Step[],
  ): void => {
    const h = tcpHarness({
      state,
      sackOk: options.sackOk,
      limits: LIMITS,
      ...(options.ts ? { ts: [100, 0] as const } : {}),
      ...(options.wscale ? { wscale: 3 } : {}),
    });
    let { c } = h;
    let una = c.snd.sndUna;
    let nxt = c.rcv.rcvNxt;
    let edge = c.rcv.rcvAdv;
    let open = !c.opening && !c.deferred;
    let written = 0;
    const stream: number[] = [];
    for (const s of steps) {
      const { snd, rcv } = c;
      if (s.do === 'segment') {
        const seg: GuestSegment = {
          flags: s.flags,
          seq: (rcv.rcvNxt + s.seq) >>> 0,
          ack: (seqDiff(snd.sndUna, snd.iss) + h.iss + s.ack) >>> 0,
          len: s.len,
          win: s.win,
        };
        if (options.ts) seg.ts = [(rcv.tsRecent + s.ts) >>> 0, 0];
        const sack: [number, number][] = [];
        for (let i = 0; i + 1 < s.sack.length && i < 6; i += 2) {
          sack.push([(seg.ack! + s.sack[i]!) >>> 0, (seg.ack! + s.sack[i + 1]!) >>> 0]);
        }
        seg.sack = options.ts ? sack.slice(0, 3) : sack;
        h.fromGuest(seg);
      } else if (s.do === 'write') {
        const b = Uint8Array.from({ length: s.len }, (_, i) => patternByte(written + i));
        const n = c.write(b, 0, s.len);
        for (let i = 0; i < n; i++) stream.push(b[i]!);
        written += n;
        h.engine.flush();
      } else if (s.do === 'room') {
        c.setReceiveRoom(s.len);
        h.engine.flush();
      } else if (s.do === 'time') h.advance(s.ms);
      else if (s.do === 'accept') h.accept();
      else if (s.do === 'end') h.end();
      else c.reset();

      if (h.c !== c) {
        // Started again by another SYN.
        c = h.c;
        open = false;
        written = 0;
        stream.length = 0;
      }
      for (const sent of h.all()) {
        const at = sent.seq - h.iss - 1;
        for (let i = 0; i < sent.len; i++) {
          if (sent.data[i] !== stream[at + i]) throw new Error(`byte ${at + i} of the stream is wrong`);
        }
      }
      if (h.engine.memoryUsed > LIMITS.memory) throw new Error('memory bound broken');
      if (c.over) {
        if (h.engine.memoryUsed !== 0) throw new Error('memory kept by a connection that is over');
        break;
      }
      // Numbers that hold from the handshake on.
      if (c.opening || c.deferred || !open) {
        open = !c.opening && !c.deferred;
        nxt = c.rcv.rcvNxt;
        edge = c.rcv.rcvAdv;
        una = c.snd.sndUna;
        continue;
      }
      if (seqGt(c.snd.sndUna, c.snd.sndNxt)) throw new Error('sndUna behind sndNxt');
      if (!seqGe(c.snd.sndUna, una)) throw new Error('sndUna moved back');
      if (!seqGe(c.rcv.rcvNxt, nxt)) throw new Error('rcvNxt moved back');
      if (!seqGe(c.rcv.rcvAdv, edge)) throw new Error('right edge moved back');
      if (seqGt(c.rcv.rcvNxt, c.rcv.rcvAdv)) throw new Error('received beyond the window');
      const { board } = c.snd.recovery;
      if (c.state >= TcpState.Established && c.state !== TcpState.TimeWait) {
        if (board.outBytes !== seqDiff(c.snd.sndNxt, c.snd.sndUna)) throw new Error('scoreboard out of step');
        if (board.pipe < 0 || board.lostBytes < 0 || board.sackedBytes < 0) throw new Error('negative counts');
        if (c.snd.unsent < 0) throw new Error('sent more than was written');
        if (c.snd.recovery.cc.cwnd < c.snd.smss) throw new Error('congestion window below a segment');
      }
      una = c.snd.sndUna;
      nxt = c.rcv.rcvNxt;
      edge = c.rcv.rcvAdv;
      if (!seqLe(una, c.snd.sndNxt)) throw new Error('order');
    }
  };
  t.notThrows(() =>
    fc.assert(
      fc.property(
        fc.constantFrom(...states),
        fc.record({ sackOk: fc.boolean(), ts: fc.boolean(), wscale: fc.boolean() }),
        fc.array(step, { minLength: 5, maxLength: 60 }),
        run,
      ),
      { numRuns: RUNS, includeErrorInReport: true },
    ),
  );
});

test('any bytes never throw', (t) => {
  const h = tcpHarness({ sackOk: true });
  const p = new Packet();
  p.src2 = p.dst2 = MAPPED;
  p.src3 = GUEST;
  p.dst3 = SERVER;
  t.notThrows(() =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), fc.boolean(), (bytes, fix) => {
        p.b = bytes;
        p.l4 = 0;
        p.end = bytes.length;
        if (fix && bytes.length >= 20) {
          // Past the checks: a plausible header over random options and payload.
          bytes[12] = Math.max(5, Math.min(bytes.length >> 2, bytes[12]! >> 4)) << 4;
          tcp.writeChecksum(bytes, 0, bytes.length, pseudoIpv4(GUEST, SERVER, 6));
        }
        h.engine.input(p);
        h.engine.flush();
        h.all();
      }),
      { numRuns: 2000 },
    ),
  );
});
