// The commands vdeq, vdeqemu and vdekvm: QEMU with a rewritten command line, in the place of this process: it has the pid,
// the terminal, the standard streams and the descriptors that its command line names. Without the native addon it is a
// child instead, as near to that as can be: signals go through, its end is ours.

import { type StdioOptions, spawn } from 'node:child_process';
import { accessSync, constants, fstatSync, writeSync } from 'node:fs';
import { constants as osConstants } from 'node:os';
import { delimiter, join } from 'node:path';
import { errnoName } from '../native/errno.ts';
import { native, nativeProblem } from '../native/native.ts';
import { readCommandLine } from './command-line.ts';
import { type CommandSpec, optionNames } from './options.ts';
import { printable } from './stdio.ts';
import { UsageError } from './usage-error.ts';
import { VDEKVM, VDEQEMU } from './vdeq-options.ts';
import { descriptorsOf, rewriteQemu } from './vdeq-rewrite.ts';

const EXIT_NOT_STARTED = 126;
const EXIT_NO_PROGRAM = 127;
const EXIT_SIGNAL = 128;
/** What a terminal sends to QEMU itself, too. */
const FROM_TERMINAL: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT'];
const PASSED_ON: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGHUP', 'SIGUSR2', 'SIGCONT', ...FROM_TERMINAL];
/** QEMU's names for the machines that Node knows. */
const MACHINES: Readonly<Record<string, string>> = {
  x64: 'x86_64',
  ia32: 'i386',
  arm64: 'aarch64',
  arm: 'arm',
  ppc64: 'ppc64',
  riscv64: 'riscv64',
  s390x: 's390x',
  loong64: 'loongarch64',
};

interface Run {
  readonly argv: readonly string[];
  readonly verbose: boolean;
  readonly dryRun: boolean;
}

export async function main(spec: CommandSpec, words: readonly string[]): Promise<void> {
  const run = await readCommandLine(spec, withoutQemus(spec, words), ({ values, positionals }): Run => {
    return {
      argv: commandOf(spec, positionals),
      verbose: values.has('verbose'),
      dryRun: values.has('dry-run'),
    };
  });
  if (run === null) return;
  const text = printable(run.argv.map(quoted).join(' '));
  if (run.dryRun) process.stdout.write(`${text}\n`);
  else {
    // Not by process.stderr, which would leave a pipe non-blocking for the program that gets it.
    if (run.verbose) writeSync(2, `${spec.name}: ${text}\n`);
    if (nativeProblem() === null) become(spec.name, run.argv);
    else start(spec.name, run.argv);
  }
}

/** Our own options stand in front; from the first other word on nothing is ours. */
function withoutQemus(spec: CommandSpec, words: readonly string[]): string[] {
  const own = spec.options.flatMap(optionNames).concat('-help');
  const count = words.findIndex((word) => !own.includes(word));
  const at = count < 0 ? words.length : count;
  return [...words.slice(0, at), '--', ...words.slice(at)];
}

/** The program and its words. */
function commandOf(spec: CommandSpec, words: readonly string[]): string[] {
  if (spec === VDEQEMU || spec === VDEKVM)
    return [...programOf(spec === VDEQEMU ? 'qemu' : 'kvm'), ...rewriteQemu(words)];
  const [program, ...rest] = words;
  if (program === undefined || program.startsWith('-'))
    throw new UsageError(program === undefined ? 'which QEMU?' : `the name of a QEMU is expected before '${program}'`);
  return [...programOf(program), ...rewriteQemu(rest)];
}

/** `qemu` and `kvm` are programs of old: where there is none, the one for this machine is meant. */
function programOf(name: string): string[] {
  if ((name !== 'qemu' && name !== 'kvm') || onPath(name)) return [name];
  const program = `qemu-system-${MACHINES[process.arch] ?? process.arch}`;
  return name === 'kvm' ? [program, '-enable-kvm'] : [program];
}

function onPath(name: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((dir) => {
    try {
      accessSync(join(dir, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Makes the process the program. */
function become(name: string, argv: readonly string[]): void {
  const status = native().exec(argv, Int32Array.from(descriptorsOf(argv.slice(1))));
  notStarted(name, argv[0]!, errnoName(status));
}

function notStarted(name: string, program: string, code: string | undefined): never {
  const none = code === 'ENOENT';
  const hint = none ? 'there is no such program; is QEMU installed?' : code;
  process.stderr.write(`${name}: cannot start ${printable(program)}: ${hint}\n`);
  process.exit(none ? EXIT_NO_PROGRAM : EXIT_NOT_STARTED);
}

function start(name: string, argv: readonly string[]): void {
  const [program = '', ...words] = argv;
  const child = spawn(program, words, { stdio: inherited(descriptorsOf(words)) });
  const terminal = process.stdin.isTTY === true;
  for (const signal of PASSED_ON) {
    process.on(signal, () => {
      if (!terminal || !FROM_TERMINAL.includes(signal)) child.kill(signal);
    });
  }
  child.once('error', (error: NodeJS.ErrnoException) => notStarted(name, program, error.code));
  child.once('exit', (code, signal) => {
    process.exit(code ?? EXIT_SIGNAL + (osConstants.signals[signal ?? 'SIGKILL'] ?? 0));
  });
}

/** The standard streams, and each descriptor that is named and open, in its place. */
function inherited(fds: readonly number[]): StdioOptions {
  const stdio: ('inherit' | 'ignore' | number)[] = ['inherit', 'inherit', 'inherit'];
  for (const fd of fds) {
    try {
      fstatSync(fd);
    } catch {
      continue; // QEMU will say that it is not open
    }
    while (stdio.length < fd) stdio.push('ignore');
    stdio.push(fd);
  }
  return stdio;
}

/** A word as a shell takes it. */
const quoted = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
