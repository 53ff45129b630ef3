import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import test from 'ava';
import { COMMANDS } from '../../src/cli/commands.ts';
import { renderHelp, wrap } from '../../src/cli/help.ts';
import { nearest } from '../../src/cli/nearest.ts';
import { fileName } from '../../src/cli/options.ts';
import { packageVersion } from '../../src/cli/version.ts';

const root = new URL('../../', import.meta.url);

for (const spec of COMMANDS) {
  test(`--help of ${spec.name}`, (t) => {
    t.snapshot(renderHelp(spec));
  });

  test(`--help of ${spec.name} fits 80 columns and names everything`, (t) => {
    const help = renderHelp(spec);
    for (const line of help.split('\n')) t.true(line.length <= 80 && line === line.trimEnd(), line);
    for (const option of spec.options) {
      for (const name of option.long) t.true(help.includes(`--${name}`), name);
      for (const letter of option.short) t.true(help.includes(`-${letter}, `), letter);
    }
  });

  test(`option texts of ${spec.name} are phrases: lower case start, no full stop`, (t) => {
    for (const option of spec.options) {
      t.regex(option.help, /^[a-z].*[^.]$/, option.key);
      if (option.details !== undefined) t.regex(option.details, /\.$/, option.key);
    }
  });

  test(`the man page of ${spec.name} names every option, and escapes what troff would take for itself`, (t) => {
    const page = readFileSync(new URL(`man/${fileName(spec)}.1`, root), 'utf8');
    for (const option of spec.options) {
      for (const name of option.long) t.true(page.includes(`\\-\\-${name.replace(/-/g, '\\-')}`), name);
    }
    t.true(page.includes(`"vdenet ${packageVersion()}"`));
    for (const line of page.split('\n')) {
      t.notRegex(line, /^'|^\.(?!\\"|TH|SH|SS|TP|PP|br|nh|ad|B )/);
      t.notRegex(line.replace(/\\-/g, '').replace(/^\.\\".*/, ''), /-/, line);
    }
  });

  if (spec.name.includes(' ')) continue; // a verb of the command before
  test(`${spec.name} is installed: bin, package.json, bundle entry`, (t) => {
    const { bin } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'));
    t.is(bin[spec.name], `bin/${spec.name}`);
    t.true((statSync(new URL(`bin/${spec.name}`, root)).mode & 0o111) === 0o111);
    t.true(existsSync(new URL(`src/cli/bin-${spec.name}.ts`, root)));
  });
}

test('vdenet has every command as a verb', (t) => {
  const vdenet = COMMANDS.find(({ name }) => name === 'vdenet')!;
  const verbs = vdenet.verbs!.flatMap((group) => group.verbs.map(({ verb }) => verb));
  const names = COMMANDS.filter((spec) => spec !== vdenet).map(({ name }) => name.replace('vdenet ', ''));
  t.deepEqual([...verbs].sort(), names.sort());
  const help = renderHelp(vdenet);
  for (const verb of verbs) t.regex(help, new RegExp(`^  ${verb} +\\S`, 'm'));
});

test('wrap breaks at blanks only', (t) => {
  t.deepEqual(wrap('aa bb cc', 5), ['aa bb', 'cc']);
  t.deepEqual(wrap('aaaaaaaa b', 5), ['aaaaaaaa', 'b']);
  t.deepEqual(wrap('', 5), ['']);
});

test('nearest word, or none', (t) => {
  const known = ['daemon', 'dhcp', 'socket', 'mtu'];
  t.is(nearest('deamon', known), 'daemon');
  t.is(nearest('dhpc', known), 'dhcp');
  t.is(nearest('sockets', known), 'socket');
  t.is(nearest('mut', known), 'mtu');
  t.is(nearest('x', known), null);
  t.is(nearest('completely-else', known), null);
  t.is(nearest('s'.repeat(10_000), known), null);
});

test('the generated documentation is up to date (npm run docs writes it)', (t) => {
  const script = new URL('scripts/gen-docs.ts', root).pathname;
  t.notThrows(() => execFileSync(process.execPath, ['--import=tsx', script, '--check'], { cwd: root, stdio: 'pipe' }));
});
