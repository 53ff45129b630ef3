// Stacks of perf, made into a drawing.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test from 'ava';

interface Folded {
  readonly name: string;
  readonly kind: string;
  readonly count: number;
  readonly calls: Map<string, Folded>;
}
interface Flame {
  fold(text: string, from?: RegExp | null): Folded;
  chart(root: Folded, title: string): string;
}

const SCRIPT = new URL('../../scripts/flame.mjs', import.meta.url);
const FIXTURE = new URL('../../fixtures/perf/router.script', import.meta.url);
const flame = async (): Promise<Flame> => (await import(SCRIPT.href)) as Flame;
const lines = ({ name, kind, count, calls }: Folded, depth = 0): string[] => [
  `${' '.repeat(depth)}${name} ${count} ${kind}`,
  ...[...calls.values()].flatMap((call) => lines(call, depth + 1)),
];

test('equal stacks add up, however a function was compiled; names are short, steps of V8 passed over', async (t) => {
  const { fold } = await flame();
  t.deepEqual(lines(fold(readFileSync(FIXTURE, 'utf8'), /^uv_run$/)), [
    'all 4 Node and V8',
    ' uv_run 3 Node and V8',
    '  node::InternalMakeCallback 1 Node and V8',
    '   run router.cjs:100 1 JavaScript',
    '    wake router.cjs:24020 1 JavaScript',
    '     receive 1 addon',
    '      __recvmmsg 1 C library',
    '       unix_dgram_recvmsg 1 kernel',
    '        copy_user_generic_string 1 kernel',
    '  wake router.cjs:24020 1 JavaScript',
    '  (anonymous) router.cjs:7 1 JavaScript',
    ' v8::internal::Scavenger::Process 1 Node and V8',
  ]);
});

test('the command draws what it is given: frames as wide as their share, names escaped', (t) => {
  const command = [fileURLToPath(SCRIPT), '--from', '^uv_run$', '--title', 'a <b> & c'];
  const svg = execFileSync(process.execPath, command, { input: readFileSync(FIXTURE), encoding: 'utf8' });
  t.true(svg.startsWith('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1200 '));
  t.true(svg.includes('>a &#60;b&#62; &#38; c (4 samples)<'));
  t.regex(svg, /<title>uv_run 75\.0%<\/title><rect x="0" y="\d+" width="899\.5"/);
  t.regex(svg, /<title>v8::internal::Scavenger::Process 25\.0%<\/title><rect x="900" /);
  t.false(/<script|href/.test(svg));
});

test('without samples the command says so', (t) => {
  t.throws(() => execFileSync(process.execPath, [fileURLToPath(SCRIPT)], { input: '', stdio: 'pipe' }), {
    message: /no samples on standard input/,
  });
});

test('frames of less than half a percent are cut, and more where the file would be too long', async (t) => {
  const { fold, chart } = await flame();
  const sample = (names: string[]): string => `node \n${names.map((n) => `\t 1 ${n} (/usr/bin/node)\n`).join('')}\n`;
  const common = sample(['hot', 'main']).repeat(996);
  const few = chart(fold(common + sample(['rare', 'main']).repeat(4)), 't');
  t.true(few.includes('<title>hot 99.6%'));
  t.false(few.includes('rare'));
  const deep = Array.from({ length: 2000 }, (_, i) => sample(Array.from({ length: 30 }, (_, k) => `f${k}_${i % 150}`)));
  const long = chart(fold(common + deep.join('')), 't');
  t.true(long.length <= 60_000);
  t.true(long.includes('<title>hot'));
});
