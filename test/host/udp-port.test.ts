import test from 'ava';
import { bindLike } from '../../src/host/udp-port.ts';

const failed = (code: string): Error => Object.assign(new Error(code), { code });

/** What is tried for a wanted port when all ports for which `taken` holds are in use. */
function tried(wanted: number, taken: (port: number) => boolean, random = () => 0x12345679): number[] {
  const ports: number[] = [];
  bindLike(wanted, random, (port) => {
    ports.push(port);
    return taken(port) ? failed('EADDRINUSE') : null;
  });
  return ports;
}

test('the port itself, then others of the same parity, at last the kernel’s choice', (t) => {
  t.deepEqual(
    tried(0, () => false),
    [0],
  );
  t.deepEqual(
    tried(5000, () => false),
    [5000],
  );
  t.is(tried(5000, (port) => port === 5000).length, 2);
  const all = tried(5001, (port) => port !== 0);
  t.deepEqual([all.length, all[0], all.at(-1)], [10, 5001, 0]);
  t.true(all.slice(1, -1).every((port) => port >= 32_768 && port < 65_536 && port % 2 === 1));
});

test('ports below 1024 are never asked for', (t) => {
  for (const wanted of [1, 53, 1023]) t.true(tried(wanted, () => false)[0]! >= 32_768);
});

test('RFC 6056: the port that stands in is any of its parity, alike often', (t) => {
  let seed = 1;
  const random = (): number => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) >>> 3;
  const eighths = new Array<number>(8).fill(0);
  for (let i = 0; i < 8000; i++) {
    const [, port = 0] = tried(6000, (p) => p === 6000, random);
    eighths[(port - 32_768) >> 12]!++;
    if (port % 2 !== 0) t.fail(`${port}`);
  }
  t.true(
    eighths.every((n) => n > 800 && n < 1200),
    eighths.join(),
  );
});

test('what is wrong with any port is told at once', (t) => {
  let calls = 0;
  const error = bindLike(
    5000,
    () => 0,
    () => {
      calls++;
      return failed('EMFILE');
    },
  );
  t.is((error as NodeJS.ErrnoException).code, 'EMFILE');
  t.is(calls, 1);
});
