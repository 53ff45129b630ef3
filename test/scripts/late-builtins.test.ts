import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { type BuildOptions, build, type Plugin } from 'esbuild';
import { tempDir } from '../link/support.ts';

const PROGRAM = `
import { randomInt } from 'node:crypto';
import * as dgram from 'node:dgram';
const { stat } = require('node:fs/promises');
const loaded = () => ['crypto', 'dgram', 'fs/promises'].map((m) => process.moduleLoadList.includes('NativeModule ' + m));
const before = loaded();
const n = randomInt(5, 6);
const socket = dgram.createSocket('udp4');
socket.close();
stat('.').then((s) => console.log(JSON.stringify([before, loaded(), n, s.isDirectory()])));
`;

const SCRIPT = new URL('../../scripts/late-builtins.mjs', import.meta.url).href;

test('modules of Node are loaded when a function of theirs is called first', async (t) => {
  const { lateBuiltins } = (await import(SCRIPT)) as { lateBuiltins: Plugin };
  const dir = tempDir(t);
  const [input, outfile] = [join(dir, 'in.js'), join(dir, 'out.cjs')];
  writeFileSync(input, PROGRAM);
  const common = { bundle: true, platform: 'node', format: 'cjs', logLevel: 'silent' } as const;
  const bundle = (options: BuildOptions) =>
    build({ ...common, plugins: [lateBuiltins], entryPoints: [input], outfile, ...options });
  await bundle({});
  const said = execFileSync(process.execPath, [outfile], { encoding: 'utf8' });
  t.deepEqual(JSON.parse(said), [[false, false, false], [true, true, true], 5, true]);
  writeFileSync(input, "import { constants } from 'node:crypto'; console.log(constants);");
  const refused = await t.throwsAsync(bundle({ logOverride: { 'import-is-undefined': 'error' } }));
  t.regex(refused.message, /constants/, 'what is no function is missed by the build');
});
