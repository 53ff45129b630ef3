import test from 'ava';
import { FrameMemory } from '../../src/core/frame.ts';
import { memoryPair } from '../../src/link/memory.ts';
import { SegmentLink } from '../../src/link/segment-link.ts';
import { arpFrame, tcpFrame } from '../support/guest-frames.ts';

const MSS = 1460;
const arp = arpFrame({ spa: '10.0.2.15', tpa: '10.0.2.2' });
const segment = (i: number, len = MSS): Uint8Array =>
  tcpFrame({ sport: 1, dport: 2, seq: i * MSS, flags: 'A', data: new Uint8Array(len).fill(i) });

/** A SegmentLink over one end of a pair, what came out at both, and memory to send from. */
function setup() {
  const memory = new FrameMemory();
  const [inner, far] = memoryPair('m', { delivery: 'direct' });
  const link = new SegmentLink(inner, memory);
  const seen: string[] = [];
  const got: string[] = [];
  link.attach({
    frame: (_b, _off, len) => seen.push(`${len}${link.trusted ? ' trusted' : ''}`),
    flush: () => seen.push('flush'),
  });
  far.attach({ frame: (_b, _off, len) => got.push(`${len}`), flush: () => got.push('flush') });
  let at = memory.region(1 << 20) + 2;
  const put = (f: Uint8Array): [Uint8Array, number, number] => {
    const off = at;
    memory.bytes.set(f, off);
    at += (f.length + 7) & ~3;
    return [memory.bytes, off, f.length];
  };
  return { link, far, seen, got, put };
}

test('in: segments of one wake-up are merged at its flush, in order with what is between', (t) => {
  const { far, seen, put } = setup();
  for (const f of [segment(0), segment(1), arp, segment(2), segment(3)]) far.tx.frame(...put(f));
  t.deepEqual(seen, []);
  far.tx.flush();
  t.deepEqual(seen, [`${54 + 2 * MSS} trusted`, '42', `${54 + 2 * MSS} trusted`, 'flush']);
});

test('in: a frame alone is passed on as it came; frames in other memory keep their place', (t) => {
  const { far, seen, put } = setup();
  far.tx.frame(...put(segment(0)));
  far.tx.flush();
  t.deepEqual(seen.splice(0), ['1514', 'flush']);
  far.tx.frame(...put(segment(1)));
  far.tx.frame(...put(segment(2)));
  far.tx.frame(arp, 0, arp.length);
  far.tx.frame(...put(segment(3)));
  far.tx.flush();
  t.deepEqual(seen, [`${54 + 2 * MSS} trusted`, '42', '1514', 'flush']);
});

test('in: more frames than are collected at once', (t) => {
  const { far, seen, put } = setup();
  for (let i = 0; i < 600; i++) far.tx.frame(...put(segment(i, 100)));
  far.tx.flush();
  t.is(seen.length, 601); // sequence numbers are MSS apart: nothing is merged
  t.is(seen.at(-1), 'flush');
});

test('out: large segments are cut to the MTU, at flush and in order', (t) => {
  const { link, got, put } = setup();
  link.tx.frame(...put(segment(0, 3 * MSS)));
  link.tx.frame(...put(arp));
  link.tx.frame(arp, 0, arp.length);
  link.tx.frame(...put(segment(0, 10)));
  t.deepEqual(got.splice(0), ['1514', '1514', '1514', '42', '42']); // by the one in other memory
  link.tx.flush();
  t.deepEqual(got, ['64', 'flush']);
});

test('out: a burst beyond the region of cut frames leaves in parts', (t) => {
  const { link, got, put } = setup();
  const big = put(segment(0, 44 * MSS));
  for (let i = 0; i < 20; i++) link.tx.frame(...big);
  link.tx.flush();
  t.is(got.filter((g) => g === '1514').length, 20 * 44);
  t.true(got.filter((g) => g === 'flush').length >= 2);
});

test('state, counters and end are those of the link within', async (t) => {
  const { link, far, put } = setup();
  const states: boolean[] = [];
  link.onState = (up) => states.push(up);
  link.tx.frame(...put(arp));
  link.tx.flush();
  t.is(link.stats.txFrames, 1);
  await link.close();
  t.deepEqual(states, [false]);
  far.tx.frame(arp, 0, arp.length);
});
