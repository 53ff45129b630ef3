// Compiles src/native/*.c into build/vdenet.node with the C compiler of the machine; no other build tool is needed.
//
// Environment: CC (default cc), CFLAGS and LDFLAGS (added), VDENET_REQUIRE_NATIVE=1 (fail instead of going on without).
// A machine that cannot build it is told what will not work, and the package is installed all the same.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, renameSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const directory = join(root, 'src/native');
const sources = readdirSync(directory)
  .filter((name) => /\.[ch]$/.test(name))
  .sort()
  .map((name) => join(directory, name));
const output = join(root, 'build/vdenet.node');
const words = (text) => (text ?? '').split(/\s+/).filter(Boolean);

/** Ends the run without an addon: with success, because the package works without, unless the caller insists. */
function giveUp(reason, help) {
  const required = process.env.VDENET_REQUIRE_NATIVE === '1';
  console.error(
    `vdenet: the native addon was not built: ${reason}. VDE sockets and TAP will not work${help ? `; ${help}` : ''}.`,
  );
  process.exit(required ? 1 : 0);
}

/** The directory of node_api.h, or null when Node's own headers have to serve. */
function nodeApiHeaders() {
  try {
    return createRequire(import.meta.url)('node-api-headers').include_dir;
  } catch {
    return null;
  }
}

const cachedHeaders = () =>
  join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'node-gyp', process.versions.node, 'include/node');

/** The directory of uv.h among the places where Node's headers are put, or null. */
function uvHeaders() {
  const places = [
    process.env.npm_config_nodedir && join(process.env.npm_config_nodedir, 'include/node'),
    join(dirname(process.execPath), '../include/node'),
    '/usr/include/node',
    '/usr/include',
    cachedHeaders(),
  ];
  return places.find((place) => place && existsSync(join(place, 'uv.h'))) ?? null;
}

/** The node-gyp that comes with npm, or null. */
function nodeGyp() {
  const npm = (process.env.PATH ?? '').split(delimiter).map((place) => join(place, 'npm'));
  const scripts = [process.env.npm_execpath, ...npm].filter((path) => path && existsSync(path));
  const places = scripts.map((path) => join(dirname(realpathSync(path)), '../node_modules/node-gyp/bin/node-gyp.js'));
  return [process.env.npm_config_node_gyp, ...places].find((path) => path && existsSync(path)) ?? null;
}

/** Lets node-gyp download Node's headers into its cache; the directory of uv.h, or null. */
function fetchHeaders() {
  const gyp = nodeGyp();
  if (gyp === null) return null;
  console.log('vdenet: fetching the headers of Node for the native addon');
  spawnSync(process.execPath, [gyp, 'install', '--ensure'], { stdio: ['ignore', 'ignore', 'inherit'] });
  return uvHeaders();
}

function main() {
  if (process.platform !== 'linux') giveUp(`it is for Linux only, not for ${process.platform}`);

  const compiler = words(process.env.CC || 'cc');
  const includes = [nodeApiHeaders(), uvHeaders() ?? fetchHeaders()];
  if (includes[1] === null)
    giveUp('uv.h, one of the headers of Node, was not found', 'install libuv1-dev, or set npm_config_nodedir');
  const flags = ['-std=c11', '-O3', '-fPIC', '-shared', '-Wall', '-Wextra', '-fvisibility=hidden'];
  const options = [
    ...flags,
    ...includes.filter(Boolean).map((directory) => `-I${directory}`),
    ...words(process.env.CFLAGS),
    ...sources.filter((path) => path.endsWith('.c')),
    ...words(process.env.LDFLAGS),
  ];

  // The stamp is a string inside the binary, so that the two cannot disagree: what it was made of, and how.
  const made = createHash('sha256').update(JSON.stringify([process.arch, compiler, options]));
  for (const path of sources) made.update(readFileSync(path));
  const stamp = `vdenet-build-${made.digest('hex').slice(0, 32)}`;
  if (existsSync(output) && readFileSync(output).includes(stamp)) return;

  mkdirSync(dirname(output), { recursive: true });
  const temporary = `${output}.${process.pid}`;
  const [command, ...first] = compiler;
  const run = spawnSync(command, [...first, ...options, `-DBUILD_STAMP="${stamp}"`, '-o', temporary], {
    stdio: 'inherit',
  });
  if (run.error) giveUp(`the C compiler ${command} cannot be run (${run.error.code})`, 'install gcc and libc6-dev');
  if (run.status !== 0) {
    rmSync(temporary, { force: true });
    giveUp(`${command} failed`, 'its messages are above; gcc and libc6-dev are needed');
  }
  renameSync(temporary, output);
  console.log(`vdenet: built ${output}`);
}

main();
