// The state machines that unixcmd's configuration files describe (/etc/vde2/vdecmd and its like).
//
//   TIMEOUT 1000                bound of each IN, milliseconds
//   N IN 'TEXT' M               read until the input ends in TEXT; at the end of the stream or of the time go on at M
//   N SEND 'TEXT'               send; $* is the whole command, $1 to $9 its words, $$ a dollar sign
//   N THROW                     forget the input
//   N COPY                      print the input
//   N SKIP COUNT | 'TEXT'       forget COUNT characters of the input, or all up to and with TEXT
//   N IF 'TEXT' M               go on at M when the input begins with TEXT
//   N IFARG M                   go on at M when the command has words left
//   N SHIFT                     forget the first word of the command
//   N GOTO M
//   N RVATOI [BASE]             the number at the begin of the input becomes the result
//   N EXIT [NUMBER], EXITRV     end with a number, with the result
//   N EXITATOI                  RVATOI and EXITRV (Debian's vdecmd means this; Debian's unixcmd does not know it)
//   N OUTTAG, OUTSHIFT          of the library only; nothing here
//
// A line without jump goes on at the next one by number. Whatever the file says, the input has at most MAX_INPUT bytes, and
// MAX_STEPS steps without reading anything are a loop.

import { VdeError } from '../core/errors.ts';

export const MAX_INPUT = 1 << 20;
const MAX_STEPS = 10_000;
/** Without TIMEOUT in the file. */
const DEFAULT_TIMEOUT_MS = 30_000;
const MAX_STATES = 10_000;

/** Words of the machine, each with the number of arguments that it needs and may have. */
const WORDS: Readonly<Record<string, readonly [min: number, max: number]>> = {
  IN: [1, 2],
  THROW: [0, 0],
  SEND: [1, 1],
  SHIFT: [0, 0],
  IF: [2, 2],
  IFARG: [1, 1],
  GOTO: [1, 1],
  COPY: [0, 0],
  SKIP: [1, 1],
  EXIT: [0, 1],
  EXITRV: [0, 0],
  EXITATOI: [0, 0],
  RVATOI: [0, 1],
  OUTTAG: [0, 1],
  OUTSHIFT: [0, 0],
};

/** Which argument of a word is the number of another state. */
const JUMP: Readonly<Record<string, number>> = { IN: 1, IF: 1, IFARG: 0, GOTO: 0 };
/** Words whose arguments are numbers otherwise. */
const NUMERIC: readonly string[] = ['EXIT', 'RVATOI', 'OUTTAG'];

interface Step {
  readonly state: number;
  readonly word: string;
  readonly args: readonly string[];
  /** Index of the step to jump to, -1 for none. */
  readonly jump: number;
}

/** The other end, as the machine sees it. */
export interface MachinePort {
  /** One character of input; null at the end of the stream or when `timeoutMs` have passed. */
  read(timeoutMs: number): Promise<string | null>;
  write(text: string): void;
  /** Output of COPY. */
  print(text: string): void;
  /** Told of each step, for --verbose. */
  trace(state: number, input: string): void;
}

export class ParseMachine {
  private readonly steps: readonly Step[];
  private readonly timeoutMs: number;

  private constructor(steps: readonly Step[], timeoutMs: number) {
    this.steps = steps;
    this.timeoutMs = timeoutMs;
  }

  /**
   * Reads a configuration file's text.
   *
   * @param name  of the file, for messages
   * @throws VdeError  ERR_VDE_BAD_OPTION that names file and line
   */
  static parse(text: string, name: string): ParseMachine {
    const bad = (line: number, why: string): never => {
      throw new VdeError('ERR_VDE_BAD_OPTION', `${name}:${line}: ${why}`);
    };
    let timeoutMs = DEFAULT_TIMEOUT_MS;
    const rows: { line: number; state: number; word: string; args: string[] }[] = [];
    for (const [i, source] of text.split('\n').entries()) {
      const line = i + 1;
      const words = tokens(source) ?? bad(line, "a quote is not closed; write '\\'' for a quote inside");
      const [first, word = '', ...args] = words;
      if (first === undefined) continue;
      if (first === 'TIMEOUT') {
        if (!/^\d{1,7}$/.test(word)) bad(line, 'TIMEOUT needs a number of milliseconds');
        timeoutMs = Number(word);
        continue;
      }
      if (!/^\d{1,7}$/.test(first)) bad(line, `'${first}' is not the number of a state`);
      const [min, max] = WORDS[word] ?? bad(line, `'${word}' is not known; there are ${Object.keys(WORDS).join(' ')}`);
      if (args.length < min || args.length > max) bad(line, `${word} has a wrong number of arguments`);
      const numbers = NUMERIC.includes(word) ? args : args.filter((_, k) => k === JUMP[word]);
      if (!numbers.every((arg) => /^-?\d{1,7}$/.test(arg))) bad(line, `${word} needs a number`);
      rows.push({ line, state: Number(first), word, args });
    }
    if (rows.length === 0) bad(1, 'no states');
    if (rows.length > MAX_STATES) bad(1, `more than ${MAX_STATES} states`);
    rows.sort((a, b) => a.state - b.state);
    const index = new Map(rows.map((row, i) => [row.state, i]));
    const steps = rows.map(({ line, state, word, args }): Step => {
      const target = args[JUMP[word] ?? 2];
      const jump = target === undefined ? -1 : (index.get(Number(target)) ?? bad(line, `there is no state ${target}`));
      return { state, word, args, jump };
    });
    return new ParseMachine(steps, timeoutMs);
  }

  /**
   * Runs to the end; the result. Rejects with ERR_VDE_CONSOLE when the input grows too long, or nothing ends the machine.
   *
   * @param command  words of the command
   */
  async run(command: readonly string[], port: MachinePort): Promise<number> {
    const words = [...command];
    let input = '';
    let result = 0;
    let idle = 0;
    for (let at = 0; at < this.steps.length; ) {
      const { state, word, args, jump } = this.steps[at]!;
      const [arg = ''] = args;
      port.trace(state, input);
      at++;
      if (++idle > MAX_STEPS) throw new VdeError('ERR_VDE_CONSOLE', `state ${state}: a loop that reads nothing`);
      switch (word) {
        case 'IN': {
          const read = await this.readTo(input, arg, port);
          idle = 0;
          input = read.input;
          if (read.found) break;
          if (jump < 0) throw new VdeError('ERR_VDE_CONSOLE', `state ${state}: no '${arg}' came`);
          at = jump;
          break;
        }
        case 'SEND':
          port.write(expand(arg, words));
          break;
        case 'THROW':
          input = '';
          break;
        case 'COPY':
          port.print(input);
          break;
        case 'SKIP':
          input = skip(input, arg);
          break;
        case 'SHIFT':
          words.shift();
          break;
        case 'IF':
          if (input.startsWith(arg)) at = jump;
          break;
        case 'IFARG':
          if (words.length > 0) at = jump;
          break;
        case 'GOTO':
          at = jump;
          break;
        case 'RVATOI':
          result = leadingNumber(input, arg);
          break;
        case 'EXITATOI':
          return leadingNumber(input, '');
        case 'EXITRV':
          return result;
        case 'EXIT':
          return Number(arg);
      }
    }
    return result;
  }

  /** Reads until the input ends in `text`. */
  private async readTo(before: string, text: string, port: MachinePort): Promise<{ input: string; found: boolean }> {
    let input = before;
    let tail = '';
    const end = performance.now() + this.timeoutMs;
    do {
      const left = end - performance.now();
      const c = left > 0 ? await port.read(left) : null;
      if (c === null) return { input, found: false };
      input += c;
      tail = (tail + c).slice(-text.length);
      if (input.length > MAX_INPUT)
        throw new VdeError('ERR_VDE_CONSOLE', `more than ${MAX_INPUT} characters came before '${text}'`);
    } while (tail !== text);
    return { input, found: true };
  }
}

/** Words of a line; quoted text is one, with \n, \t, \\ and \' undone. Null: a quote is not closed. A # comments. */
function tokens(line: string): string[] | null {
  const found: string[] = [];
  const pattern = /\s*(?:#.*|'((?:[^'\\]|\\.)*)'|([^\s']+))/y;
  const trimmed = line.trimEnd();
  while (pattern.lastIndex < trimmed.length) {
    const match = pattern.exec(trimmed);
    if (match === null) return null;
    const [, quoted, bare] = match;
    if (quoted !== undefined) found.push(quoted.replace(/\\(.)/g, (_, c: string) => ESCAPES[c] ?? c));
    else if (bare !== undefined) found.push(bare);
  }
  return found;
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r' };

const expand = (text: string, words: readonly string[]): string =>
  text.replace(/\$([*$1-9])/g, (_, what: string) =>
    what === '*' ? words.join(' ') : what === '$' ? '$' : (words[Number(what) - 1] ?? ''),
  );

function skip(input: string, arg: string): string {
  if (/^\d+$/.test(arg)) return input.slice(Number(arg));
  const at = input.indexOf(arg);
  return at < 0 ? '' : input.slice(at + arg.length);
}

/** The number at the begin of a text as strtol reads it; 0 when there is none. */
function leadingNumber(text: string, base: string): number {
  const n = Number.parseInt(text, base === '' ? 10 : Number(base));
  return Number.isFinite(n) ? n : 0;
}
