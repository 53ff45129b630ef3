// Unpredictable numbers, drawn from the system's generator a page at a time: a call per number would cost a system call.

import { randomFillSync } from 'node:crypto';

const PAGE_WORDS = 1024;

/** Makes a source of uniform unpredictable numbers, 0 to 2^32 - 1. */
export function createRandom(): () => number {
  const page = new Uint32Array(PAGE_WORDS);
  let at = PAGE_WORDS;
  return () => {
    if (at === PAGE_WORDS) {
      randomFillSync(page);
      at = 0;
    }
    const value = page[at]!;
    page[at++] = 0; // a number that was given out is not kept
    return value;
  };
}
