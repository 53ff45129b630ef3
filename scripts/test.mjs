// The whole check of a checkout, behind `npm test`: peers, build, static checks, unit tests, interop tests.
//
//   node scripts/test.mjs
//
// Goes on after a failed step, so that one run shows everything that is wrong. The last line is the sum, of the form
// `N passed, N failed` or `N passed, N failed, N skipped`, over both test runs; a failed step that is no test run counts
// as one failure. Exit status 1 when anything failed, or nothing ran.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PROJECT = fileURLToPath(new URL('..', import.meta.url));
const { scripts } = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8'));
const PATH = [join(PROJECT, 'node_modules/.bin'), process.env.PATH ?? ''].join(delimiter);
/** Files of tests that are run a second time at most, in each run of AVA. */
const MAX_AGAIN = 3;

/** A step that prints nothing for so long is ended, minutes. More than the time after which AVA ends a run by itself. */
const MAX_SILENCE = 8;

let current;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    if (current) killGroup(current, signal);
    process.exit(1);
  });
}

/** Signals the process group of a child; it may be gone. */
function killGroup(child, signal) {
  try {
    process.kill(-child.pid, signal);
  } catch {}
}

/**
 * Runs a program, shows what it prints, and returns that and whether it ended with 0. One that falls silent is ended with
 * all of its group, after the list of the processes that were there: nothing else would tell what it waited for.
 */
function run(argv, env = {}) {
  return new Promise((resolve) => {
    const child = spawn(argv[0], argv.slice(1), {
      cwd: PROJECT,
      env: { ...process.env, PATH, NO_COLOR: '1', FORCE_COLOR: '0', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    current = child;
    let output = '';
    const silence = setTimeout(() => {
      const list = spawnSync('ps', ['-eo', 'pid,ppid,stat,etimes,time,wchan:20,args', '--forest'], {
        encoding: 'utf8',
      });
      console.log(
        `\n${list.stdout ?? list.error}\n${argv.join(' ')}: nothing printed for ${MAX_SILENCE} minutes, ended`,
      );
      killGroup(child, 'SIGKILL');
      child.stdout.destroy();
      child.stderr.destroy();
    }, MAX_SILENCE * 60_000);
    const show = (to) => (data) => {
      output += data;
      silence.refresh();
      to.write(data);
    };
    child.stdout.setEncoding('utf8').on('data', show(process.stdout));
    child.stderr.setEncoding('utf8').on('data', show(process.stderr));
    const end = (ok) => {
      clearTimeout(silence);
      current = undefined;
      resolve({ ok, output });
    };
    child.on('error', (error) => {
      console.error(error.message);
      end(false);
    });
    child.on('close', (code) => end(code === 0));
  });
}

/** What a run of AVA counted: its closing lines, and where it failed and so leaves out how many passed, its tick marks. */
function count({ ok, output }) {
  const sum = (pattern) => [...output.matchAll(pattern)].reduce((total, [, n]) => total + Number(n), 0);
  const ticks = output.match(/^ {2}[✔√] /gm)?.length ?? 0;
  const failed = sum(
    /^ {2}(\d+) (?:tests? failed|hooks? failed|known failures?|unhandled rejections?|uncaught exceptions?)$/gm,
  );
  // Files whose process did not end, or had tests under way, when AVA gave up waiting.
  const stuck = [...output.matchAll(/^ {2}(?:Failed to exit when running|\d+ tests? were pending in) (.+)$/gm)];
  return {
    passed: sum(/^ {2}(\d+) tests? passed$/gm) || ticks,
    failed: ok ? 0 : Math.max(failed + stuck.length, 1),
    skipped: sum(/^ {2}(\d+) tests? skipped$/gm),
    // `file › title`, or the title alone where AVA ran one file
    titles: [...output.matchAll(/^ {2}[✘×] \[fail\]: (.+)$/gm)].map(([, title]) => title),
    stuck: stuck.map(([, file]) => file),
  };
}

/** The file of a test that AVA names `folder › file › title`, relative to `root`; undefined when there is none. */
function fileOf(title, root) {
  const parts = title.split(' › ');
  for (let n = parts.length - 1; n > 0; n--) {
    const file = `${root}/${parts.slice(0, n).join('/')}.test.ts`;
    if (existsSync(join(PROJECT, file))) return file;
  }
  return undefined;
}

/**
 * Runs the files with a test that failed once more, each alone: programs of others end now and then without a word, and a
 * machine stalls. What passes then is counted as passed, and named as unsteady in the last lines: it is a test to be
 * mended. More than MAX_AGAIN files, or a failure that names no test, is no matter of chance.
 */
async function again(first, { root, env }) {
  const files = [...new Set([...first.titles.map((title) => fileOf(title, root)), ...first.stuck])];
  const known = first.titles.length + first.stuck.length >= first.failed && !files.includes(undefined);
  if (!known || files.length > MAX_AGAIN) return first;
  let failed = 0;
  const steady = [];
  for (const file of files) {
    console.log(`\n== once more: ${file}`);
    const second = count(await run(['ava', file], env));
    failed += second.failed;
    if (second.failed > 0) steady.push(file);
    else remarks.push(`unsteady, passed alone: ${file}`);
  }
  const titles = first.titles.filter((title) => steady.includes(fileOf(title, root)));
  const stuck = first.stuck.filter((file) => steady.includes(file));
  return { ...first, passed: first.passed + Math.max(0, first.titles.length - titles.length), failed, titles, stuck };
}

const total = { passed: 0, failed: 0, skipped: 0 };
const summary = [];
const remarks = [];

/** One step. `tests` tells that it is a run of AVA: under which folder, with which environment. */
async function step(name, argv, tests) {
  console.log(`\n== ${name}`);
  const start = performance.now();
  const result = await run(argv, tests?.env);
  let counted = { passed: 0, failed: result.ok ? 0 : 1, skipped: 0, titles: [], stuck: [] };
  if (tests) {
    counted = count(result);
    if (counted.failed > 0) {
      const once = counted.titles;
      counted = await again(counted, tests);
      for (const title of once) if (!counted.titles.includes(title)) remarks.push(`unsteady: ${title}`);
    }
    if (counted.passed + counted.failed === 0) counted.failed = 1; // nothing ran
  }
  for (const title of counted.titles) remarks.push(`FAILED ${title}`);
  for (const file of counted.stuck) remarks.push(`FAILED, did not end: ${file}`);
  for (const key of Object.keys(total)) total[key] += counted[key];
  const what = tests ? `${counted.passed} passed, ${counted.failed} failed, ${counted.skipped} skipped` : '';
  const seconds = ((performance.now() - start) / 1000).toFixed(0);
  summary.push(`${counted.failed === 0 ? 'ok    ' : 'FAILED'} ${name}, ${seconds} s${what && `: ${what}`}`);
}

await step('peers', ['node', 'scripts/install-peers.mjs']);
await step('build', ['npm', 'run', '--silent', 'build']);
await step('lint and format', ['biome', 'check']);
await step('types', ['tsc', '--noEmit']);
if (scripts['docs:check']) await step('docs', ['npm', 'run', '--silent', 'docs:check']);
await step('unit tests', ['ava'], { root: 'test', env: { VDENET_TESTS: 'unit' } });
await step('interop tests', ['ava'], { root: 'test/interop', env: { VDENET_TESTS: 'interop' } });

const { passed, failed, skipped } = total;
console.log(`\n${[...summary, ...remarks].join('\n')}\n`);
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
