// getopt_long_only, as the VDE commands use it, turned into plain words for commander.
//
// The rules, in the order in which a word is looked at (those of GNU getopt; deviations are marked *):
//
//   --            everything after it is positional
//   -             positional; so is a word without a dash, wherever it stands; where a command hands words on (`rest`),
//                 everything after the first one is positional too
//   --name        long name: exact, else a prefix. A prefix of two names of one option is fine*; of two options it is an
//                 error that names the candidates. Names the original command has are preferred*, so that abbreviations
//                 in old scripts keep their meaning.
//   -x            one letter: the short option if there is one, else a long name
//   -word         long name (exact or prefix, up to `=`); if there is none: bundled short options, where the first that
//                 takes a value has the rest of the word as its value
//
// Values: `--name=value`, `--name value`, `-x value`, `-xvalue`, `-x=value`*. A required value is the next word whatever it
// looks like; an optional value must be attached. An attached `=` behind a short letter is not part of the value*: with
// getopt such words are errors or carry a useless `=`.
//
// The result holds canonical names only, values always attached with `=`, and the positional words behind `--`, so
// commander has nothing left to guess.

import { nearest } from './nearest.ts';
import { type CommandSpec, canonicalName, isAddedName, type OptionSpec } from './options.ts';
import { UsageError } from './usage-error.ts';

export interface NormalArgv {
  /** Words for commander. */
  readonly argv: string[];
  /** The first --help or --version met, or null. What follows it was not looked at. */
  readonly immediate: OptionSpec | null;
}

/** A long name found in a word. */
interface LongMatch {
  readonly option: OptionSpec;
  /** The value attached with `=`, or null. */
  readonly value: string | null;
}

/** Brings a command line (without node and script) into canonical form. Throws UsageError, and nothing else. */
export function normaliseArgv(spec: CommandSpec, words: readonly string[]): NormalArgv {
  const reader = new ArgvReader(spec, words);
  return reader.run();
}

class ArgvReader {
  private readonly spec: CommandSpec;
  private readonly words: readonly string[];
  private readonly out: string[] = [];
  private readonly positionals: string[] = [];
  private next = 0;
  private immediate: OptionSpec | null = null;

  constructor(spec: CommandSpec, words: readonly string[]) {
    this.spec = spec;
    this.words = words;
  }

  run(): NormalArgv {
    while (this.immediate === null && this.next < this.words.length) {
      const word = this.words[this.next++]!;
      if (word === '--') {
        this.positionals.push(...this.words.slice(this.next));
        break;
      }
      if (word === '-' || !word.startsWith('-')) {
        this.positionals.push(word);
        if (!this.spec.positionals.some(({ rest }) => rest)) continue;
        this.positionals.push(...this.words.slice(this.next));
        break;
      }
      if (word.startsWith('--')) this.long(word, this.findLong(word.slice(2), word) ?? this.unknown(word));
      else this.singleDash(word);
    }
    return { argv: [...this.out, '--', ...this.positionals], immediate: this.immediate };
  }

  private singleDash(word: string): void {
    const body = word.slice(1);
    const first = this.findShort(letterAt(body, 0));
    // One letter, with or without an attached `=value`, is a short option first of all.
    const oneLetter = first !== undefined && /^.(=|$)/su.test(body);
    const long = oneLetter ? null : this.findLong(body, word);
    if (long !== null) this.long(word, long);
    else if (first === undefined) this.unknown(word);
    else this.bundle(word, body);
  }

  private long(word: string, match: LongMatch): void {
    const { option } = match;
    const shown = word.split('=', 1)[0]!;
    if (match.value !== null) this.take(option, shown, match.value);
    else if (option.argument.kind === 'required') this.take(option, shown, this.nextWord(option, shown));
    else this.take(option, shown, null);
  }

  /** Short letters of one word; `body` is the word without its dash. */
  private bundle(word: string, body: string): void {
    for (let at = 0; at < body.length && this.immediate === null; ) {
      const letter = letterAt(body, at);
      const option = this.findShort(letter);
      if (option === undefined) {
        throw new UsageError(`unknown option '-${letter}' in '${word}'`);
      }
      at += letter.length;
      const rest = body.slice(at);
      const shown = `-${letter}`;
      if (option.argument.kind === 'required') {
        this.take(option, shown, rest === '' ? this.nextWord(option, shown) : rest.replace(/^=/, ''));
        return;
      }
      if (rest.startsWith('=') || (option.argument.kind === 'optional' && option.argument.gluedStart.test(rest))) {
        this.take(option, shown, rest.replace(/^=/, ''));
        return;
      }
      this.take(option, shown, null);
    }
  }

  private take(option: OptionSpec, shown: string, value: string | null): void {
    const name = `--${canonicalName(option)}`;
    if (value === null) {
      if (option.immediate) this.immediate = option;
      else this.out.push(name);
      return;
    }
    if (option.argument.kind === 'none') throw new UsageError(`option '${shown}' takes no value, but got '${value}'`);
    if (value === '') throw new UsageError(`option '${shown}' got an empty value; it needs ${option.argument.name}`);
    this.out.push(`${name}=${value}`);
  }

  private nextWord(option: OptionSpec, shown: string): string {
    const word = this.words[this.next++];
    if (word === undefined) {
      const name = option.argument.kind === 'none' ? '' : option.argument.name;
      throw new UsageError(`option '${shown}' needs a value: ${shown} ${name}`);
    }
    return word;
  }

  private findShort(letter: string): OptionSpec | undefined {
    return this.spec.options.find((option) => option.short.includes(letter));
  }

  /** The option that `text` (`name` or `name=value`) means, null when none; throws when it could be several. */
  private findLong(text: string, word: string): LongMatch | null {
    const equals = text.indexOf('=');
    const name = equals < 0 ? text : text.slice(0, equals);
    const value = equals < 0 ? null : text.slice(equals + 1);
    if (name === '') return null;
    let hits: { option: OptionSpec; name: string }[] = [];
    for (const option of this.spec.options) {
      for (const candidate of option.long) {
        if (candidate === name) return { option, value };
        if (candidate.startsWith(name)) hits.push({ option, name: candidate });
      }
    }
    const original = hits.filter((hit) => !isAddedName(hit.option, hit.name));
    if (original.length > 0) hits = original;
    const first = hits[0];
    if (first === undefined) return null;
    if (hits.some((hit) => hit.option !== first.option)) {
      const names = hits.map((hit) => `--${hit.name}`).join(', ');
      throw new UsageError(`option '${word}' is ambiguous`, `it could be ${names}`);
    }
    return { option: first.option, value };
  }

  private unknown(word: string): never {
    const name = word.replace(/^-+/, '').split('=', 1)[0]!;
    const near = nearest(
      name,
      this.spec.options.flatMap((option) => option.long),
    );
    throw new UsageError(`unknown option '${word}'`, near === null ? '' : `did you mean --${near}?`);
  }
}

/** The character at `at`, whole even when it is a surrogate pair. */
const letterAt = (text: string, at: number): string => String.fromCodePoint(text.codePointAt(at)!);
