// Byte streams from outside: frames behind their lengths (QEMU, plug streams), requests at the control socket. Whatever
// is cut where, nothing throws, nothing longer than the limit comes out, and what is sound comes out whole.

import test from 'ava';
import { FrameDecoder } from '../../src/link/frame-decoder.ts';
import { encodeRequest, parseReply, parseRequest, REPLY_LEN } from '../../src/link/vde-protocol.ts';
import { frame, frameNames } from '../support/frames.ts';
import { mutate } from './support/mutate.ts';
import { Random, SEED_VARIABLE, seedOfRun } from './support/random.ts';

const STREAMS = 2000;
const REQUESTS = 100_000;
const MAX_FRAME = 1518;
const seed = seedOfRun();
const frames = frameNames().map(frame);

for (const headerLen of [2, 4] as const) {
  test(`${STREAMS} streams of frames behind ${headerLen} bytes, torn anywhere, lengths changed`, (t) => {
    const random = new Random(seed + headerLen);
    for (let n = 0; n < STREAMS; n++) {
      const parts: Buffer[] = [];
      const want: string[] = [];
      let sound = true;
      for (let i = random.below(30); i >= 0; i--) {
        const f = mutate(random.pick(frames), random.pick(frames), random).subarray(0, MAX_FRAME);
        const header = Buffer.alloc(headerLen);
        header.writeUIntBE(f.length, 0, headerLen);
        if (random.chance(2)) {
          header[random.below(headerLen)] = random.next();
          sound = false;
        }
        if (sound && f.length > 0) want.push(Buffer.from(f).toString('hex'));
        parts.push(header, Buffer.from(f));
      }
      const got: string[] = [];
      let longest = 0;
      const decoder = new FrameDecoder(headerLen, MAX_FRAME, (b, off, len) => {
        longest = Math.max(longest, len);
        got.push(Buffer.from(b.subarray(off, off + len)).toString('hex'));
      });
      const stream = Buffer.concat(parts);
      for (let at = 0; at < stream.length; ) {
        const len = 1 + random.below(random.chance(50) ? 20 : 4000);
        const chunk = Uint8Array.from(stream.subarray(at, at + len));
        if (!decoder.push(chunk)) break;
        chunk.fill(0xdd); // the loan is over
        at += len;
      }
      if (longest > MAX_FRAME || want.some((each, i) => got[i] !== each) || (sound && got.length !== want.length)) {
        t.fail(`${SEED_VARIABLE}=${seed}: stream ${n}: ${stream.toString('hex')}`);
        return;
      }
    }
    t.pass();
  });
}

test(`${REQUESTS} requests and replies of the control socket, changed`, (t) => {
  const random = new Random(seed);
  const requests = [-1, 0, 5].map((port) => encodeRequest(port, '/tmp/x/sock', 'description'));
  const v1 = Buffer.alloc(124);
  v1.writeUInt32LE(0xfeedface, 0);
  v1.writeUInt16LE(1, 14);
  v1.write('/tmp/y', 16);
  for (let n = 0; n < REQUESTS; n++) {
    const b = Buffer.from(mutate(random.pick([...requests, v1]), random.pick(requests), random));
    const got = parseRequest(b);
    if (got !== null && typeof got === 'object') {
      const ok = got.path.startsWith('/') && !got.path.includes('\0') && got.port >= -1 && got.port <= 0x7fffff;
      if (!ok || /[\x00-\x1f\x7f]/.test(got.description)) {
        t.fail(`${SEED_VARIABLE}=${seed}: ${b.toString('hex')}`);
        return;
      }
    }
    const reply = Buffer.alloc(REPLY_LEN);
    b.copy(reply);
    parseReply(reply);
  }
  t.pass();
});
