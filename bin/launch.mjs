// Starts a command from what the build made, or says what to do when there was no build. A lone --help, which takes
// longest to start in proportion to what it does, is answered with the text that the build made of the option table; its
// other forms (-h, abbreviations, among other words) are for the command.

import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * `vdenet COMMAND ...` is COMMAND: its words become what they are without `vdenet`, also for processes that COMMAND starts
 * by them. `vdenet help COMMAND` is `vdenet COMMAND --help`.
 */
function verb(name) {
  if (process.argv[2] === 'help') process.argv.splice(2, 2, ...process.argv.slice(3, 4), '--help');
  const word = process.argv[2] ?? '';
  const command = fileURLToPath(new URL(word, import.meta.url));
  if (!/^\w+$/.test(word) || word === name || !existsSync(command)) return name;
  process.argv.splice(1, 2, command);
  return word;
}

export async function launch(called) {
  const name = called === 'vdenet' ? verb(called) : called;
  const help = new URL(`../dist/bin/${name}.help`, import.meta.url);
  if (process.argv.length === 3 && process.argv[2] === '--help' && existsSync(help)) {
    process.stdout.on('error', () => {}); // the reader has gone away
    process.stdout.write(readFileSync(help, 'utf8'));
    return;
  }
  const entry = new URL(`../dist/bin/${name}.mjs`, import.meta.url);
  if (existsSync(entry)) {
    await import(entry.href);
    return;
  }
  process.stderr.write(
    `${name}: this checkout has not been built: dist is missing\n` +
      `run 'npm ci' (or 'npm run build') in ${new URL('..', import.meta.url).pathname}\n`,
  );
  process.exitCode = 1;
}
