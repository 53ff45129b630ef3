// Commands from a file: `load`, and what a program reads when it starts (rc files).
//
// The file is read as a whole before its first command: a regular file that this user may read, of a bounded size (or
// /dev/null, which is how scripts say "none"). A script may load others, to a bounded depth. A command that fails does not stop the script.

import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { devNull } from 'node:os';
import { printable } from './columns.ts';
import type { Console, ConsoleSession } from './console.ts';
import { failure, type Reply, SUCCESS } from './replies.ts';

const MAX_BYTES = 1 << 20;
const MAX_DEPTH = 8;

/** The lines of a script. Rejects with the system's error, or EISDIR, EFBIG where it is no regular file of that size. */
async function readScript(path: string): Promise<string[]> {
  if (path === devNull) return [];
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK); // a pipe must not make us wait
  try {
    const stats = await file.stat();
    if (!stats.isFile() || stats.size > MAX_BYTES)
      throw Object.assign(new Error(path), { code: stats.isFile() ? 'EFBIG' : 'EISDIR' });
    const bytes = Buffer.alloc(MAX_BYTES);
    const { bytesRead } = await file.read(bytes, 0, MAX_BYTES, 0);
    const lines = bytes.toString('utf8', 0, bytesRead).split('\n');
    return lines.at(-1) === '' ? lines.slice(0, -1) : lines;
  } finally {
    await file.close();
  }
}

/**
 * The command `load`: shows each line and what it answers.
 *
 * @param depth  scripts that are being read around this one
 */
export async function loadScript(
  console: Console,
  session: ConsoleSession,
  path: string,
  depth: number,
): Promise<Reply | null> {
  if (path === '') return failure('ENOENT');
  if (depth >= MAX_DEPTH) return failure('ELOOP', `scripts that load scripts, ${MAX_DEPTH} deep`);
  let lines: string[];
  try {
    lines = await readScript(path);
  } catch (error) {
    return scriptFailure(error);
  }
  for (const line of lines) {
    session.print(`${console.name}[${path}]: ${printable(line)}\n`);
    const text = await console.answer(session, line, depth + 1);
    if (text === null) return null;
    session.print(text);
  }
  return SUCCESS;
}

function scriptFailure(error: unknown): Reply {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'EACCES':
      return failure('EACCES');
    case 'EISDIR':
      return failure('EISDIR');
    case 'EFBIG':
      return failure('EFBIG');
    case 'ENOENT':
    case 'ENOTDIR':
      return failure('ENOENT');
    default:
      return failure('EIO', (error as Error).message);
  }
}

/**
 * Carries out a script with nobody to see its answers.
 *
 * @param report  hears of each line that failed: `FILE:LINE: COMMAND: 1017 File exists`
 * @returns       false when the file cannot be read; `report` has heard why
 */
export async function runScript(console: Console, path: string, report: (text: string) => void): Promise<boolean> {
  let lines: string[];
  try {
    lines = await readScript(path);
  } catch (error) {
    report(`cannot read ${path}: ${(error as NodeJS.ErrnoException).code ?? (error as Error).message}`);
    return false;
  }
  const nobody: ConsoleSession = { follows: new Set(), print: () => {}, end: () => {} };
  for (const [i, line] of lines.entries()) {
    const status = (await console.answer(nobody, line))?.trimEnd().split('\n').at(-1) ?? '';
    if (status !== '' && !status.startsWith('1000')) report(`${path}:${i + 1}: ${line.trim()}: ${status}`);
  }
  return true;
}
