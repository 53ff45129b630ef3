// --help from an option table: grouped, 80 columns, on standard output.

import { argumentText, type CommandSpec, type OptionSpec, optionGroups, type VerbGroup } from './options.ts';

const WIDTH = 80;
/** Column where the explanation of an option starts. */
const HELP_COLUMN = 28;
/** The same of a verb. */
const VERB_COLUMN = 16;

/** Breaks `text` at blanks into lines of at most `width` columns; longer words stand alone. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  lines.push(line);
  return lines;
}

const withDefault = (option: OptionSpec): string =>
  option.defaultText === undefined ? option.help : `${option.help} (default: ${option.defaultText})`;

/** `-s, --sock DIR`; further names stand in the explanation. */
function label(option: OptionSpec): string {
  const short = option.short.map((letter) => `-${letter}, `).join('');
  return `  ${short === '' ? '    ' : short}--${option.long[0]}${argumentText(option)}`;
}

function optionLines(option: OptionSpec): string[] {
  const synonyms = option.long.slice(1).map((name) => `--${name}`);
  const text = withDefault(option) + (synonyms.length > 0 ? `; also ${synonyms.join(', ')}` : '');
  const explanation = wrap(text, WIDTH - HELP_COLUMN);
  const head = label(option);
  const indent = ' '.repeat(HELP_COLUMN);
  const lines = head.length < HELP_COLUMN - 1 ? [head.padEnd(HELP_COLUMN) + explanation.shift()!] : [head];
  return [...lines, ...explanation.map((line) => indent + line)];
}

function verbLines({ group, verbs }: VerbGroup): string[] {
  const indent = ' '.repeat(VERB_COLUMN);
  const entries = verbs.flatMap(({ verb, summary }) => {
    const [first, ...rest] = wrap(summary, WIDTH - VERB_COLUMN);
    return [`  ${verb}`.padEnd(VERB_COLUMN) + first, ...rest.map((line) => indent + line)];
  });
  return ['', `${group}:`, ...entries];
}

/** The whole text, ending in a newline. */
export function renderHelp(spec: CommandSpec): string {
  const lines = spec.usage.map((form, i) => `${i === 0 ? 'Usage: ' : '       '}${spec.name} ${form}`);
  lines.push('', ...wrap(spec.description[0]!, WIDTH));
  lines.push(...(spec.verbs ?? []).flatMap(verbLines));
  for (const [group, options] of optionGroups(spec)) {
    lines.push('', `${group}:`, ...options.flatMap(optionLines));
  }
  if (spec.verbs === undefined)
    lines.push('', ...wrap('Long options may be shortened and written with one dash: -dhcp, -sock DIR.', WIDTH));
  lines.push('', 'Examples:');
  for (const { command, what } of spec.examples) lines.push(`  ${command}`, `      ${what}`);
  return `${lines.join('\n')}\n`;
}
