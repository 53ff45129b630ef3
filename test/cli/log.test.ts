import { chmodSync, mkdtempSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { Logger, openLogFile } from '../../src/cli/log.ts';

function logger(options: { quiet?: boolean; verbose?: boolean } = {}) {
  const lines: string[] = [];
  const time = { now: 0 };
  const log = new Logger({ name: 'slirpvde', sinks: [(line) => lines.push(line)], now: () => time.now, ...options });
  return { log, lines, time };
}

for (const [name, options, want] of [
  ['quiet', { quiet: true }, ['e']],
  ['normal', {}, ['e', 'w', 'i']],
  ['verbose', { verbose: true }, ['e', 'w', 'i', 'd']],
  ['quiet and verbose', { quiet: true, verbose: true }, ['e']],
] as const) {
  test(`levels: ${name}`, (t) => {
    const { log, lines } = logger(options);
    log.error('e');
    log.warn('w');
    log.info('i');
    log.debug('d');
    t.deepEqual(
      lines,
      want.map((text) => `slirpvde: ${text}`),
    );
    t.is(log.verbose, lines.length === 4);
  });
}

test('limited: one line per key and 10 s, then the number of those left out', (t) => {
  const { log, lines, time } = logger();
  for (let i = 0; i < 42; i++) log.limited('warn', 'pool', `pool exhausted ${i}`);
  log.limited('warn', 'other', 'something else');
  time.now = 9_999;
  log.limited('warn', 'pool', 'too early');
  time.now = 10_000;
  log.limited('warn', 'pool', 'again');
  time.now = 20_000;
  log.limited('warn', 'pool', 'once more');
  t.deepEqual(lines, [
    'slirpvde: pool exhausted 0',
    'slirpvde: something else',
    'slirpvde: again (42 more since the last line)',
    'slirpvde: once more',
  ]);
});

test('limited: levels that are not printed cost nothing, keys are bounded', (t) => {
  const { log, lines } = logger({ quiet: true });
  log.limited('warn', 'k', 'w');
  log.limited('error', 'k', 'e');
  t.deepEqual(lines, ['slirpvde: e']);
  for (let i = 0; i < 1000; i++) log.limited('error', `key ${i}`, 'x');
  t.is(lines.length, 1001);
});

test('lines: several stay prefixed, control characters are shown as numbers', (t) => {
  const { log, lines } = logger();
  log.info('one\ntwo');
  log.info('a\x1b[2Jb\r\x07\x9b');
  t.deepEqual(lines, ['slirpvde: one', 'slirpvde: two', 'slirpvde: a\\x1b[2Jb\\x0d\\x07\\x9b']);
});

test('sinks can be added and removed', (t) => {
  const { log, lines } = logger();
  const more: string[] = [];
  const sink = (line: string): void => void more.push(line);
  log.addSink(sink);
  log.info('both');
  log.removeSink(sink);
  log.info('one');
  t.deepEqual(more, ['slirpvde: both']);
  t.is(lines.length, 2);
});

test('log file: made 0600, appended with the time, never through a symbolic link', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'vdenet-log-'));
  const path = join(dir, 'log');
  const file = openLogFile(path, () => new Date(0));
  file.sink('slirpvde: first');
  file.close();
  file.close();
  file.sink('slirpvde: lost');
  const again = openLogFile(path, () => new Date(1000));
  again.sink('slirpvde: second');
  again.close();
  t.is(
    readFileSync(path, 'utf8'),
    '1970-01-01T00:00:00.000Z slirpvde: first\n1970-01-01T00:00:01.000Z slirpvde: second\n',
  );
  t.is(statSync(path).mode & 0o777, 0o600);
  symlinkSync(path, join(dir, 'link'));
  t.throws(() => openLogFile(join(dir, 'link')), { code: 'ERR_VDE_SYSTEM', message: /symbolic link/ });
  t.throws(() => openLogFile(join(dir, 'none/log')), {
    code: 'ERR_VDE_SYSTEM',
    message: /cannot open the log file .*ENOENT/,
  });
});

test('log file: an existing file keeps its mode and its content', (t) => {
  const path = join(mkdtempSync(join(tmpdir(), 'vdenet-log-')), 'log');
  writeFileSync(path, 'before\n');
  chmodSync(path, 0o640);
  const file = openLogFile(path, () => new Date(0));
  file.sink('x');
  file.close();
  t.is(readFileSync(path, 'utf8'), 'before\n1970-01-01T00:00:00.000Z x\n');
  t.is(statSync(path).mode & 0o777, 0o640);
});
