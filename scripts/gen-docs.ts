// Writes the parts of the documentation that repeat tables of the sources. With --check nothing is written: files that
// are not up to date are named, and the exit status is 1.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { COMMANDS } from '../src/cli/commands.ts';
import { fileName } from '../src/cli/options.ts';
import { packageVersion } from '../src/cli/version.ts';
import { CONSOLES, consoleOf, renderConsole } from './render-console.ts';
import { renderMan } from './render-man.ts';
import { renderDrops, renderErrors, renderOptions } from './render-reference.ts';

const root = new URL('../', import.meta.url);

const pages: Record<string, string> = {
  'docs/reference/drops.md': renderDrops(),
  'docs/reference/errors.md': renderErrors(),
};
for (const each of CONSOLES) pages[`docs/reference/console-${each.name}.md`] = renderConsole(each);
for (const spec of COMMANDS) {
  pages[`docs/reference/options-${fileName(spec)}.md`] = renderOptions(spec);
  pages[`man/${fileName(spec)}.1`] = renderMan(spec, packageVersion(), consoleOf(spec.name));
}

function current(url: URL): string | null {
  try {
    return readFileSync(url, 'utf8');
  } catch {
    return null;
  }
}

const check = process.argv.includes('--check');
const stale = Object.entries(pages).filter(([path, text]) => current(new URL(path, root)) !== text);
for (const [path, text] of stale) {
  const url = new URL(path, root);
  if (!check) {
    mkdirSync(dirname(url.pathname), { recursive: true });
    writeFileSync(url, text);
  }
  process.stdout.write(`${path}: ${check ? 'not up to date; run npm run docs' : 'written'}\n`);
}
if (check && stale.length > 0) process.exitCode = 1;
