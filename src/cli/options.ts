// Option tables: what a command takes, said once.
//
// One CommandSpec per command is the source of the getopt_long_only normaliser (argv.ts), the commander definitions
// (parse.ts), --help (help.ts), and of the man page and the reference table (scripts/gen-docs.ts). A spec says which
// words exist and what they mean to a reader; what the values mean to the program is the business of the command's
// config file (slirpvde-config.ts).

/** What follows an option. `optional` values are only taken when attached: `--dhcp=START`, `-D10.0.2.100`. */
export type OptionArgument =
  | { readonly kind: 'none' }
  | { readonly kind: 'required'; readonly name: string }
  | {
      readonly kind: 'optional';
      readonly name: string;
      /** What a value glued to the short letter begins with; other letters after it are more options (`-Dq`). */
      readonly gluedStart: RegExp;
    };

export interface OptionSpec {
  /** Name of the value in `ParsedCommand.values`. */
  readonly key: string;
  /** One-letter names, without dash. The first is shown first. */
  readonly short: readonly string[];
  /** Long names, without dashes; the first is the canonical one. At least one. */
  readonly long: readonly string[];
  /**
   * True for options (or, as a list, for those long names) that the original command does not have. Abbreviations mean
   * what they mean to the original first: a new name never makes an old prefix ambiguous.
   */
  readonly added?: true | readonly string[];
  readonly argument: OptionArgument;
  /** May be given more than once, all values count. Otherwise the last one counts, as with getopt. */
  readonly repeatable?: true;
  /** Ends parsing at once: --help, --version. */
  readonly immediate?: true;
  /** Heading in --help and in the docs; groups appear in the order of the table. */
  readonly group: string;
  /** One plain sentence without a full stop at its end, lower case. */
  readonly help: string;
  /** More for the man page and the reference, plain sentences. */
  readonly details?: string;
  /** Shown after the help text: `(default: ...)`. */
  readonly defaultText?: string;
}

export interface Example {
  readonly command: string;
  readonly what: string;
}

export interface Positional {
  readonly name: string;
  readonly help: string;
  /**
   * Takes all words that are left, as they are. From the first positional word of such a command on nothing is an option
   * of ours any more: the words belong to another program or to a console.
   */
  readonly rest?: true;
}

export interface CommandSpec {
  readonly name: string;
  /** One line, no full stop: "user-mode NAT router for VDE networks". */
  readonly summary: string;
  /** Usage forms after the name of the command. */
  readonly usage: readonly string[];
  /** Paragraphs for --help (the first only), man page and reference. */
  readonly description: readonly string[];
  /** Positional arguments: name and help; more words than listed are refused. */
  readonly positionals: readonly Positional[];
  readonly options: readonly OptionSpec[];
  readonly exitStatus: readonly ExitStatus[];
  readonly examples: readonly Example[];
  /** Files the command reads or makes. */
  readonly files: readonly { readonly path: string; readonly what: string }[];
  readonly seeAlso: readonly string[];
  /** The words that may stand first, of a command that is a set of others; groups are headings. */
  readonly verbs?: readonly VerbGroup[];
}

export interface VerbGroup {
  readonly group: string;
  readonly verbs: readonly { readonly verb: string; readonly summary: string }[];
}

/** The name of a command's files: that of `vdenet run` is vdenet-run. */
export const fileName = (spec: CommandSpec): string => spec.name.replace(' ', '-');

/** One exit status of a command, as the docs print it; the numbers are the constants of usage-error.ts. */
export interface ExitStatus {
  readonly status: number;
  readonly what: string;
}

/** What all commands have in common behind 0 and 1. */
export const COMMON_EXIT_STATUS: readonly ExitStatus[] = [
  { status: 2, what: 'the command line makes no sense' },
  { status: 70, what: 'a defect of the program: the reason is on standard error' },
];

export const canonicalName = (option: OptionSpec): string => option.long[0]!;

/** True when `name` is one of the option's long names that the original command does not know. */
export const isAddedName = (option: OptionSpec, name: string): boolean =>
  option.added === true || (option.added ?? []).includes(name);

/** The option's argument as help and docs show it behind a long name: ``, ` DIR`, `[=START]`. */
export function argumentText(option: OptionSpec): string {
  switch (option.argument.kind) {
    case 'none':
      return '';
    case 'required':
      return ` ${option.argument.name}`;
    case 'optional':
      return `[=${option.argument.name}]`;
  }
}

/** All names of an option with dashes, short ones first. */
export const optionNames = (option: OptionSpec): string[] => [
  ...option.short.map((letter) => `-${letter}`),
  ...option.long.map((name) => `--${name}`),
];

/** Options by group, groups in the order of their first option. */
export function optionGroups(spec: CommandSpec): Map<string, OptionSpec[]> {
  const groups = new Map<string, OptionSpec[]>();
  for (const option of spec.options) {
    const group = groups.get(option.group);
    if (group === undefined) groups.set(option.group, [option]);
    else group.push(option);
  }
  return groups;
}
