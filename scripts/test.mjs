// The whole check of a checkout, behind `npm test`: peers, build, static checks, unit tests, interop tests.
//
//   node scripts/test.mjs
//
// Goes on after a failed step, so that one run shows everything that is wrong. The last line is the sum, of the form
// `N passed, N failed` or `N passed, N failed, N skipped`, over both test runs; a failed step that is no test run counts
// as one failure. Exit status 1 when anything failed, or nothing ran.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PROJECT = fileURLToPath(new URL('..', import.meta.url));
const { scripts } = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8'));
const PATH = [join(PROJECT, 'node_modules/.bin'), process.env.PATH ?? ''].join(delimiter);

/** Runs a program, shows what it prints, and returns that and whether it ended with 0. */
function run(argv, env = {}) {
  return new Promise((resolve) => {
    const child = spawn(argv[0], argv.slice(1), {
      cwd: PROJECT,
      env: { ...process.env, PATH, NO_COLOR: '1', FORCE_COLOR: '0', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const show = (to) => (data) => {
      output += data;
      to.write(data);
    };
    child.stdout.setEncoding('utf8').on('data', show(process.stdout));
    child.stderr.setEncoding('utf8').on('data', show(process.stderr));
    child.on('error', (error) => {
      console.error(error.message);
      resolve({ ok: false, output });
    });
    child.on('close', (code) => resolve({ ok: code === 0, output }));
  });
}

/** What a run of AVA counted: its closing lines, and where it failed and so leaves out how many passed, its tick marks. */
function count({ ok, output }) {
  const sum = (pattern) => [...output.matchAll(pattern)].reduce((total, [, n]) => total + Number(n), 0);
  const ticks = output.match(/^ {2}[✔√] /gm)?.length ?? 0;
  const failed = sum(
    /^ {2}(\d+) (?:tests? failed|hooks? failed|known failures?|unhandled rejections?|uncaught exceptions?|tests? remained pending after a timeout)$/gm,
  );
  return {
    passed: sum(/^ {2}(\d+) tests? passed$/gm) || ticks,
    failed: ok ? 0 : Math.max(failed, 1),
    skipped: sum(/^ {2}(\d+) tests? skipped$/gm),
  };
}

const total = { passed: 0, failed: 0, skipped: 0 };
const summary = [];

async function step(name, argv, { env = {}, tests = false } = {}) {
  console.log(`\n== ${name}`);
  const start = performance.now();
  const result = await run(argv, env);
  const counted = tests ? count(result) : { passed: 0, failed: result.ok ? 0 : 1, skipped: 0 };
  if (tests && counted.passed + counted.failed === 0) counted.failed = 1; // nothing ran
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
await step('unit tests', ['ava'], { env: { VDENET_TESTS: 'unit' }, tests: true });
await step('interop tests', ['ava'], { env: { VDENET_TESTS: 'interop' }, tests: true });

const { passed, failed, skipped } = total;
console.log(`\n${summary.join('\n')}\n`);
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
