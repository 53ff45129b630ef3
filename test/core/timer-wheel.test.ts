import test from 'ava';
import fc from 'fast-check';
import { TimerWheel } from '../../src/core/timer-wheel.ts';
import { FakeClock } from '../support/fake-clock.ts';

const TICK_MS = 4;

test('a timer fires once, not before its deadline and at most one tick later', (t) => {
  const clock = new FakeClock();
  const wheel = new TimerWheel(clock);
  const fired: number[] = [];
  const start = clock.now();
  const timer = wheel.timer(() => fired.push(clock.now() - start));
  timer.set(1000);
  clock.advance(999);
  t.deepEqual(fired, []);
  clock.advance(1 + TICK_MS);
  t.is(fired.length, 1);
  t.true(fired[0]! >= 1000 && fired[0]! <= 1000 + TICK_MS);
  clock.advance(10_000);
  t.is(fired.length, 1);
  t.false(timer.armed);
});

test('a timer moved later fires at the new time, moved earlier at the new time, cancelled never', (t) => {
  const clock = new FakeClock();
  const wheel = new TimerWheel(clock);
  const log: string[] = [];
  const start = clock.now();
  const later = wheel.timer(() => log.push(`later ${clock.now() - start}`));
  const earlier = wheel.timer(() => log.push(`earlier ${clock.now() - start}`));
  const never = wheel.timer(() => log.push('never'));
  later.set(100);
  later.set(2000);
  earlier.set(2000);
  earlier.set(100);
  never.set(50);
  never.cancel();
  clock.advance(5000);
  t.deepEqual(log, ['earlier 100', 'later 2000']);
  t.is(wheel.size, 0);
});

test('a callback may arm its own timer and cancel others that are due in the same tick', (t) => {
  const clock = new FakeClock();
  const wheel = new TimerWheel(clock);
  let n = 0;
  const again = wheel.timer(() => {
    if (++n < 5) again.set(0);
    victim.cancel();
  });
  const victim = wheel.timer(() => t.fail('was cancelled'));
  victim.set(100);
  again.set(100); // linked last, so it is found first in the slot
  clock.advance(1000);
  t.is(n, 5);
});

test('an idle wheel asks for no wake-ups, a wheel with a far timer for few', (t) => {
  const clock = new FakeClock();
  const wheel = new TimerWheel(clock);
  t.is(clock.next, Number.POSITIVE_INFINITY);
  let fired = false;
  wheel.timer(() => (fired = true)).set(7_200_000);
  let wakes = 0;
  while (!fired && wakes < 1000) {
    wakes++;
    clock.advance(clock.next - clock.now());
  }
  t.true(fired);
  t.true(wakes <= 8, `${wakes} wake-ups for one timer`);
});

test('property: against a model, under random sets, moves, cancels and late wake-ups', (t) => {
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          fc.record({
            op: fc.constant('set' as const),
            id: fc.nat(7),
            ms: fc.oneof(fc.nat(300), fc.nat(20_000), fc.nat(2_000_000), fc.constant(1e8)),
          }),
          fc.record({ op: fc.constant('cancel' as const), id: fc.nat(7), ms: fc.constant(0) }),
          fc.record({
            op: fc.constant('advance' as const),
            id: fc.constant(0),
            ms: fc.oneof(fc.nat(10), fc.nat(3000), fc.nat(3_000_000)),
          }),
        ),
        { maxLength: 60 },
      ),
      (ops) => {
        const clock = new FakeClock(12_345.5);
        const wheel = new TimerWheel(clock);
        const due = new Map<number, number>();
        const timers = Array.from({ length: 8 }, (_, id) =>
          wheel.timer(() => {
            const at = due.get(id);
            if (at === undefined) throw new Error(`timer ${id} fired unarmed`);
            if (clock.now() < at) throw new Error(`timer ${id} fired ${at - clock.now()} ms early`);
            if (clock.now() > at + 2 * TICK_MS) throw new Error(`timer ${id} fired ${clock.now() - at} ms late`);
            due.delete(id);
          }),
        );
        for (const { op, id, ms } of ops) {
          if (op === 'set') {
            timers[id]!.set(ms);
            due.set(id, clock.now() + ms);
          } else if (op === 'cancel') {
            timers[id]!.cancel();
            due.delete(id);
          } else clock.advance(ms);
          for (const [i, at] of due) if (at + 2 * TICK_MS < clock.now()) throw new Error(`timer ${i} was missed`);
        }
        return wheel.size === due.size;
      },
    ),
    { numRuns: 300 },
  );
  t.pass();
});
