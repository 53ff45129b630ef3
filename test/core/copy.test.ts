import test from 'ava';

import { copyInto } from '../../src/core/copy.ts';

test('copyInto: short and long frames', (t) => {
  for (const len of [0, 1, 60, 128, 129, 1514]) {
    const src = Uint8Array.from({ length: len + 5 }, (_, i) => (i * 7) & 0xff);
    const dst = new Uint8Array(len + 9);
    copyInto(src, 5, len, dst, 4);
    t.deepEqual(dst.slice(4, 4 + len), src.slice(5));
    t.is(dst[3], 0);
    t.is(dst[4 + len], 0);
  }
});
