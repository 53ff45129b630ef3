import test from 'ava';
import { BytePool, CHUNK_SIZE } from '../../src/core/byte-pool.ts';

test('gives chunks up to the bound, and again when they come back', (t) => {
  const pool = new BytePool(3 * CHUNK_SIZE + 5);
  const chunks = [pool.take(), pool.take(), pool.take()];
  t.true(chunks.every((c) => c !== null && c.bytes.length === CHUNK_SIZE));
  t.is(new Set(chunks).size, 3);
  t.is(pool.take(), null);
  t.true(pool.exhausted);
  t.is(pool.used, 3 * CHUNK_SIZE);
  pool.give(chunks[1]!);
  t.false(pool.exhausted);
  t.is(pool.take(), chunks[1]!);
  t.is(pool.take(), null);
});

test('leaves what must be spared', (t) => {
  const pool = new BytePool(4 * CHUNK_SIZE);
  t.not(pool.take(1), null);
  t.not(pool.take(2), null);
  t.is(pool.take(2), null);
  t.not(pool.take(1), null);
  t.is(pool.take(1), null);
  t.not(pool.take(), null);
});

test('has at least one chunk', (t) => {
  t.not(new BytePool(1).take(), null);
});

test('bytes and words of a chunk are the same memory', (t) => {
  const chunk = new BytePool(CHUNK_SIZE).take()!;
  chunk.words[1] = 0x01020304;
  t.deepEqual([...chunk.bytes.subarray(4, 8)].sort(), [1, 2, 3, 4]);
});
