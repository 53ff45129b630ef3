// The console of wirefilter: the line protocol of console.ts with a dialect of its own.
//
//   - A command is what the line begins with, in the order of the table: `delay100` is `delay 100`, as in the original.
//   - A text that is no value is answered by Success and ignored, as in the original; it goes to `ignored` for the log.
//   - `logout` says `1-01 Unknown error -1`, `shutdown` nothing.
//   - Steps of the Markov chain are told to who asked by `markov-debug 1`: `3802 Node 1 "a" -> 2 "b"`, 3800 and the state.
//
// The same commands come from standard input and from rc files.

import { readFileSync, statSync } from 'node:fs';
import { dropSnapshot } from '../core/drop.ts';
import type { Impair } from '../link/impair.ts';
import { type Direction, LR, MIN_TIME_MS, type Parameter, RL } from '../link/impair-model.ts';
import { general, parseSetting, wireValueText } from '../link/impair-text.ts';
import { answerText, type ConsoleEntry, type ConsoleSession, type EventCategory } from './console.ts';
import { data, failure, type Reply, SUCCESS } from './replies.ts';

export const PROMPT = 'VDEwf';
export const BANNER: readonly string[] = ['', 'VDE wirefilter V.2.3.2', '(C) R.Davoli 2005,2006 - GPLv2'];
/** Events that `markov-debug 1` asks for. */
export const MARKOV: EventCategory = { path: 'markov-debug', tag: 0o1440, help: 'steps of the Markov chain' };
/** 3800 and the number of the state. */
const MARKOV_TAG = 3800;
const MAX_RC_BYTES = 1 << 20;
const MAX_TIME_MS = 1e9;

/** Names of parameters as commands; some have two. */
const PARAMETER_COMMANDS: Readonly<Record<string, Parameter>> = {
  loss: 'loss',
  lostburst: 'lostburst',
  delay: 'delay',
  dup: 'dup',
  bandwidth: 'bandwidth',
  band: 'bandwidth',
  speed: 'speed',
  noise: 'noise',
  mtu: 'mtu',
  chanbufsize: 'chanbufsize',
  capacity: 'chanbufsize',
};

/** What help prints, in its order: the original's words. */
const HELP: readonly (readonly [command: string, help: string])[] = [
  ['help', 'print a summary of mgmt commands'],
  ['load', 'load a configuration file'],
  ['showinfo', 'show status and parameter values'],
  ['loss', 'set loss percentage'],
  ['lostburst', 'mean length of lost packet bursts'],
  ['delay', 'set delay ms'],
  ['dup', 'set dup packet percentage'],
  ['bandwidth', 'set channel bandwidth bytes/sec'],
  ['speed', 'set interface speed bytes/sec'],
  ['noise', 'set noise factor bits/Mbyte'],
  ['mtu', 'set channel MTU (bytes)'],
  ['chanbufsize', 'set channel buffer size (bytes)'],
  ['fifo', 'set channel fifoness'],
  ['shutdown', 'shut the channel down'],
  ['logout', 'log out from this mgmt session'],
  ['markov-numnodes n', 'markov mode: set number of states'],
  ['markov-setnode n', 'markov mode: set current state'],
  ['markov-name n,name', "markov mode: set state's name"],
  ['markov-time ms', 'markov mode: transition period'],
  ['setedge n1,n2,w', 'markov mode: set edge weight'],
  ['showinfo n', 'markov mode: show parameter values'],
  ['showedges n', 'markov mode: show edge weights'],
  ['showcurrent', 'markov mode: show current state'],
  ['markov-debug n', 'markov mode: set debug level'],
];

/** Commands of ours, which `help added` shows: the original's help has no place for them. */
const ADDED: readonly (readonly [command: string, help: string])[] = [
  ['counters', 'frames in, out, duplicated and dropped since the start, and the seed'],
];

/** For the reference. */
export const WIREFILTER_COMMANDS: readonly ConsoleEntry[] = [...HELP, ...ADDED].map(([command, help]) => {
  const [path = '', syntax = ''] = command.split(' ');
  const takesValue = path in PARAMETER_COMMANDS;
  return { path, syntax: takesValue ? '[LR|RL] value[+plus][K|M|G][U|N][[node]]' : syntax, help };
});

export interface WirefilterConsoleOptions {
  readonly impair: Impair;
  readonly seed: number;
  /** Frames go from left to right only. */
  readonly oneWay: boolean;
  /** Socket and words of --blink, or null. */
  readonly blink: { readonly path: string; readonly id: string } | null;
  readonly shutdown: () => void;
  /** A command whose value was not understood. */
  readonly ignored: (line: string) => void;
}

type Run = (text: string, session: ConsoleSession, depth: number) => Reply | null;

export class WirefilterCommands {
  private readonly options: WirefilterConsoleOptions;
  private readonly impair: Impair;
  private readonly table: readonly (readonly [name: string, run: Run])[];

  constructor(options: WirefilterConsoleOptions) {
    this.options = options;
    this.impair = options.impair;
    const settings = (names: readonly string[]): [string, Run][] =>
      names.map((name) => [name, (text) => this.set(PARAMETER_COMMANDS[name]!, name, text)]);
    this.table = [
      ['help', (text) => data(helpLines(text === 'added' ? ADDED : HELP))],
      ['load', (text, session, depth) => this.load(text, session, depth)],
      ['showinfo', (text) => this.withNode(text, (node) => this.infoLines(node))],
      ...settings(Object.keys(PARAMETER_COMMANDS)),
      ['fifo', (text) => this.change(() => (this.impair.model.fifo = leadingInt(text) !== 0))],
      ['shutdown', (_, session) => this.end(session, '', true)],
      ['logout', (_, session) => this.end(session, '1-01 Unknown error -1\n', false)],
      ['markov-numnodes', (text) => this.chain(this.impair.model.setNodeCount(leadingInt(text)))],
      ['markov-setnode', (text) => check(this.impair.model.setCurrent(leadingInt(text)))],
      ['markov-name', (text) => this.setName(text)],
      ['markov-time', (text) => this.setTime(text)],
      ['setedge', (text) => this.setEdge(text)],
      ['showedges', (text) => this.withNode(text, (node) => this.edgeLines(node))],
      ['showcurrent', () => data([`Current Markov Node ${this.nodeText(this.impair.model.current)}`])],
      ['markov-debug', (text, session) => this.debug(text, session)],
      ['counters', () => data(this.counterLines())],
    ];
  }

  /** Carries out one line; null when it has ended the session. */
  execute(line: string, session: ConsoleSession, depth = 0): Reply | null {
    const text = line.trimStart();
    const found = this.table.find(([name]) => text.startsWith(name));
    return found === undefined ? failure('ENOSYS') : found[1](text.slice(found[0].length).trim(), session, depth);
  }

  /** What is told of a step of the chain. */
  stepLine(from: number, to: number): string {
    const { model } = this.impair;
    return `${MARKOV_TAG + to} Node ${from} "${model.name(from)}" -> ${to} "${model.name(to)}"`;
  }

  private end(session: ConsoleSession, words: string, all: boolean): null {
    session.end(words);
    if (all) this.options.shutdown();
    return null;
  }

  private change(run: () => void): Reply {
    run();
    return SUCCESS;
  }

  private chain(done: boolean): Reply {
    if (done) this.impair.chainChanged();
    return check(done);
  }

  private set(parameter: Parameter, name: string, text: string): Reply {
    const setting = parseSetting(text);
    if (setting === null) {
      this.options.ignored(`${name} ${text}`);
      return SUCCESS;
    }
    if (!this.impair.model.has(setting.node)) return failure('EINVAL');
    for (const direction of setting.directions)
      this.impair.model.set(setting.node, direction, parameter, setting.value);
    return SUCCESS;
  }

  private setName(text: string): Reply {
    const m = /^(\d+)\s*(?:,(.*))?$/.exec(text);
    if (m === null || !this.impair.model.has(Number(m[1]))) return failure('EINVAL');
    return this.change(() => this.impair.model.setName(Number(m[1]), m[2] ?? ''));
  }

  private setTime(text: string): Reply {
    if (text === '') return SUCCESS;
    const ms = Number.parseFloat(text);
    if (!(ms >= MIN_TIME_MS && ms <= MAX_TIME_MS)) return failure('EINVAL');
    this.impair.model.timeMs = ms;
    return this.chain(true);
  }

  private setEdge(text: string): Reply {
    const m = /^(\d+)\s*,\s*(\d+)\s*,\s*(\d+\.?\d*|\.\d+)$/.exec(text);
    return check(m !== null && this.impair.model.setEdge(Number(m[1]), Number(m[2]), Number(m[3])));
  }

  private debug(text: string, session: ConsoleSession): Reply {
    if (leadingInt(text) > 0) session.follows.add(MARKOV.path);
    else session.follows.delete(MARKOV.path);
    return SUCCESS;
  }

  /** Data about a state: the one named, or the present one. */
  private withNode(text: string, lines: (node: number) => string[]): Reply {
    const { model } = this.impair;
    const node = /^\d+/.test(text) ? leadingInt(text) : model.current;
    return model.has(node) ? data(lines(node)) : { ...failure('EINVAL'), data: [] };
  }

  private nodeText(node: number): string {
    const { model } = this.impair;
    return `${node} "${model.name(node)}" (0,..,${model.nodeCount - 1})`;
  }

  private infoLines(node: number): string[] {
    const { impair, options } = this;
    const { model } = impair;
    const both = (text: (direction: Direction) => string, between: string): string =>
      options.oneWay ? text(LR) : `L->R ${text(LR)}${between}R->L ${text(RL)}`;
    const value = (title: string, parameter: Parameter): string =>
      `${title} ${both((direction) => wireValueText(model.get(node, direction, parameter)), '   ')}`;
    const mtu = both((direction) => general(model.get(node, direction, 'mtu').value), '     ');
    const queued = both((direction) => String(impair.queuedBytes(direction)), '      ');
    const { blink } = options;
    return [
      `WireFilter: ${options.oneWay ? 'mono' : 'bi'}directional`,
      ...(model.nodeCount > 1 ? [`Node ${this.nodeText(node)} Markov-time ${general(model.timeMs)}`] : []),
      value('Loss  ', 'loss'),
      value('Lburst', 'lostburst'),
      value('Delay ', 'delay'),
      value('Dup   ', 'dup'),
      value('Bandw ', 'bandwidth'),
      value('Speed ', 'speed'),
      value('Noise ', 'noise'),
      `MTU    ${mtu}${options.oneWay ? '' : '   '}`,
      value('Cap.  ', 'chanbufsize'),
      `Current Delay Queue size:   ${queued}${options.oneWay ? '' : '   '}`,
      `Fifoness ${model.fifo ? 'TRUE' : 'FALSE'}`,
      `Waiting packets in delay queues ${impair.queuedFrames}`,
      ...(blink === null ? [] : [`Blink socket: ${blink.path}`, `Blink id:     ${blink.id}`]),
    ];
  }

  private edgeLines(from: number): string[] {
    const { model } = this.impair;
    return Array.from({ length: model.nodeCount }, (_, to) => to)
      .filter((to) => model.edge(from, to) !== 0)
      .map((to) => {
        const names = `"${model.name(from)}"->"${model.name(to)}"`;
        const numbers = `${String(from).padEnd(2)}->${String(to).padEnd(2)}`;
        return `Edge ${numbers} ${names} weigth ${general(model.edge(from, to))}`;
      });
  }

  private counterLines(): string[] {
    const { impair, options } = this;
    const row = (name: string, direction: Direction): string => {
      const s = impair.stats(direction);
      return `${name} in ${s.framesIn} out ${s.framesOut} duplicates ${s.duplicates} flipped bits ${s.flippedBits}`;
    };
    const dropped = Object.entries(dropSnapshot(impair.drops)).map(([name, count]) => `${name} ${count}`);
    return [row('L->R', LR), ...(options.oneWay ? [] : [row('R->L', RL)]), ...dropped, `seed ${options.seed}`];
  }

  /** Carries out the lines of a file and shows them with their answers; one that fails does not stop it. */
  private load(path: string, session: ConsoleSession, depth: number): Reply {
    const none: Reply = { ...failure('ENOENT'), data: [] };
    if (depth > 0) return { ...failure('EINVAL'), data: [] };
    const lines = rcLines(path);
    if (lines === null) return none;
    const shown: string[] = [];
    for (const line of lines) {
      shown.push('', `${PROMPT}$  (${path}) ${line}`);
      if (isComment(line)) continue;
      const reply = this.execute(line, session, depth + 1);
      if (reply === null) return data(shown);
      shown.push(...answerText(reply).split('\n').slice(0, -1));
    }
    return data(shown);
  }

  /**
   * Carries out an rc file at start.
   *
   * @param failed  hears of each line that failed, with its answer
   * @returns false when it cannot be read
   */
  runFile(path: string, session: ConsoleSession, failed: (line: string, status: string) => void): boolean {
    const lines = rcLines(path);
    for (const line of lines ?? []) {
      if (isComment(line)) continue;
      const reply = this.execute(line, session, 0);
      if (reply !== null && reply.status !== 'OK') failed(line, answerText({ ...reply, data: null }).trim());
    }
    return lines !== null;
  }
}

const check = (done: boolean): Reply => (done ? SUCCESS : failure('EINVAL'));

const isComment = (line: string): boolean => /^\s*(#|$)/.test(line);

/** What C's atoi makes of a text. */
const leadingInt = (text: string): number => Number.parseInt(text, 10) || 0;

function helpLines(table: readonly (readonly [string, string])[]): string[] {
  const row = (command: string, help: string): string => `${command.padEnd(12)} ${help}`;
  // Commands with arguments have a column of their own width.
  const line = ([command, help]: readonly [string, string]): string =>
    help.startsWith('markov mode:') ? `${command.padEnd(18)} ${help}` : row(command, help);
  return [row('COMMAND', 'HELP'), row('------------', '------------'), ...table.map(line)];
}

/** Lines of a regular file of reasonable size, or null. */
function rcLines(path: string): string[] | null {
  try {
    const found = statSync(path);
    if (!found.isFile() || found.size > MAX_RC_BYTES) return null;
    return readFileSync(path, 'utf8').replace(/\n$/, '').split('\n');
  } catch {
    return null;
  }
}
