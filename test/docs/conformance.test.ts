// docs/reference/conformance-*.md say which test shows which rule. Here each table with a column `Test` is held to that:
// the file named is there and has the test, so a test that is renamed or taken out is missed. Cells of that column are
//
//     `test/tcp/states.test.ts`: "words of the title"      several joined by <br>
//     `docs/reference/compat.md`: "words of the line"      for a rule that is not followed
//     No test: why there is none

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { hasTitle, readTitles, type TitledFile } from './titles.ts';

const ROOT = join(import.meta.dirname, '../..');
const DOCS = 'docs/reference';

/** The cells of a row, or null for a line that is no row of a table. */
function cellsOf(line: string): string[] | null {
  if (!line.startsWith('|')) return null;
  const cells = line.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll('\\|', '|'));
  return cells.slice(1, -1);
}

/** The cells of the column `Test` of all tables of a text, with the row's number in the file. */
function testCells(text: string): { line: number; cell: string }[] {
  const found: { line: number; cell: string }[] = [];
  let column = -1;
  let width = 0;
  let inTable = false;
  for (const [i, line] of text.split('\n').entries()) {
    const cells = cellsOf(line);
    if (cells === null) inTable = false;
    else if (!inTable) {
      inTable = true;
      column = cells.indexOf('Test');
      width = cells.length;
    } else if (column >= 0 && !/^[-:]+$/.test(cells[0] ?? ''))
      // A row of another width is a `|` without its backslash.
      found.push({ line: i + 1, cell: cells.length === width ? (cells[column] ?? '') : '' });
  }
  return found;
}

const files = new Map<string, TitledFile>();

function titlesOf(path: string): TitledFile {
  let file = files.get(path);
  if (file === undefined) {
    file = readTitles(join(ROOT, path));
    files.set(path, file);
  }
  return file;
}

/** What is wrong with one reference, or null. */
function fault(reference: string): string | null {
  const [, path, words] = /^`([^`]+)`: "(.+)"$/.exec(reference) ?? [];
  if (path === undefined || words === undefined) return `not of the form \`test/file.test.ts\`: "title": ${reference}`;
  if (!existsSync(join(ROOT, path))) return `no file ${path}`;
  const has = path.endsWith('.md')
    ? readFileSync(join(ROOT, path), 'utf8').includes(words)
    : hasTitle(titlesOf(path), words);
  return has ? null : `${path} has no "${words}"`;
}

function faults(cell: string): string[] {
  if (/^No test: ./.test(cell)) return [];
  return cell.split('<br>').flatMap((reference) => fault(reference.trim()) ?? []);
}

for (const name of readdirSync(join(ROOT, DOCS)).filter((file) => /^conformance-.*\.md$/.test(file)))
  test(`${name}: each test named is there`, (t) => {
    const wrong = testCells(readFileSync(join(ROOT, DOCS, name), 'utf8')).flatMap(({ line, cell }) =>
      faults(cell).map((why) => `${DOCS}/${name}:${line}: ${why}`),
    );
    t.deepEqual(wrong, []);
  });

const HERE = '`test/docs/conformance.test.ts`';
const cases = [
  { name: 'the whole title', cell: `${HERE}: "tables without a column of tests are left alone"`, wrong: 0 },
  { name: 'a part of it', cell: `${HERE}: "without a column"`, wrong: 0 },
  { name: 'a title filled in', cell: `${HERE}: "a cell with a title filled in"`, wrong: 0 },
  { name: 'a title as in the source', cell: `${HERE}: "a cell with \${name}"`, wrong: 0 },
  { name: 'words that fill no title', cell: `${HERE}: "a cell with ${'no'} such case"`, wrong: 1 },
  { name: 'two, one missing', cell: `${HERE}: "without a column"<br>${HERE}: "not ${'there'}"`, wrong: 1 },
  { name: 'no such file', cell: '`test/docs/none.test.ts`: "x"', wrong: 1 },
  { name: 'a line of a document', cell: '`docs/reference/compat.md`: "one station, one MAC"', wrong: 0 },
  { name: 'a line that a document has not', cell: '`docs/reference/compat.md`: "no such words"', wrong: 1 },
  { name: 'a reason', cell: 'No test: nothing to test', wrong: 0 },
  { name: 'nothing', cell: '', wrong: 1 },
];

for (const { name, cell, wrong } of cases)
  test(`a cell with ${name}`, (t) => {
    t.is(faults(cell).length, wrong, faults(cell).join('\n'));
  });

test('tables without a column of tests are left alone', (t) => {
  t.deepEqual(testCells('| Case | Answer |\n|---|---|\n| 0 | x |\n\n| Row | Test |\n|---|---|\n| 1 | a \\| b |\n'), [
    { line: 7, cell: 'a | b' },
  ]);
});
