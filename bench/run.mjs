// npm run bench: the costs of vdenet, and vdenet beside its peers.
//
//   node bench/run.mjs [micro] [router] [switch] [--quick] [--against REF] [--out FILE] [-- OPTIONS OF THE PEERS' HARNESS]
//
// Without a name, all three. `micro` are operations of single modules (bench/micro), `router` and `switch` whole programs
// beside their peers in throw-away namespaces (bench/peers). `--against` builds another commit beside this one and runs
// both in turn, so that drift of the machine falls on both: `npm run bench -- router --against main`. Results go to FILE
// as JSON lines (default bench/results/DATE.jsonl), tables with ratios to stdout. `--quick`: one round of one second.

import { spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const PROJECT = fileURLToPath(new URL('..', import.meta.url));
const PARTS = ['micro', 'router', 'switch'];
const MICRO_ROUNDS = 5;

function fail(message) {
  console.error(`bench: ${message}`);
  process.exit(1);
}

/** Runs a program to its end and gives what it printed on stdout; with `show` that goes to our stdout. */
function run(argv, { cwd = PROJECT, env = {}, show = false } = {}) {
  const { status, error, stdout } = spawnSync(argv[0], argv.slice(1), {
    cwd,
    env: { ...process.env, ...env },
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    stdio: ['ignore', show ? 'inherit' : 'pipe', 'inherit'],
  });
  if (error) fail(`${argv[0]}: ${error.message}`);
  if (status !== 0) fail(`${argv.join(' ')} ended with ${status}`);
  return stdout ?? '';
}

const own = process.argv.indexOf('--');
const rest = own < 0 ? [] : process.argv.slice(own + 1);
const { values, positionals } = (() => {
  try {
    return parseArgs({
      args: process.argv.slice(2, own < 0 ? undefined : own),
      options: { quick: { type: 'boolean', default: false }, against: { type: 'string' }, out: { type: 'string' } },
      allowPositionals: true,
    });
  } catch (error) {
    return fail(error.message);
  }
})();
for (const part of positionals) if (!PARTS.includes(part)) fail(`unknown part ${part}; known: ${PARTS.join(' ')}`);
const parts = positionals.length > 0 ? positionals : PARTS;
const now = new Date().toISOString().replace(/[:.]/g, '-');
const out = resolve(values.out ?? join(PROJECT, 'bench/results', `${now}.jsonl`));
mkdirSync(dirname(out), { recursive: true });

/** Another commit, built in a directory of its own; its node_modules are ours. */
function checkOut(ref) {
  const dir = mkdtempSync(join(tmpdir(), 'vdenet-bench-'));
  const remove = () => {
    spawnSync('git', ['worktree', 'remove', '--force', dir], { cwd: PROJECT });
    rmSync(dir, { recursive: true, force: true });
  };
  process.on('exit', remove);
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));
  run(['git', 'worktree', 'add', '--quiet', '--detach', '--force', dir, ref]);
  symlinkSync(join(PROJECT, 'node_modules'), join(dir, 'node_modules'));
  run(['npm', 'run', '--silent', 'build'], { cwd: dir });
  return dir;
}

/** One run of all micro benchmarks of a checkout: ratio by name. */
function microRun(dir) {
  const quick = values.quick ? ['--rounds', '2', '--ms', '30'] : [];
  const lines = run(['node', '--import=tsx', 'bench/micro/index.ts', '--json', ...quick], { cwd: dir });
  return lines
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}

function micro(other) {
  const best = new Map(); // name: { mine, ratio, theirs }
  const rounds = values.quick || !other ? 1 : MICRO_ROUNDS;
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? ['mine', 'theirs'] : ['theirs', 'mine'];
    for (const who of order) {
      if (who === 'theirs' && !other) continue;
      for (const { name, ns, ratio } of microRun(who === 'mine' ? PROJECT : other)) {
        appendFileSync(out, `${JSON.stringify({ part: 'micro', who, round, name, ns, ratio })}\n`);
        const entry = best.get(name) ?? {};
        entry[who] = Math.min(entry[who] ?? Number.POSITIVE_INFINITY, ns);
        entry[`${who}Ratio`] = Math.min(entry[`${who}Ratio`] ?? Number.POSITIVE_INFINITY, ratio);
        best.set(name, entry);
      }
    }
  }
  console.log(`| operation | ns | of the reference loop |${other ? ` ${values.against}, ns | ratio |` : ''}`);
  console.log(`|---|--:|--:|${other ? '--:|--:|' : ''}`);
  for (const [name, e] of best) {
    const pair = e.theirs ? ` ${e.theirs.toFixed(1)} | ${(e.mineRatio / e.theirsRatio).toFixed(2)} |` : ' | |';
    if (e.mine) console.log(`| ${name} | ${e.mine.toFixed(1)} | ${e.mineRatio.toFixed(4)} |${other ? pair : ''}`);
  }
}

/** The harness of the peers; what follows `--` on our command line comes last, and so wins. */
function peers(main, options, env) {
  const quick = values.quick ? ['--rounds', '1', '--secs', '1'] : [];
  const argv = [join(PROJECT, 'bench/peers/bench.sh'), ...options, ...quick, '--out', out, ...rest];
  run(argv, { env: { BENCH_BUILD: join(PROJECT, 'build/bench'), BENCH_MAIN: main, ...env }, show: true });
}

const command = (dir, name, args = '') => `node ${join(dir, 'bin', name)}${args}`;

if (!existsSync(join(PROJECT, 'dist/bin'))) fail('nothing is built: run npm run build');
const other = values.against === undefined ? null : checkOut(values.against);
if (parts.includes('micro')) {
  if (other && !existsSync(join(other, 'bench/micro/index.ts'))) fail(`${values.against} has no micro benchmarks yet`);
  micro(other);
}
if (parts.includes('router')) {
  const ours = other
    ? 'ours-debian-switch,against-debian-switch,ours-embedded,against-embedded,ours-tap,against-tap'
    : 'vdeslirp,slirp4netns,pasta,ours-debian-switch,ours-embedded,ours-tap';
  const base = other ? 'against-debian-switch,against-embedded,against-tap' : 'vdeslirp,slirp4netns';
  peers('router.mjs', ['--peers', ours, '--base', base, '--groups', 'tcp,lat,fwd,udp,dns,flows1000'], {
    SLIRPVDE: command(PROJECT, 'slirpvde'),
    ...(other ? { SLIRPVDE_AGAINST: command(other, 'slirpvde') } : {}),
  });
}
if (parts.includes('switch')) {
  peers('switch.mjs', other ? ['--peers', 'ours,against', '--base', 'against'] : [], {
    VDE_SWITCH: command(PROJECT, 'vde_switch', ' --nostdin'),
    ...(other ? { VDE_SWITCH_AGAINST: command(other, 'vde_switch', ' --nostdin') } : {}),
  });
}
console.log(`\nresults: ${out}`);
