import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Script } from 'node:vm';
import test, { type ExecutionContext } from 'ava';
import { tempDir } from '../link/support.ts';

interface Launch {
  compile(file: string, cachedData?: Uint8Array): Script;
  run(script: Script, file: string): { answer(): number };
}
const { compile, run } = createRequire(import.meta.url)('../../bin/launch.cjs') as Launch;

/** A bundle carries the wrapper of its module itself. */
function bundle(t: ExecutionContext, text: string): string {
  const file = join(tempDir(t), 'bundle.cjs');
  writeFileSync(file, `(function (exports, require, module, __filename, __dirname) {\n${text}\n})`);
  return file;
}

const SOURCE = 'exports.answer = () => require("node:os").constants.signals.SIGHUP + 41;';

test('a bundle runs from its compiled form', (t) => {
  const file = bundle(t, SOURCE);
  const first = compile(file);
  t.is(run(first, file).answer(), 42);
  const again = compile(file, first.createCachedData());
  t.is(again.cachedDataRejected, false);
  t.is(run(again, file).answer(), 42);
});

test('a compiled form of something else is refused, and the bundle runs all the same', (t) => {
  const other = compile(bundle(t, 'exports.answer = () => 43;')).createCachedData();
  for (const data of [other, Buffer.alloc(1000, 7), new Uint8Array(0)]) {
    const file = bundle(t, SOURCE);
    const script = compile(file, data);
    t.is(script.cachedDataRejected, true);
    t.is(run(script, file).answer(), 42);
  }
});
