// Puts the commands into a few bundles, one file each, and compiles them ahead for the Node that does the build: Node
// opens, links and compiles a hundred small modules in many times the time that it needs for one that is compiled
// (docs/adr/0004-bundled-commands.md). dist/ keeps the single modules for the library. Beside the bundles lies each
// command's help as text, which bin/launch.cjs prints without loading the command.

import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { lateBuiltins } from './late-builtins.mjs';
import { warm } from './warm.mjs';

/** Which commands share a file: those that are made of the same parts. bin/NAME says the same. */
const BUNDLES = {
  router: ['slirpvde', 'slirpvde6', 'vdenet'],
  switch: ['vde_switch', 'wirefilter'],
  cables: ['dpipe', 'vde_autolink', 'vde_l3', 'vde_pcapplug', 'vde_plug', 'vde_plug2tap'],
  tools: ['unixcmd', 'unixterm', 'vdekvm', 'vdeq', 'vdeqemu', 'vdeterm'],
};
const OUT = 'dist/bin';

const ENTRY = /^bin-(.+)\.ts$/;
const bundled = new Set(Object.values(BUNDLES).flat());
const forgotten = readdirSync('src/cli').filter((file) => ENTRY.test(file) && !bundled.has(ENTRY.exec(file)[1]));
if (forgotten.length > 0) throw new Error(`src/cli/${forgotten[0]} is in no bundle`);

const common = {
  bundle: true,
  platform: 'node',
  target: 'node20.19',
  logLevel: 'warning',
  logOverride: { 'import-is-undefined': 'error' }, // of a module that lateBuiltins stands in for
};

rmSync(OUT, { recursive: true, force: true });
mkdirSync(OUT, { recursive: true });
writeFileSync(join(OUT, 'package.json'), '{ "type": "commonjs" }\n');
for (const [bundle, commands] of Object.entries(BUNDLES)) {
  await build({
    ...common,
    stdin: {
      contents: commands.map((name) => `export const ${name} = () => import('./bin-${name}.ts');`).join('\n'),
      resolveDir: 'src/cli',
    },
    outfile: join(OUT, `${bundle}.cjs`),
    format: 'cjs',
    plugins: [lateBuiltins],
    // A script that is compiled ahead cannot import, and has no import.meta.
    supported: { 'dynamic-import': false },
    define: { 'import.meta.url': 'bundleUrl' },
    // The wrapper that bin/launch.cjs would otherwise put around it, by a copy of the whole.
    banner: {
      js: `(function (exports, require, module, __filename, __dirname) {
const bundleUrl = require('node:url').pathToFileURL(__filename).href;`,
    },
    footer: { js: '})' },
  });
}

const { outputFiles } = await build({
  ...common,
  stdin: {
    contents:
      "export { COMMANDS } from './commands.ts'; export { renderHelp } from './help.ts'; export { fileName } from './options.ts';",
    resolveDir: 'src/cli',
  },
  write: false,
  format: 'esm',
});
const { COMMANDS, renderHelp, fileName } = await import(
  `data:text/javascript,${encodeURIComponent(outputFiles[0].text)}`
);
for (const spec of COMMANDS) writeFileSync(join(OUT, `${fileName(spec)}.help`), renderHelp(spec));

const scratch = mkdtempSync(join(tmpdir(), 'vdenet-build-'));
try {
  for (const [bundle, commands] of Object.entries(BUNDLES)) {
    for (const name of commands) await warm(name, bundle, scratch);
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
