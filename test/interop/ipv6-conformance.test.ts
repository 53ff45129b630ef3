// thc-ipv6's implementation6 against the router: which of its cases get an answer. Each answer that is not what a host
// would give is explained in docs/reference/conformance-ipv6.md, whose table this test reads.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT } from './lab/namespace.ts';
import { until } from './lab/process.ts';
import { Suite } from './lab/suite.ts';

const ROUTER = '2001:db8:2::1';

/** Answers of the document, by number of the case. */
function expected(): Map<number, string> {
  const text = readFileSync(join(PROJECT, 'docs/reference/conformance-ipv6.md'), 'utf8');
  const rows = [...text.matchAll(/^\| (\d+) \| [^|]+ \| (\S[^|]*?) \|/gm)];
  return new Map(rows.map(([, number, verdict]) => [Number(number), verdict!]));
}

const suite = new Suite('implementation6', 'embedded', { router: [`-H${ROUTER}/64`, '-r'] });

suite.test('every case as the document says', ['atk6-implementation6'], async (t, lab) => {
  const { guest } = lab;
  const ready = async (): Promise<boolean> =>
    (await guest.run(['ping', '-6', '-c', '1', '-W', '1', ROUTER])).code === 0;
  await until(ready, 15_000, 'the router answers a ping');
  const said = await guest.must(['atk6-implementation6', 'tap0', ROUTER], { timeoutMs: 240_000 });
  const found = new Map<number, string>();
  for (const [, number, rest] of said.matchAll(/^Test +(\d+): (.*)$/gm)) {
    const error = /\[(\d+:\d+)\]/.exec(rest!)?.[1];
    found.set(Number(number), rest!.includes('PASSED') ? 'reply' : (error ?? 'nothing'));
  }
  t.log(said);
  t.deepEqual([...found].sort(), [...expected()].sort());
});

suite.end();
