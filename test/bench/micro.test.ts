// Costs are kept: each micro benchmark beside the reference loop of the same run, against the ratio that is stored. Ratios
// move by a factor of up to 1.6 on a busy machine; what became three times as dear has changed its nature.
//
// Deliberate changes: node --import=tsx bench/micro/index.ts --json, and the new ratios into expected.json.

import { readFileSync } from 'node:fs';
import test from 'ava';
import { measure } from '../../bench/micro/case.ts';
import { CASES } from '../../bench/micro/index.ts';

const MARGIN = 3;

const expected: Record<string, number> = JSON.parse(
  readFileSync(new URL('../../bench/micro/expected.json', import.meta.url), 'utf8'),
);

test('every micro benchmark has an expected ratio, and none is left over', (t) => {
  t.deepEqual(CASES.map((c) => c.name).sort(), Object.keys(expected).sort());
});

test('no operation costs three times what is expected, beside the reference loop', (t) => {
  const slow = (results: ReturnType<typeof measure>) => results.filter((r) => r.ratio > MARGIN * expected[r.name]!);
  // What seems slow is measured again, longer: a stall is no regression.
  const first = new Set(slow(measure(CASES, 3, 25)).map((r) => r.name));
  const second = slow(
    measure(
      CASES.filter((c) => first.has(c.name)),
      10,
      100,
    ),
  );
  t.deepEqual(
    second.map((r) => `${r.name}: ${r.ratio.toFixed(4)}, expected ${expected[r.name]}`),
    [],
  );
});
