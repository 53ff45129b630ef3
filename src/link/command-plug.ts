// A program as a link: cmd://COMMAND, and the command behind `=` of vde_plug. Frames go to its standard input and come
// from its standard output as a plug stream; its standard error is ours.
//
// The link is over when the program ends its output or itself. When the link is closed the program's input ends; if it
// does not end by that it gets SIGTERM, then SIGKILL. `close` waits for it, so no process is left behind.

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import type { Socket } from 'node:net';
import { VdeError } from '../core/errors.ts';
import type { FrameMemory, FrameSink, Link } from '../core/frame.ts';
import { errnoName } from '../native/errno.ts';
import { native, nativeProblem } from '../native/native.ts';
import type { Paced } from './cable.ts';
import { FrameStream } from './frame-stream.ts';
import { MAX_PLUG_FRAME, PipePlug } from './pipe-plug.ts';
import type { PlugStream } from './plug-stream.ts';

/** From the end of its input to SIGTERM, and from that to SIGKILL; together less than a service may take to end. */
const TERM_MS = 500;
const KILL_MS = 1000;
/** From the end of the stream to the end of the program, for its status. */
const STATUS_MS = 500;

export interface CommandPlugOptions {
  /** The program and its arguments; no shell sees them. */
  readonly argv: readonly string[];
  readonly memory: FrameMemory;
  /** Largest packet sent, bytes. */
  readonly mtu: number;
  /** Whether the program's standard error is ours (the default) or nothing. */
  readonly stderr?: 'inherit' | 'ignore';
}

export class CommandPlug implements Link, Paced {
  readonly name: string;
  readonly mtu: number;
  readonly tx: FrameSink;
  onState: ((up: boolean) => void) | null = null;
  /** Fulfilled when the link is over: what went wrong in one line, or '' when the program has ended in order. */
  readonly ended: Promise<string>;
  private readonly child: ChildProcess;
  private readonly stream: PlugStream;
  private readonly exited: Promise<void>;
  private closing: Promise<void> | null = null;

  /** Starts a program. Rejects with ERR_VDE_SYSTEM when that is not possible. */
  static async start(options: CommandPlugOptions): Promise<CommandPlug> {
    const [program, ...args] = options.argv;
    if (program === undefined || program === '') throw new VdeError('ERR_VDE_BAD_ADDRESS', 'vde: cmd: no command');
    const { child, stream } =
      nativeProblem() === null ? onPipes(options, program, args) : onNode(options, program, args);
    try {
      await new Promise<void>((done, fail) => {
        child.once('spawn', () => done());
        child.once('error', fail);
      });
    } catch (error) {
      void stream.close();
      const { code, message } = error as NodeJS.ErrnoException;
      const why = code === 'ENOENT' ? 'there is no such program' : (code ?? message);
      throw new VdeError('ERR_VDE_SYSTEM', `cannot start ${program}: ${why}`, { cause: error });
    }
    return new CommandPlug(options, child, stream);
  }

  private constructor({ argv, mtu }: CommandPlugOptions, child: ChildProcess, stream: PlugStream) {
    this.name = `cmd:${argv.join(' ')}`;
    this.mtu = mtu;
    this.child = child;
    this.stream = stream;
    this.tx = stream.tx;
    this.exited = new Promise((done) => {
      if (child.exitCode !== null || child.signalCode !== null) done();
      else child.once('exit', () => done());
    });
    child.on('error', () => {}); // of kill: the program has just ended
    const broken = new Promise<string>((done) => {
      stream.onEnd = (why) => {
        if (why === 'out of step') done(`what ${argv[0]} writes is not a stream of frames`);
        else done(why instanceof Error ? `${argv[0]}: ${why.message}` : '');
      };
    });
    this.ended = this.watch(argv[0]!, broken);
  }

  get stats(): Link['stats'] {
    return this.stream.stats;
  }

  get drops(): Link['drops'] {
    return this.stream.drops;
  }

  get congested(): boolean {
    return this.stream.congested;
  }

  get onRoom(): (() => void) | null {
    return this.stream.onRoom;
  }

  set onRoom(room: (() => void) | null) {
    this.stream.onRoom = room;
  }

  hold(on: boolean): void {
    this.stream.hold(on);
  }

  attach(sink: FrameSink): void {
    this.stream.attach(sink);
  }

  close(): Promise<void> {
    this.closing ??= this.end();
    return this.closing;
  }

  /** Waits for the end of the stream or of the program, and then a moment for the other. */
  private async watch(program: string, broken: Promise<string>): Promise<string> {
    let problem = await Promise.race([broken, this.exited]);
    await within(this.exited, STATUS_MS);
    const { exitCode, signalCode } = this.child;
    if (signalCode !== null && this.closing === null) problem ||= `${program} was ended by ${signalCode}`;
    else if (exitCode !== null && exitCode !== 0) problem ||= `${program} ended with status ${exitCode}`;
    void this.stream.close();
    this.onState?.(false);
    return problem || '';
  }

  private async end(): Promise<void> {
    await this.stream.close();
    if (!(await within(this.exited, TERM_MS))) {
      this.child.kill('SIGTERM');
      if (!(await within(this.exited, KILL_MS))) this.child.kill('SIGKILL');
    }
    await this.exited;
  }
}

interface Started {
  readonly child: ChildProcess;
  readonly stream: PlugStream;
}

/** Pipes made by us, of which the program gets the other ends. */
function onPipes(options: CommandPlugOptions, program: string, args: readonly string[]): Started {
  const { memory, mtu } = options;
  const [output, theirInput] = pipePair(true);
  const [input, theirOutput] = pipePair(false);
  try {
    const child = spawn(program, [...args], { stdio: [theirInput, theirOutput, options.stderr ?? 'inherit'] });
    return { child, stream: new PipePlug({ name: `cmd:${program}`, memory, mtu, input, output }) };
  } finally {
    closeSync(theirInput);
    closeSync(theirOutput);
  }
}

/** A pipe's ends, ours first. */
function pipePair(weWrite: boolean): [number, number] {
  const ends = new Int32Array(2);
  const status = native().pipe(ends);
  if (status < 0) throw new VdeError('ERR_VDE_SYSTEM', `cannot make a pipe: ${errnoName(status)}`);
  return weWrite ? [ends[1]!, ends[0]!] : [ends[0]!, ends[1]!];
}

function onNode({ mtu, stderr = 'inherit' }: CommandPlugOptions, program: string, args: readonly string[]): Started {
  const child = spawn(program, [...args], { stdio: ['pipe', 'pipe', stderr] });
  const format = { name: `cmd:${program}`, headerLen: 2, maxRxFrame: MAX_PLUG_FRAME, mtu } as const;
  return { child, stream: new FrameStream(child.stdout as Socket, child.stdin as Socket, format) };
}

async function within(promise: Promise<void>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((done) => {
    timer = setTimeout(done, ms, false);
  });
  const result = await Promise.race([promise.then(() => true), late]);
  clearTimeout(timer);
  return result;
}

/** Splits a command line into words as a shell does: quotes and backslashes, and nothing else. Null: a quote is open. */
export function splitWords(text: string): string[] | null {
  const words: string[] = [];
  let word: string | null = null;
  let quote = '';
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (quote === '' && /\s/.test(c)) {
      if (word !== null) words.push(word);
      word = null;
    } else if (quote === '' && (c === "'" || c === '"')) {
      quote = c;
      word ??= '';
    } else if (c === quote) quote = '';
    else if (c === '\\' && quote !== "'" && i + 1 < text.length) word = (word ?? '') + text[++i]!;
    else word = (word ?? '') + c;
  }
  if (quote !== '') return null;
  if (word !== null) words.push(word);
  return words;
}
