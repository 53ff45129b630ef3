import { existsSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const DIR = process.env.VDENET_COMPILED_TESTS;

/** A test file keeps its address: what it says of its place, snapshots and packages are found from there. */
export async function load(url, context, next) {
  if (!url.endsWith('.ts')) return await next(url, context);
  const file = fileURLToPath(url);
  const path = join(DIR, relative(PROJECT, file)).replace(/ts$/, 'js');
  if (existsSync(path)) return { format: 'module', source: readFileSync(path, 'utf8'), shortCircuit: true };
  const { transform } = await import('esbuild');
  const { code } = await transform(readFileSync(file, 'utf8'), { loader: 'ts', sourcefile: file, sourcemap: 'inline' });
  return { format: 'module', source: code, shortCircuit: true };
}
