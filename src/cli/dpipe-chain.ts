// What the words of dpipe mean: commands, and which of them reads what another one writes.
//
//     a  =  b  =  c             a <--> b <--> c          b: left on 0 and 1, right on 3 and 4
//     a =} r }={ l {= b         a --> r --> b --> l --> a
//
// Commands that stand in one direction only lie between the two others that are joined: in the order of the words from
// left to right, against it from right to left.

import { UsageError } from './usage-error.ts';

export const STDIN = 0;
export const STDOUT = 1;
/** Descriptors of a command's right neighbour. */
export const ALTERNATE_STDIN = 3;
export const ALTERNATE_STDOUT = 4;

export interface DpipeCommand {
  readonly argv: readonly string[];
  /** True when it has a right neighbour on descriptors 3 and 4. */
  readonly alternate: boolean;
}

/** A pipe: what command `from` writes to its descriptor `output`, command `to` reads from its descriptor `input`. */
export interface DpipeEdge {
  readonly from: number;
  readonly output: number;
  readonly to: number;
  readonly input: number;
}

export interface Chain {
  readonly commands: readonly DpipeCommand[];
  readonly edges: readonly DpipeEdge[];
}

type Way = '' | '}' | '{';

const FORM = 'expected dpipe [OPTION]... COMMAND [ARGUMENT]... = COMMAND [ARGUMENT]...';

/** Makes sense of the words. Throws UsageError. */
export function parseChain(words: readonly string[]): Chain {
  const argvs: string[][] = [[]];
  const ways: Way[] = [''];
  let before = '';
  for (const word of words) {
    const match = /^([{}]?)=([{}]?)$/.exec(word);
    if (match === null) {
      argvs.at(-1)!.push(word);
      continue;
    }
    const [, after = '', next = ''] = match;
    if (after !== before)
      throw new UsageError(
        `'${before === '' ? '' : `=${before}`}' before and '${word}' behind a command do not fit`,
        FORM,
      );
    argvs.push([]);
    ways.push(next as Way);
    before = next;
  }
  if (before !== '') throw new UsageError('the last command cannot stand in one direction only', FORM);
  if (argvs.length < 2) throw new UsageError("there is no '=' between two commands", FORM);
  const empty = argvs.findIndex((argv) => (argv[0] ?? '') === '');
  if (empty >= 0) throw new UsageError(`command ${empty + 1} of ${argvs.length} is empty`, FORM);
  return connect(argvs, ways);
}

function connect(argvs: readonly string[][], ways: readonly Way[]): Chain {
  const both = ways.flatMap((way, i) => (way === '' ? [i] : []));
  const edges: DpipeEdge[] = [];
  const path = (stops: readonly number[], output: number, input: number): void => {
    for (let i = 0; i + 1 < stops.length; i++) {
      const last = i + 2 === stops.length;
      edges.push({
        from: stops[i]!,
        output: i === 0 ? output : STDOUT,
        to: stops[i + 1]!,
        input: last ? input : STDIN,
      });
    }
  };
  for (let i = 0; i + 1 < both.length; i++) {
    const [left, right] = [both[i]!, both[i + 1]!];
    const between = (way: Way): number[] =>
      ways.flatMap((each, at) => (each === way && at > left && at < right ? [at] : []));
    const first = i === 0;
    path([left, ...between('}'), right], first ? STDOUT : ALTERNATE_STDOUT, STDIN);
    path([right, ...between('{').reverse(), left], STDOUT, first ? STDIN : ALTERNATE_STDIN);
  }
  const inner = new Set(both.slice(1, -1));
  return { commands: argvs.map((argv, i) => ({ argv, alternate: inner.has(i) })), edges };
}
