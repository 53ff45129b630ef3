import test from 'ava';
import fc from 'fast-check';
import { FrameRing, plainSlots } from '../../src/link/frame-ring.ts';

test('frames come out in order, whole, at offsets = 2 (mod 4), whatever their lengths and the size of the ring', (t) => {
  const step = fc.oneof(
    fc.record({ push: fc.integer({ min: 1, max: 70 }), shift: fc.constant(0) }),
    fc.record({ push: fc.constant(0), shift: fc.integer({ min: 1, max: 4 }) }),
  );
  fc.assert(
    fc.property(
      fc.integer({ min: 64, max: 400 }),
      fc.integer({ min: 1, max: 9 }),
      fc.array(step, { maxLength: 120 }),
      (size, slots, steps) => {
        const ring = new FrameRing(new Uint8Array(size), plainSlots(slots));
        const model: Uint8Array[] = [];
        let serial = 0;
        for (const { push, shift } of steps) {
          if (push > 0) {
            const frame = new Uint8Array(push + 3).fill(++serial & 0xff);
            if (ring.push(frame, 3, push)) model.push(frame.slice(3));
            else if (model.length === 0 && push + 2 <= size) throw new Error('an empty ring refused a frame that fits');
          } else {
            const n = Math.min(shift, model.length, ring.run);
            model.splice(0, n);
            ring.shift(n);
          }
          if (ring.count !== model.length) throw new Error(`count ${ring.count}, model ${model.length}`);
          model.forEach((frame, i) => {
            const slot = (ring.head + i) % slots;
            const off = ring.slots.offs[slot]!;
            const got = ring.bytes.subarray(off, off + ring.slots.lens[slot]!);
            if (off % 4 !== 2) throw new Error(`offset ${off}`);
            if (Buffer.compare(got, frame) !== 0) throw new Error(`frame ${i} was changed`);
          });
        }
        return true;
      },
    ),
    { numRuns: 300 },
  );
  t.pass();
});

test('a ring of n slots holds n frames', (t) => {
  const ring = new FrameRing(new Uint8Array(1000), plainSlots(3));
  const frame = new Uint8Array(14);
  t.deepEqual(
    [1, 2, 3, 4].map(() => ring.push(frame, 0, 14)),
    [true, true, true, false],
  );
  ring.shift(2);
  t.is(ring.run, 1);
  t.true(ring.push(frame, 0, 14));
  t.is(ring.run, 1, 'the second frame lies in slot 0, behind the end of the slots');
});

test('take: a larger ring takes the frames of a smaller one, in order, behind its own', (t) => {
  const small = new FrameRing(new Uint8Array(100), plainSlots(3));
  const large = new FrameRing(new Uint8Array(1000), plainSlots(9));
  const push = (ring: FrameRing, n: number) => t.true(ring.push(new Uint8Array(20).fill(n), 0, 20));
  for (const n of [0, 1, 2]) push(small, n);
  small.shift(1);
  push(small, 3); // wraps, in bytes and in slots
  push(large, 9);
  large.take(small);
  t.is(small.count, 0);
  t.deepEqual(
    [0, 1, 2, 3].map((slot) => large.bytes[large.slots.offs[slot]!]),
    [9, 1, 2, 3],
  );
});
