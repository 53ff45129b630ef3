// Draws what `perf script` prints as a flame graph: an SVG file that needs nothing else. Time goes from left to right in no
// order: a frame is as wide as its share of the samples, and stands on the frame that called it.
//
//     perf record -g -p PID -- sleep 10
//     perf script -F comm,ip,sym,dso --no-inline | node scripts/flame.mjs [--title TEXT] [--from REGEX] > OUT.svg
//
// `--from` begins each stack at the last frame of that name, where there is one. Frames of less than half a percent are cut,
// more where the file would grow beyond MAX_BYTES. See docs/performance.md for how to record Node.

import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

/** Share of the samples below which a frame is not drawn. */
const LEAST = 0.005;
const MAX_BYTES = 60_000;
const WIDTH = 1200;
const ROW = 17;
const HEAD = 44;
const FONT = 11;
/** Width of a letter of the font, about. */
const LETTER = 6.2;

/** Steps of V8's calls that say nothing about who called whom, and what perf has no name for. */
const PASSED_OVER =
  /^(JSEntry|JSEntryTrampoline|InterpreterEntryTrampoline|ArgumentsAdaptorTrampoline|BaselineOutOfLinePrologue|\[unknown\])$/;

/** Which kind of code a frame is, by the file that it is from; the first that fits. */
const KINDS = [
  { name: 'kernel', color: '#e9a35b', fits: (file) => file.startsWith('[kernel') || file.endsWith('.ko') },
  { name: 'JavaScript', color: '#8cc68c', fits: (file) => file.startsWith('js:') },
  { name: 'addon', color: '#c9a0dc', fits: (file) => file.endsWith('/vdenet.node') },
  { name: 'C library', color: '#9bb8d9', fits: (file) => /\/(libc|libm|ld-linux|libstdc)[^/]*$/.test(file) },
  { name: 'Node and V8', color: '#e8d374', fits: () => true },
];

/**
 * Adds up equal stacks.
 *
 * @param text  output of `perf script -F comm,ip,sym,dso`: a line for each sample, then its frames, indented, innermost first
 * @param from  begins each stack at the last frame of this name
 * @returns     the root: `name`, `kind`, `count` of samples in it, and `calls`, those that it called, by name
 */
export function fold(text, from = null) {
  const root = node('all', 'Node and V8');
  for (const sample of text.split(/\n(?=\S)|\n\s*\n/)) {
    let stack = [];
    for (const line of sample.split('\n')) {
      const frame = parseFrame(line);
      if (frame !== null) stack.push(frame);
    }
    if (stack.length === 0) continue;
    const at = from === null ? -1 : stack.findIndex(({ name }) => from.test(name));
    if (at >= 0) stack = stack.slice(0, at + 1);
    add(root, stack.reverse());
  }
  return root;
}

const node = (name, kind) => ({ name, kind, count: 0, calls: new Map() });

function add(root, stack) {
  root.count++;
  let at = root;
  for (const { name, kind } of stack) {
    if (PASSED_OVER.test(name)) continue;
    let next = at.calls.get(name);
    if (next === undefined) at.calls.set(name, (next = node(name, kind)));
    next.count++;
    at = next;
  }
}

/** A line `ADDRESS NAME+OFFSET (FILE)`, or null. */
function parseFrame(line) {
  const found = /^\s+[0-9a-f]+ (.+) \((.*)\)$/.exec(line);
  if (found === null) return null;
  const [, symbol, file] = found;
  const name = symbol.replace(/\+0x[0-9a-f]+$/, '');
  const script = scriptFrame(name);
  const short =
    script ??
    name
      .replace(/^Builtins_|^Builtin:/, '')
      .replace(/\(.*$/, '')
      .replace(/ \[clone .*$/, '');
  const { name: kind } = KINDS.find(({ fits }) => fits(script === null ? file : 'js:'));
  return { name: short, kind };
}

/**
 * V8's name of a function, `JS:*name /path/file.cjs:12:34`, made short: `name file.cjs:12`. The sign before the name says
 * how it was compiled, which is not told apart. Null for what is no function of a script.
 */
function scriptFrame(name) {
  const found = /^(?:JS|LazyCompile|Function|Script|Eval):[*~^+']*(\S*) (\S+?):(\d+)(?::\d+)?$/.exec(name);
  if (found === null) return null;
  const [, called, path, line] = found;
  return `${called || '(anonymous)'} ${path.slice(path.lastIndexOf('/') + 1)}:${line}`;
}

/** The SVG of a folded profile. */
export function chart(root, title) {
  for (let least = LEAST; ; least *= 1.5) {
    const svg = draw(root, title, least);
    if (svg.length <= MAX_BYTES) return svg;
  }
}

function draw(root, title, least) {
  const boxes = [];
  place(root, 0, 0, root, least, boxes);
  const rows = Math.max(...boxes.map(({ depth }) => depth)) + 1;
  const height = HEAD + rows * ROW + 6;
  const legend = KINDS.map(
    ({ name, color }, i) =>
      `<rect x="${10 + i * 110}" y="24" width="10" height="10" fill="${color}"/><text x="${24 + i * 110}" y="33">${name}</text>`,
  );
  const drawn = boxes.map(({ name, kind, x, width, depth, share }) => {
    const y = height - (depth + 1) * ROW - 4;
    const color = KINDS.find((each) => each.name === kind).color;
    const letters = Math.floor((width - 4) / LETTER);
    const label = letters < 3 ? '' : name.length <= letters ? name : `${name.slice(0, letters - 1)}…`;
    const text = label === '' ? '' : `<text x="${round(x + 2)}" y="${y + 12}">${quoted(label)}</text>`;
    const told = `${quoted(name)} ${(share * 100).toFixed(1)}%`;
    return `<g><title>${told}</title><rect x="${round(x)}" y="${y}" width="${round(Math.max(width - 0.5, 0.5))}" height="${ROW - 1}" fill="${color}"/>${text}</g>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" font-family="monospace" font-size="${FONT}">`,
    `<rect width="100%" height="100%" fill="#fff"/><text x="10" y="16" font-size="13">${quoted(title)}</text>`,
    ...legend,
    ...drawn,
    '</svg>\n',
  ].join('\n');
}

/** The boxes of a frame and of all that it called, the widest first; those too narrow are left out. */
function place(frame, x, depth, root, least, boxes) {
  const share = frame.count / root.count;
  boxes.push({ name: frame.name, kind: frame.kind, x, width: share * WIDTH, depth, share });
  let at = x;
  for (const call of [...frame.calls.values()].sort((a, b) => b.count - a.count)) {
    if (call.count / root.count < least) break;
    place(call, at, depth + 1, root, least, boxes);
    at += (call.count / root.count) * WIDTH;
  }
}

const round = (n) => Math.round(n * 10) / 10;
const quoted = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

async function main() {
  const { values } = parseArgs({
    options: { title: { type: 'string', default: 'perf' }, from: { type: 'string' } },
  });
  const parts = [];
  for await (const part of process.stdin) parts.push(part);
  const root = fold(Buffer.concat(parts).toString('utf8'), values.from === undefined ? null : new RegExp(values.from));
  if (root.count === 0) throw new Error('flame: no samples on standard input; is it the output of perf script?');
  process.stdout.write(chart(root, `${values.title} (${root.count} samples)`));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
