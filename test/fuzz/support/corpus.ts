// Inputs that once failed, one file each: lines of text, `#` begins a comment.
//
//   variant 1          which router (router-run.ts); first line
//   frame 52550a00...  a guest's frame
//   host 4711          an event of the host
//   ms 1000            time that passes

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { hex } from '../../support/hex.ts';
import { RouterRun, type Step } from './router-run.ts';

const DIRECTORY = fileURLToPath(new URL('../corpus/', import.meta.url));
/** How long a failing input may be worked on to make it shorter, ms. */
const SHORTEN_MS = 15_000;

export interface Script {
  readonly variant: number;
  readonly steps: readonly Step[];
}

/** Names of the kept inputs, and what they say. */
export function kept(): [string, Script][] {
  const names = readdirSync(DIRECTORY).filter((name) => name.endsWith('.steps'));
  return names.map((name) => [name, parse(readFileSync(`${DIRECTORY}${name}`, 'utf8'))]);
}

export function parse(text: string): Script {
  let variant = 0;
  const steps: Step[] = [];
  for (const line of text.split('\n')) {
    const [word, value = ''] = line.replace(/#.*/, '').trim().split(' ');
    if (word === 'variant') variant = Number(value);
    else if (word === 'frame') steps.push(hex(value));
    else if (word === 'host') steps.push({ host: Number(value) });
    else if (word === 'ms') steps.push({ ms: Number(value) });
    else if (word !== '') throw new Error(`corpus: no such line: ${line}`);
  }
  return { variant, steps };
}

const format = ({ variant, steps }: Script, why: string): string => {
  const comment = why.split('\n').map((line) => `# ${line}\n`);
  const line = (step: Step): string => {
    if (step instanceof Uint8Array) return `frame ${Buffer.from(step).toString('hex')}\n`;
    return 'host' in step ? `host ${step.host}\n` : `ms ${step.ms}\n`;
  };
  return [...comment, `variant ${variant}\n`, ...steps.map(line)].join('');
};

/** What goes wrong when the steps are played and all is left to end; null when nothing does. */
export async function failure({ variant, steps }: Script): Promise<string | null> {
  try {
    const run = await RouterRun.open(variant);
    steps.forEach((step, i) => {
      run.play(step);
      if (i % 256 === 255) run.bounded();
    });
    run.bounded();
    run.finish();
    return null;
  } catch (error) {
    return (error as Error).stack ?? String(error);
  }
}

/** Writes a failing input, as short as it gets within some seconds, and gives the path of the file. */
export async function keep(script: Script, name: string, why: string): Promise<string> {
  let { steps } = script;
  const until = Date.now() + SHORTEN_MS;
  for (let size = steps.length >> 1; size > 0; size >>= 1) {
    for (let at = 0; at < steps.length && Date.now() < until; ) {
      const rest = [...steps.slice(0, at), ...steps.slice(at + size)];
      if ((await failure({ ...script, steps: rest })) === null) at += size;
      else steps = rest;
    }
  }
  mkdirSync(DIRECTORY, { recursive: true });
  const path = `${DIRECTORY}${name}.steps`;
  writeFileSync(path, format({ ...script, steps }, why));
  return path;
}
