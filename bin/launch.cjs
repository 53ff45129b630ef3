// Starts a command from what the build made, or says what to do when there was no build. A lone --help is answered with
// the text that the build made of the option table; its other forms (-h, abbreviations, among other words) are for the
// command.
//
// Beside the bundles lie the compiled forms that scripts/warm.mjs left, for the Node that did the build: its file name
// tells which program that was, and a compiled form of any other is not used.

const { existsSync, readFileSync, statSync } = require('node:fs');
const { createRequire } = require('node:module');
const { join } = require('node:path');

const DIRECTORY = join(__dirname, '../dist/bin');

const bundlePath = (bundle) => join(DIRECTORY, `${bundle}.cjs`);

/** Where the compiled form of a command lies that this very Node can use. */
function compiledPath(name) {
  const { size, mtimeMs } = statSync(process.execPath);
  const node = [process.version, process.arch, size.toString(36), Math.floor(mtimeMs).toString(36)].join('-');
  return join(DIRECTORY, `${name}.${node}.compiled`);
}

/**
 * Compiles a bundle, with the functions that are compiled already when there are any.
 *
 * @returns the script, whose result is a CommonJS wrapper
 */
function compile(file, cachedData) {
  const { Script } = require('node:vm');
  // The build writes ASCII only: V8 takes it as it is.
  return new Script(readFileSync(file, 'latin1'), { filename: file, cachedData });
}

/** The module that a compiled bundle makes. */
function run(script, file) {
  const module = { exports: {} };
  script.runInThisContext()(module.exports, createRequire(file), module, file, DIRECTORY);
  return module.exports;
}

function load(name, file) {
  const compiled = compiledPath(name);
  return run(compile(file, existsSync(compiled) ? readFileSync(compiled) : undefined), file);
}

/**
 * The command that `vdenet COMMAND ...` is, or null: its words become what they are without `vdenet`, also for processes
 * that COMMAND starts by them. `vdenet help COMMAND` is `vdenet COMMAND --help`.
 */
function verb() {
  if (process.argv[2] === 'help') process.argv.splice(2, 2, ...process.argv.slice(3, 4), '--help');
  const word = process.argv[2] ?? '';
  const command = join(__dirname, word);
  if (!/^\w+$/.test(word) || word === 'vdenet' || !existsSync(command)) return null;
  process.argv.splice(1, 2, command);
  return command;
}

/** Runs a command of a bundle. */
function launch(name, bundle) {
  const other = name === 'vdenet' ? verb() : null;
  if (other !== null) {
    require(other);
    return;
  }
  const help = join(DIRECTORY, `${name}.help`);
  if (process.argv.length === 3 && process.argv[2] === '--help' && existsSync(help)) {
    process.stdout.on('error', () => {}); // the reader has gone away
    process.stdout.write(readFileSync(help, 'utf8'));
    return;
  }
  const file = bundlePath(bundle);
  if (existsSync(file)) {
    load(name, file)[name]();
    return;
  }
  process.stderr.write(
    `${name}: this checkout has not been built: dist is missing\n` +
      `run 'npm ci' (or 'npm run build') in ${join(__dirname, '..')}\n`,
  );
  process.exitCode = 1;
}

module.exports = { launch, bundlePath, compile, run, compiledPath };
