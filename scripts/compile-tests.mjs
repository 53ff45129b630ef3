// Compiles the unit tests, each with all of this project that it imports, into one module a file: Node opens and links a
// hundred TypeScript files by tsx in three times the time that it needs for one of JavaScript.
//
//   node scripts/compile-tests.mjs COMMAND [ARG]...
//
// runs COMMAND (AVA) with VDENET_COMPILED_TESTS, the folder of what was compiled; test/support/compiled-hooks.mjs puts it
// in the place of the files. Without that variable tests run from their sources.
//
//   node scripts/compile-tests.mjs --into DIR
//
// only compiles.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const PROJECT = fileURLToPath(new URL('..', import.meta.url));

/** Keeps true what a module says of its place when it has become part of another. */
const places = {
  name: 'places',
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      const own = { url: pathToFileURL(path).href, dirname: dirname(path), filename: path };
      const text = await readFile(path, 'utf8');
      return {
        contents: text.replace(/\bimport\.meta\.(url|dirname|filename)\b/g, (_, what) => JSON.stringify(own[what])),
        loader: 'ts',
      };
    });
  },
};

/** Compiles the unit tests into `dir`; those of the benchmarks measure modules as they are loaded. */
async function compileTests(dir) {
  const files = readdirSync(join(PROJECT, 'test'), { recursive: true });
  const { outputFiles } = await build({
    entryPoints: files.filter((file) => /^(?!interop|bench).*\.test\.ts$/.test(file)).map((file) => `test/${file}`),
    // Beside the sources, as it were: source maps hold paths relative to that.
    outdir: PROJECT,
    outbase: PROJECT,
    absWorkingDir: PROJECT,
    write: false,
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node20.19',
    sourcemap: 'inline',
    sourcesContent: false,
    plugins: [places],
    logLevel: 'warning',
  });
  for (const { path, contents } of outputFiles) {
    const to = join(dir, relative(PROJECT, path));
    mkdirSync(dirname(to), { recursive: true });
    writeFileSync(to, contents);
  }
}

const [command, ...args] = process.argv.slice(2);
if (command === '--into') {
  await compileTests(args[0]);
} else {
  const dir = mkdtempSync(join(tmpdir(), 'vdenet-tests-'));
  process.on('exit', () => rmSync(dir, { recursive: true, force: true }));
  await compileTests(dir);
  const child = spawn(command, args, { stdio: 'inherit', env: { ...process.env, VDENET_COMPILED_TESTS: dir } });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
}
