import { PassThrough, Writable } from 'node:stream';
import test from 'ava';
import { Drop } from '../../src/core/drop.ts';
import { FrameMemory } from '../../src/core/frame.ts';
import { FrameStream, type StreamEnd } from '../../src/link/frame-stream.ts';
import { linkCompliance } from '../compliance/link.ts';
import { numbered, Recorder, turns, until } from './support.ts';

linkCompliance(test, 'frame stream', async () => {
  const there = new PassThrough();
  const back = new PassThrough();
  const options = { headerLen: 2 as const, maxRxFrame: 9236, mtu: 1500 };
  const a = new FrameStream(back, there, { name: 'a', ...options });
  const b = new FrameStream(there, back, { name: 'b', ...options });
  return { a, b, memory: new FrameMemory(1 << 20) };
});

/** A stream whose reader takes a write only when it is told to. */
class SlowPipe extends Writable {
  readonly writes: Buffer[] = [];
  private taken: (() => void) | null = null;

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.writes.push(Buffer.from(chunk));
    this.taken = done;
  }

  take(): boolean {
    const { taken } = this;
    this.taken = null;
    taken?.();
    return taken !== null;
  }
}

function setup(headerLen: 2 | 4, mtu = 1500) {
  const input = new PassThrough();
  const output = new SlowPipe();
  const link = new FrameStream(input, output, { name: 'x', headerLen, maxRxFrame: 65_550, mtu });
  const ends: StreamEnd[] = [];
  const states: boolean[] = [];
  link.onEnd = (why) => ends.push(why);
  link.onState = (up) => states.push(up);
  const send = (frame: Uint8Array) => link.tx.frame(frame, 0, frame.length);
  return { input, output, link, ends, states, send };
}

test('a wake-up is one write, with header and frame together', (t) => {
  const { link, output, send } = setup(4);
  send(numbered(1, 60));
  send(numbered(2, 100));
  t.is(output.writes.length, 0);
  link.tx.flush();
  link.tx.flush();
  t.deepEqual(
    output.writes.map((w) => w.length),
    [168],
  );
  t.is(output.writes[0]!.readUInt32BE(0), 60);
  t.is(output.writes[0]!.readUInt32BE(64), 100);
});

test('plug stream: writes of whole frames of at most 4096 bytes, a longer frame alone', async (t) => {
  const { link, output, send } = setup(2, 9000);
  const lens = [1514, 1514, 1514, 9000, 60, 60, 4030, 4094, 14];
  lens.forEach((len, i) => {
    send(numbered(i, len < 18 ? 18 : len).subarray(0, len));
  });
  link.tx.flush();
  while (output.take()) await turns(2);
  t.deepEqual(
    output.writes.map((w) => w.length),
    [3032, 1516, 9002, 124, 4032, 4096, 16],
  );
});

test('a reader that is slow: bounded, the newest frames are dropped and counted, and it goes on', async (t) => {
  const { link, output, send } = setup(4);
  const sent = 2000;
  for (let i = 0; i < sent; i++) {
    send(numbered(i, 1514));
    link.tx.flush();
  }
  const dropped = link.drops[Drop.TxQueueFull]!;
  t.true(dropped > 1000, String(dropped));
  t.is(link.stats.txFrames + dropped, sent);
  while (output.take()) await turns(2);
  t.is(
    output.writes.reduce((n, w) => n + w.length, 0),
    (sent - dropped) * 1518,
  );
  send(numbered(9999, 1514));
  link.tx.flush();
  await turns(2);
  t.is(output.writes.at(-1)!.readUInt32BE(4 + 14), 9999);
});

test('frames of 65,550 bytes go both ways', async (t) => {
  const { link, input, output, send } = setup(4, 65_532);
  const sink = new Recorder();
  link.attach(sink);
  const frame = numbered(1, 65_550);
  send(frame);
  send(numbered(2, 65_551));
  link.tx.flush();
  t.is(output.writes[0]!.length, 65_554);
  t.is(link.drops[Drop.FrameTooLong], 1);
  input.write(output.writes[0]);
  await until(() => sink.frames.length === 1, 'frame');
  t.deepEqual(sink.frames[0], frame);
});

test('a length over the limit: counted, and the link is over', async (t) => {
  const { link, input, ends, states } = setup(4);
  const sink = new Recorder();
  link.attach(sink);
  input.write(Buffer.concat([Buffer.of(0, 0, 0, 60), numbered(1, 60), Buffer.of(0, 1, 0, 15)]));
  await until(() => ends.length > 0, 'end');
  t.deepEqual([sink.numbers, ends, states], [[1], ['out of step'], [false]]);
  t.is(link.drops[Drop.StreamBadLength], 1);
  t.false(link.up);
});

test('a frame shorter than an Ethernet header is counted, an empty one is not', async (t) => {
  const { link, input } = setup(2);
  const sink = new Recorder();
  link.attach(sink);
  input.write(Buffer.concat([Buffer.of(0, 0, 0, 13), Buffer.alloc(13), Buffer.of(0, 60), numbered(4, 60)]));
  await until(() => sink.frames.length === 1, 'frame');
  t.is(link.drops[Drop.FrameTooShort], 1);
  t.like(link.stats, { rxFrames: 1, rxBytes: 60 });
});

for (const [name, provoke, want] of [
  ['the end of the input', (s: ReturnType<typeof setup>) => s.input.end(), 'ended'],
  ['an error of the input', (s: ReturnType<typeof setup>) => s.input.destroy(new Error('broken')), /broken/],
  ['an error of the output', (s: ReturnType<typeof setup>) => s.output.destroy(new Error('gone')), /gone/],
] as const) {
  test(`${name} is the end of the link, told once`, async (t) => {
    const s = setup(2);
    s.link.attach(new Recorder());
    provoke(s);
    await until(() => s.ends.length > 0, 'end');
    await turns();
    t.deepEqual(s.states, [false]);
    t.is(s.ends.length, 1);
    t.regex(String(s.ends[0]), new RegExp(want));
    s.send(numbered(1));
    t.is(s.link.drops[Drop.LinkDown], 1);
  });
}

test('close() inside a delivery: no frame of the same chunk follows', async (t) => {
  const { link, input, ends, states } = setup(2);
  let frames = 0;
  link.attach({
    frame: () => {
      frames++;
      void link.close();
    },
    flush: () => {},
  });
  const one = Buffer.concat([Buffer.of(0, 60), numbered(1, 60)]);
  input.write(Buffer.concat([one, one, one]));
  await until(() => frames > 0, 'frame');
  await turns();
  t.deepEqual([frames, ends, states], [1, [], [false]]);
});
