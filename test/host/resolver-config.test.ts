import { mkdtempSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { ResolverConfig } from '../../src/host/resolver-config.ts';
import { FakeClock } from '../support/fake-clock.ts';

function setup(t: { teardown(fn: () => void): void }, text: string | null) {
  const dir = mkdtempSync(join(tmpdir(), 'vdenet-resolv-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const path = join(dir, 'resolv.conf');
  if (text !== null) writeFileSync(path, text);
  const clock = new FakeClock();
  const config = new ResolverConfig({ clock, path });
  return { dir, path, clock, config, servers: () => config.servers().map((s) => s.host) };
}
/** Sets a time stamp long ago, so that only what a test changes differs. */
const age = (path: string, sec: number): void => utimesSync(path, sec, sec);

test('servers of the file; the same array until it changes', (t) => {
  const c = setup(t, 'nameserver 192.0.2.1\nsearch a.test\n');
  t.deepEqual(c.servers(), ['192.0.2.1']);
  t.deepEqual(c.config.config().search, ['a.test']);
  const list = c.config.servers();
  c.clock.advance(5000);
  t.is(c.config.servers(), list);
});

test('a rewritten file is noticed within 1 s, not looked at before', (t) => {
  const c = setup(t, 'nameserver 192.0.2.1\n');
  c.servers();
  writeFileSync(c.path, 'nameserver 192.0.2.2\n');
  c.clock.advance(900);
  t.deepEqual(c.servers(), ['192.0.2.1']);
  c.clock.advance(100);
  t.deepEqual(c.servers(), ['192.0.2.2']);
});

test('a file replaced by rename, same size and time, is noticed', (t) => {
  const c = setup(t, 'nameserver 192.0.2.1\n');
  age(c.path, 1000);
  c.servers();
  const fresh = join(c.dir, 'new');
  writeFileSync(fresh, 'nameserver 192.0.2.2\n');
  age(fresh, 1000);
  renameSync(fresh, c.path);
  c.clock.advance(1000);
  t.deepEqual(c.servers(), ['192.0.2.2']);
});

test('a symbolic link that is switched to another file is noticed', (t) => {
  const c = setup(t, null);
  writeFileSync(join(c.dir, 'a'), 'nameserver 192.0.2.1\n');
  writeFileSync(join(c.dir, 'b'), 'nameserver 192.0.2.2\n');
  symlinkSync('a', c.path);
  t.deepEqual(c.servers(), ['192.0.2.1']);
  symlinkSync('b', join(c.dir, 'link'));
  renameSync(join(c.dir, 'link'), c.path);
  c.clock.advance(1000);
  t.deepEqual(c.servers(), ['192.0.2.2']);
});

test('after a failure the file is looked at sooner, but not for every failure', (t) => {
  const c = setup(t, 'nameserver 192.0.2.1\n');
  c.servers();
  writeFileSync(c.path, 'nameserver 192.0.2.2\n');
  c.config.suspect();
  t.deepEqual(c.servers(), ['192.0.2.1'], 'it was looked at this very moment');
  c.clock.advance(100);
  t.deepEqual(c.servers(), ['192.0.2.2']);
});

test('no file, a directory, an endless file: this machine; a file that appears is used', (t) => {
  const c = setup(t, null);
  t.deepEqual(c.servers(), ['127.0.0.1']);
  writeFileSync(c.path, 'nameserver 192.0.2.1\n');
  c.clock.advance(1000);
  t.deepEqual(c.servers(), ['192.0.2.1']);
  rmSync(c.path);
  c.clock.advance(1000);
  t.deepEqual(c.servers(), ['127.0.0.1']);
  t.deepEqual(new ResolverConfig({ clock: c.clock, path: c.dir }).servers().map(String), ['127.0.0.1:53']);
  writeFileSync(c.path, `nameserver 192.0.2.1\n${'#'.repeat(70_000)}`);
  c.clock.advance(1000);
  t.deepEqual(c.servers(), ['127.0.0.1']);
});
