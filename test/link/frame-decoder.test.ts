import test from 'ava';
import fc from 'fast-check';
import { FrameDecoder } from '../../src/link/frame-decoder.ts';

/** The frames that come out of `chunks`, and whether the stream stayed in step. */
function decode(headerLen: 2 | 4, maxFrame: number, chunks: Uint8Array[]): { frames: string[]; inStep: boolean } {
  const frames: string[] = [];
  const decoder = new FrameDecoder(headerLen, maxFrame, (b, off, len) => {
    frames.push(Buffer.from(b.subarray(off, off + len)).toString('hex'));
  });
  let inStep = true;
  for (const chunk of chunks) {
    const loan = Uint8Array.from(chunk);
    inStep &&= decoder.push(loan);
    loan.fill(0xdd); // what is kept must be a copy
  }
  return { frames, inStep };
}

function encode(headerLen: 2 | 4, frames: Uint8Array[]): Buffer {
  return Buffer.concat(
    frames.flatMap((frame) => {
      const header = Buffer.alloc(headerLen);
      header.writeUIntBE(frame.length, 0, headerLen);
      return [header, frame];
    }),
  );
}

const hexOf = (frames: Uint8Array[]): string[] =>
  frames.filter((f) => f.length > 0).map((f) => Buffer.from(f).toString('hex'));

for (const headerLen of [2, 4] as const) {
  test(`length of ${headerLen} bytes: every split in two, and byte by byte`, (t) => {
    const frames = [60, 0, 14, 1, 300].map((len, i) => new Uint8Array(len).fill(i + 1));
    const stream = encode(headerLen, frames);
    for (let cut = 0; cut <= stream.length; cut++) {
      const got = decode(headerLen, 300, [stream.subarray(0, cut), stream.subarray(cut)]);
      t.deepEqual(got, { frames: hexOf(frames), inStep: true }, `cut at ${cut}`);
    }
    const bytes = [...stream].map((byte) => Uint8Array.of(byte));
    t.deepEqual(decode(headerLen, 300, bytes), { frames: hexOf(frames), inStep: true });
  });

  test(`length of ${headerLen} bytes: one over the limit ends it, whole or cut, and nothing follows`, (t) => {
    const good = new Uint8Array(20).fill(7);
    const stream = encode(headerLen, [good, new Uint8Array(301), good]);
    for (let cut = 0; cut < 20 + 2 * headerLen; cut++) {
      const got = decode(headerLen, 300, [stream.subarray(0, cut), stream.subarray(cut), stream]);
      t.deepEqual(got, { frames: hexOf([good]), inStep: false }, `cut at ${cut}`);
    }
  });
}

test('a length with its highest bit set is long, not negative', (t) => {
  t.deepEqual(decode(4, 65_550, [Uint8Array.of(0x80, 0, 0, 1), new Uint8Array(10)]), { frames: [], inStep: false });
});

test('stop() inside a delivery ends it', (t) => {
  let delivered = 0;
  const decoder = new FrameDecoder(2, 100, () => {
    delivered++;
    decoder.stop();
  });
  const stream = encode(2, [new Uint8Array(20), new Uint8Array(20), new Uint8Array(20)]);
  decoder.push(stream.subarray(0, 30));
  decoder.push(stream.subarray(30));
  t.is(delivered, 1);
});

test('property: any frames in any chunks come out whole and in order', (t) => {
  const frame = fc.uint8Array({ maxLength: 200 });
  fc.assert(
    fc.property(
      fc.constantFrom(2 as const, 4 as const),
      fc.array(frame, { maxLength: 20 }),
      fc.array(fc.nat(4000), { maxLength: 20 }),
      (headerLen, frames, cuts) => {
        const stream = encode(headerLen, frames);
        const at = [0, ...cuts.map((c) => Math.min(c, stream.length)).sort((a, b) => a - b), stream.length];
        const chunks = at.slice(1).map((end, i) => stream.subarray(at[i], end));
        const got = decode(headerLen, 200, chunks);
        return got.inStep && JSON.stringify(got.frames) === JSON.stringify(hexOf(frames));
      },
    ),
  );
  t.pass();
});

test('property: any bytes never throw, and nothing longer than the limit comes out', (t) => {
  fc.assert(
    fc.property(fc.constantFrom(2 as const, 4 as const), fc.array(fc.uint8Array({ maxLength: 500 })), (h, chunks) =>
      decode(h, 64, chunks).frames.every((f) => f.length <= 128),
    ),
  );
  t.pass();
});
