// node warm-child.cjs NAME BUNDLE WORDS...: runs a command as bin/NAME does and writes its compiled form at the end.

const { renameSync, writeFileSync } = require('node:fs');
const { compile, compiledPath, run, bundlePath } = require('../bin/launch.cjs');

const [, , name, bundle] = process.argv;
process.argv.splice(1, 3, name);
const file = bundlePath(bundle);
const script = compile(file);
process.on('exit', () => {
  const path = compiledPath(name);
  writeFileSync(`${path}.new`, script.createCachedData());
  renameSync(`${path}.new`, path);
});
run(script, file)[name]();
