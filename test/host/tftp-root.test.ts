import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { TftpRoot } from '../../src/host/tftp-root.ts';

/** A directory to serve, beside one that must not be. */
function tree(t: ExecutionContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'vdenet-tftp-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  mkdirSync(join(dir, 'root/sub'), { recursive: true });
  mkdirSync(join(dir, 'root-other'));
  mkdirSync(join(dir, 'outside'));
  writeFileSync(join(dir, 'root/boot'), 'boot file');
  writeFileSync(join(dir, 'root/sub/über'), 'umlaut');
  writeFileSync(join(dir, 'outside/secret'), 'secret');
  writeFileSync(join(dir, 'root-other/secret'), 'secret');
  symlinkSync('sub/über', join(dir, 'root/link'));
  symlinkSync('../outside/secret', join(dir, 'root/away'));
  symlinkSync('../outside', join(dir, 'root/awaydir'));
  symlinkSync('/etc/passwd', join(dir, 'root/absolute'));
  symlinkSync('../root-other/secret', join(dir, 'root/similar'));
  symlinkSync('nowhere', join(dir, 'root/dangling'));
  symlinkSync('loop', join(dir, 'root/loop'));
  execFileSync('mkfifo', [join(dir, 'root/fifo')]);
  return dir;
}

/** The text of a file as the server reads it, or why there is none. */
function get(root: TftpRoot, name: string): Promise<string> {
  return new Promise((resolve) => {
    root.open(name, (file, why) => {
      if (file === null) {
        resolve(why);
        return;
      }
      const b = new Uint8Array(100);
      file.read(0, b, (n) => {
        file.read(n, b.subarray(n), (more) => {
          resolve(`${file.size}: ${Buffer.from(b.subarray(0, n)).toString()}${more === 0 ? '' : ' and more'}`);
          file.close();
          file.close();
        });
      });
    });
  });
}

const latin1 = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
const cases: [name: string, want: string][] = [
  ['boot', '9: boot file'],
  ['/boot', '9: boot file'],
  ['//./sub//../boot', 'forbidden'],
  ['./boot', '9: boot file'],
  [latin1('sub/über'), '6: umlaut'],
  ['link', '6: umlaut'],
  ['nothing', 'missing'],
  ['boot/x', 'missing'],
  ['dangling', 'missing'],
  ['/etc/passwd', 'missing'],
  ['..', 'forbidden'],
  ['../outside/secret', 'forbidden'],
  ['sub/../../outside/secret', 'forbidden'],
  ['..\\outside\\secret', 'forbidden'],
  ['boot\0', 'forbidden'],
  ['boot\n', 'forbidden'],
  ['', 'forbidden'],
  ['/', 'forbidden'],
  ['sub', 'forbidden'],
  ['away', 'forbidden'],
  ['awaydir/secret', 'forbidden'],
  ['absolute', 'forbidden'],
  ['similar', 'forbidden'],
  ['loop', 'forbidden'],
  ['fifo', 'forbidden'],
  ['x'.repeat(300), 'forbidden'],
  ['x'.repeat(513), 'forbidden'],
];
for (const [i, [name, want]] of cases.entries()) {
  test(`name ${i}, ${JSON.stringify(name.slice(0, 30))}: ${want}`, async (t) => {
    t.is(await get(new TftpRoot(join(tree(t), 'root')), name), want);
  });
}

test('a directory on the way that is exchanged for a link all the time never leads outside', async (t) => {
  const dir = tree(t);
  const [real, link, at] = ['real', 'evil', 'd'].map((name) => join(dir, 'root', name)) as [string, string, string];
  mkdirSync(at);
  writeFileSync(join(at, 'secret'), 'public');
  symlinkSync('../outside', link);
  const root = new TftpRoot(join(dir, 'root'));
  const seen = new Set<string>();
  for (let i = 0; i < 300; i++) {
    const asked = Promise.all([get(root, 'd/secret'), get(root, 'd/secret')]);
    renameSync(at, real);
    renameSync(link, at);
    await new Promise((resolve) => setImmediate(resolve));
    renameSync(at, link);
    renameSync(real, at);
    for (const got of await asked) seen.add(got);
  }
  for (const got of seen) t.true(['6: public', 'missing', 'forbidden'].includes(got), got);
});

test('the root may be a link, and may be exchanged', async (t) => {
  const dir = tree(t);
  const current = join(dir, 'current');
  symlinkSync('root', current);
  const root = new TftpRoot(current);
  t.is(await get(root, 'boot'), '9: boot file');
  rmSync(current);
  symlinkSync('outside', current);
  t.is(await get(root, 'secret'), '6: secret');
});

test('a root that is not a directory is refused', (t) => {
  const dir = tree(t);
  for (const name of ['root/boot', 'nothing']) {
    t.throws(() => new TftpRoot(join(dir, name)), { code: 'ERR_VDE_BAD_OPTION', message: /is not a directory/ });
  }
});

test('a file that is closed while it is read is closed after that', async (t) => {
  const root = new TftpRoot(join(tree(t), 'root'));
  await new Promise<void>((resolve) => {
    root.open('boot', (file) => {
      file!.read(0, new Uint8Array(9), (n) => {
        t.is(n, 9);
        resolve();
      });
      file!.close();
    });
  });
});
