// The command vdenet: its own verb is `run`; the other verbs are commands of this package, which bin/launch.cjs starts.

import { readCommandLine } from './command-line.ts';
import { nearest } from './nearest.ts';
import type { StartSlirpvde } from './slirpvde-service.ts';
import { UsageError } from './usage-error.ts';
import { VDENET } from './vdenet-options.ts';
import { run } from './vdenet-run.ts';

/** @param words  command line without node and script */
export async function main(words: readonly string[], start: StartSlirpvde): Promise<void> {
  if (words[0] === 'run') return await run(words.slice(1), start);
  await readCommandLine(VDENET, words, ({ positionals }) => {
    throw unknownVerb(positionals[0]);
  });
}

function unknownVerb(verb: string | undefined): UsageError {
  if (verb === undefined) return new UsageError('which verb?');
  const verbs = VDENET.verbs!.flatMap((group) => group.verbs.map((each) => each.verb));
  const meant = nearest(verb, verbs) ?? verbs.find((each) => each === `vde_${verb}`);
  return new UsageError(`there is no verb '${verb}'`, meant === undefined ? '' : `did you mean vdenet ${meant}?`);
}
