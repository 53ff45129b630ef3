// Puts each command into one file (and the parts it loads later into chunks beside it): Node opens and links a hundred
// small modules in about four times the time that it needs for one. dist/ keeps the single modules for the library.
// Beside each command lies its help as text, which bin/launch.mjs prints without loading the command.

import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { build } from 'esbuild';

const ENTRY = /^bin-(.+)\.ts$/;
const commands = readdirSync('src/cli').flatMap((file) => ENTRY.exec(file)?.[1] ?? []);

rmSync('dist/bin', { recursive: true, force: true });
await build({
  entryPoints: Object.fromEntries(commands.map((name) => [name, `src/cli/bin-${name}.ts`])),
  outdir: 'dist/bin',
  outExtension: { '.js': '.mjs' },
  bundle: true,
  splitting: true,
  platform: 'node',
  format: 'esm',
  target: 'node20.19',
  chunkNames: '[name]-[hash]',
  // commander is CommonJS and asks for Node's modules by require.
  banner: {
    js: "import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);",
  },
  logLevel: 'warning',
});

const { outputFiles } = await build({
  stdin: {
    contents:
      "export { COMMANDS } from './commands.ts'; export { renderHelp } from './help.ts'; export { fileName } from './options.ts';",
    resolveDir: 'src/cli',
  },
  write: false,
  bundle: true,
  platform: 'node',
  format: 'esm',
  logLevel: 'warning',
});
const { COMMANDS, renderHelp, fileName } = await import(
  `data:text/javascript,${encodeURIComponent(outputFiles[0].text)}`
);
for (const spec of COMMANDS) writeFileSync(`dist/bin/${fileName(spec)}.help`, renderHelp(spec));
