// Finding, refusing and building the addon: in copies of the few files that do it.

import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { errnoName, systemError } from '../../src/native/errno.ts';
import { native, nativeProblem } from '../../src/native/native.ts';
import { directory, type Ended, run } from './support.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const FILES = ['src/core/errors.ts', 'src/native', 'scripts/build-native.mjs'];
const TSX = import.meta.resolve('tsx');

function copyOf(t: ExecutionContext): string {
  const dir = directory(t);
  for (const file of FILES) cpSync(join(ROOT, file), join(dir, file), { recursive: true });
  writeFileSync(join(dir, 'package.json'), '{"type":"module"}');
  return dir;
}

/** Puts the built addon, or other bytes, where a copy may find it. */
function put(dir: string, place: string, bytes: Uint8Array = readFileSync(join(ROOT, 'build/vdenet.node'))): string {
  const path = join(dir, place);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
  return path;
}

/** What the copy says: its problem, then the code of the error thrown, or `loaded`. */
async function ask(dir: string): Promise<string[]> {
  const { stdout, stderr } = await run(process.execPath, [
    `--import=${TSX}`,
    '--input-type=module',
    '--eval',
    `const { native, nativeProblem } = await import(${JSON.stringify(join(dir, 'src/native/native.ts'))});
     console.log(nativeProblem());
     try { console.log(native() === native() && 'loaded'); } catch (error) { console.log(error.code, error.message); }`,
  ]);
  return (stdout + stderr).split('\n');
}

const build = (dir: string, env: NodeJS.ProcessEnv = {}): Promise<Ended> =>
  run(process.execPath, [join(dir, 'scripts/build-native.mjs')], { ...process.env, ...env });

test('the addon of this checkout is there', (t) => {
  t.is(nativeProblem(), null);
  t.is(native(), native());
});

test('no binary: the reason and the help, as a text and as an error', async (t) => {
  const [problem, error] = await ask(copyOf(t));
  t.regex(problem!, /^vdenet: VDE sockets and TAP are not available: no binary for linux-\w+ .*npm run build:native/);
  t.is(error, `ERR_VDE_NO_NATIVE ${problem}`);
});

test('a binary that is none: the reason names it', async (t) => {
  const dir = copyOf(t);
  const path = put(dir, 'build/vdenet.node', Buffer.from('no binary'));
  const [problem, error] = await ask(dir);
  t.true(problem!.includes(`${path} cannot be loaded (`), problem);
  t.is(error, `ERR_VDE_NO_NATIVE ${problem}`);
});

test('a binary of another version is refused', async (t) => {
  const dir = copyOf(t);
  const path = put(dir, 'build/vdenet.node');
  const load = join(dir, 'src/native/load.ts');
  writeFileSync(load, readFileSync(load, 'utf8').replace(/^const ABI = .*$/m, 'const ABI = -1;'));
  const [problem] = await ask(dir);
  t.true(problem!.includes(`${path} belongs to another version`), problem);
});

for (const libc of ['glibc', 'musl']) {
  test(`a prebuilt binary for ${libc} is found before a built one`, async (t) => {
    const dir = copyOf(t);
    put(dir, `prebuilds/linux-${process.arch}-${libc}/vdenet.node`);
    put(dir, 'build/vdenet.node', Buffer.from('no binary'));
    t.deepEqual((await ask(dir)).slice(0, 2), ['null', 'loaded']);
  });
}

test('a prebuilt binary for the wrong C library gives way to the built one', async (t) => {
  const dir = copyOf(t);
  put(dir, `prebuilds/linux-${process.arch}-glibc/vdenet.node`, Buffer.from('no binary'));
  put(dir, 'build/vdenet.node');
  t.deepEqual((await ask(dir)).slice(0, 2), ['null', 'loaded']);
});

test('build: compiles without packages, leaves a current binary alone, follows source and flags', async (t) => {
  const dir = copyOf(t);
  const output = join(dir, 'build/vdenet.node');
  // Two at once: either may win, both succeed, and nothing else is left.
  const both = await Promise.all([build(dir), build(dir)]);
  t.deepEqual(
    both.map(({ code }) => code),
    [0, 0],
    both[0].stderr + both[1].stderr,
  );
  t.deepEqual(readdirSync(join(dir, 'build')), ['vdenet.node']);
  t.deepEqual((await ask(dir)).slice(0, 2), ['null', 'loaded']);

  const made = statSync(output).mtimeMs;
  t.like(await build(dir), { code: 0, stdout: '', stderr: '' });
  t.is(statSync(output).mtimeMs, made);

  const flagged = await build(dir, { CFLAGS: '-O0' });
  t.is(flagged.code, 0, flagged.stderr);
  t.not(statSync(output).mtimeMs, made);
  writeFileSync(join(dir, 'src/native/addon.c'), '#error "broken"\n');
  const broken = await build(dir, { VDENET_REQUIRE_NATIVE: '1' });
  t.is(broken.code, 1);
  t.regex(broken.stderr, /broken.*was not built: cc failed/s);
  t.deepEqual(readdirSync(join(dir, 'build')), ['vdenet.node']);
});

test('build: without a compiler it says what will not work and what helps, and fails only when asked to', async (t) => {
  const dir = copyOf(t);
  const env = { CC: join(dir, 'no-compiler') };
  const lax = await build(dir, env);
  t.is(lax.code, 0);
  t.regex(
    lax.stderr,
    /^vdenet: [^\n]*cannot be run \(ENOENT\)\. VDE sockets and TAP will not work; install gcc[^\n]*\n$/,
  );
  t.is((await build(dir, { ...env, VDENET_REQUIRE_NATIVE: '1' })).code, 1);
  t.false(existsSync(join(dir, 'build/vdenet.node')));
});

test('errnoName names errors, and numbers those that Node has no name for', (t) => {
  t.is(errnoName(-constants.errno.ECONNREFUSED), 'ECONNREFUSED');
  t.is(errnoName(-constants.errno.EAGAIN), 'EAGAIN');
  t.is(errnoName(-512), 'errno 512');
});

test("systemError is like an error of Node's own modules", (t) => {
  const error = systemError(-constants.errno.EPERM, 'poll', 'of descriptor 3');
  t.like(error, {
    message: 'poll of descriptor 3: EPERM',
    code: 'EPERM',
    errno: -constants.errno.EPERM,
    syscall: 'poll',
  });
});
