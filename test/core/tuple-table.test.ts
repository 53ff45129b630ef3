import test from 'ava';
import fc from 'fast-check';
import { MAPPED } from '../../src/core/address.ts';
import { TupleTable } from '../../src/core/tuple-table.ts';

type Key = readonly [number, number, number, number, number, number, number, number, number];

const v4 = (a: number, b: number, ports: number): Key => [0, 0, MAPPED, a, 0, 0, MAPPED, b, ports];

test('a tuple is found, changed and removed', (t) => {
  const table = new TupleTable(1, 2);
  const key = v4(10, 20, 30);
  t.is(table.find(...key), -1);
  table.set(...key, 5);
  t.is(table.find(...key), 5);
  table.set(...key, 0);
  t.is(table.find(...key), 0);
  t.is(table.size, 1);
  t.true(table.delete(...key));
  t.false(table.delete(...key));
  t.is(table.find(...key), -1);
  t.is(table.size, 0);
});

test('every word of a tuple counts', (t) => {
  const table = new TupleTable(1, 2);
  const base: Key = [1, 2, 3, 4, 5, 6, 7, 8, 9];
  table.set(...base, 100);
  for (let i = 0; i < 9; i++) {
    const other = base.map((w, k) => (k === i ? w + 1 : w)) as unknown as Key;
    t.is(table.find(...other), -1);
    table.set(...other, i);
  }
  for (let i = 0; i < 9; i++) {
    const other = base.map((w, k) => (k === i ? w + 1 : w)) as unknown as Key;
    t.is(table.find(...other), i);
  }
  t.is(table.find(...base), 100);
});

test('a mapped tuple and an IPv6 tuple with the same last words are different', (t) => {
  const table = new TupleTable(1, 2);
  table.set(...v4(1, 2, 3), 1);
  t.is(table.find(0, 0, 0, 1, 0, 0, MAPPED, 2, 3), -1);
  t.is(table.find(5, 0, MAPPED, 1, 0, 0, MAPPED, 2, 3), -1);
});

test('behaves like a Map under any order of operations', (t) => {
  const op = fc.record({
    remove: fc.boolean(),
    a: fc.integer({ min: 0, max: 40 }),
    v6: fc.boolean(),
    value: fc.integer({ min: 0, max: 1000 }),
  });
  t.notThrows(() =>
    fc.assert(
      fc.property(fc.array(op, { maxLength: 300 }), fc.integer(), (ops, seed) => {
        const table = new TupleTable(seed, 3);
        const map = new Map<string, number>();
        for (const { remove, a, v6, value } of ops) {
          const key: Key = v6 ? [1, 2, 3, a, 5, 6, 7, 8, -a] : v4(a, 2, -a);
          const text = key.join();
          if (remove) {
            if (table.delete(...key) !== map.delete(text)) throw new Error(`delete ${text}`);
          } else {
            table.set(...key, value);
            map.set(text, value);
          }
          if (table.size !== map.size) throw new Error('size');
        }
        for (const [text, value] of map) {
          if (table.find(...(text.split(',').map(Number) as unknown as Key)) !== value) throw new Error(`find ${text}`);
        }
      }),
      { numRuns: 200, includeErrorInReport: true },
    ),
  );
});

test('grows and shrinks with what it holds', (t) => {
  const table = new TupleTable(1, 2);
  for (let i = 0; i < 20_000; i++) table.set(...v4(i, i * 7, i * 13), i);
  let wrong = 0;
  for (let i = 0; i < 20_000; i++) if (table.find(...v4(i, i * 7, i * 13)) !== i) wrong++;
  t.is(wrong, 0);
  for (let i = 0; i < 20_000; i += 2) table.delete(...v4(i, i * 7, i * 13));
  for (let i = 0; i < 20_000; i++) if (table.find(...v4(i, i * 7, i * 13)) !== (i % 2 === 0 ? -1 : i)) wrong++;
  t.is(wrong, 0);
  t.is(table.size, 10_000);
  for (let i = 1; i < 20_000; i += 2) table.delete(...v4(i, i * 7, i * 13));
  t.is(table.size, 0);
});
