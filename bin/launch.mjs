// Starts a command from what the build made, or says what to do when there was no build. A lone --help, which takes
// longest to start in proportion to what it does, is answered with the text that the build made of the option table; its
// other forms (-h, abbreviations, among other words) are for the command.

import { existsSync, readFileSync } from 'node:fs';

export async function launch(name) {
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
