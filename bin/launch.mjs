// Starts a command from what the build made, or says what to do when there was no build.

import { existsSync } from 'node:fs';

export async function launch(name) {
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
