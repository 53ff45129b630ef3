// What scanners and attackers send: frames that are no frames, scans, packets that no kernel makes.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { SEED_VARIABLE, seedOfRun } from '../fuzz/support/random.ts';
import { flood } from './lab/flood.ts';
import { DNS, GATEWAY, type Lab, SERVER } from './lab/lab.ts';
import { PROJECT } from './lab/namespace.ts';
import { patternDigest } from './lab/pattern.ts';
import { until } from './lab/process.ts';
import { Suite, SWITCHES } from './lab/suite.ts';

const FRAMES = 100_000;
const RSS_LIMIT_KB = 220_000;
const SILENT = '198.51.100.77';
const PROHIBITED = '198.51.100.78';

const residentKb = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]);
const descriptors = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

/** A lease, a name, a download: what must go on whatever others do. */
async function works(t: ExecutionContext, lab: Lab): Promise<void> {
  await lab.guest.dhcp();
  t.is((await lab.guest.must(['dig', `@${DNS}`, '+short', '+tries=2', '+time=3', 'gateway'])).trim(), GATEWAY);
  const { stdout } = await lab.guest.shell(`curl -sS --fail --max-time 20 http://${SERVER}/bytes/1000000 | sha256sum`);
  t.is(stdout.split(' ')[0], patternDigest(1_000_000));
}

/** `port/state` of the greppable output of nmap. */
const states = (text: string): string[] =>
  [...text.matchAll(/(\d+)\/([a-z|]+)\/(?:tcp|udp)/g)].map(([, port, state]) => `${port} ${state}`);

for (const kind of SWITCHES) {
  const suite = new Suite('hostile', kind);

  suite.test(
    '100,000 mutated frames: it lives, its memory is bounded, all goes on',
    ['curl', 'dig'],
    async (t, lab) => {
      const { pid } = lab.router;
      const seed = seedOfRun();
      try {
        await flood(lab.ctl, FRAMES, seed);
      } catch (error) {
        t.fail(`${SEED_VARIABLE}=${seed}: ${error}`);
      }
      t.true(lab.router.running, `${SEED_VARIABLE}=${seed}`);
      t.notRegex(lab.router.stderr, /defect/, `${SEED_VARIABLE}=${seed}`);
      t.true(residentKb(pid) < RSS_LIMIT_KB, `${residentKb(pid)} KiB`);
      await works(t, lab);
      t.is(lab.router.pid, pid);
    },
  );

  if (kind === 'embedded') {
    for (const [how, flag] of [
      ['SYN', '-sS'],
      ['connect', '-sT'],
    ] as const) {
      suite.test(
        `nmap ${how} scan: open, closed, prohibited and silent ports are told apart`,
        ['nmap'],
        async (t, lab) => {
          await lab.guest.dhcp();
          await lab.world.must(['ip', 'neigh', 'replace', SILENT, 'lladdr', '02:00:00:00:00:77', 'dev', 'w0']);
          await lab.world.must(['ip', 'route', 'replace', 'prohibit', `${PROHIBITED}/32`]);
          const scan = async (...words: string[]): Promise<string[]> => {
            const nmap = [
              'nmap',
              '-n',
              '-Pn',
              '--max-retries',
              '1',
              '--host-timeout',
              '20s',
              '-oG',
              '-',
              flag,
              ...words,
            ];
            return states(await lab.guest.must(nmap, { timeoutMs: 40_000 }));
          };
          t.deepEqual(await scan('-p', '9,80', SERVER), ['9 closed', '80 open']);
          t.deepEqual(await scan('-p', '80', PROHIBITED), ['80 filtered']);
          t.deepEqual(await scan('-p', '80', SILENT), ['80 filtered']);
        },
      );
    }

    suite.test('nmap UDP scan: open, closed and silent ports are told apart', ['nmap'], async (t, lab) => {
      const nmap = ['nmap', '-n', '-Pn', '--max-retries', '1', '-oG', '-', '-sU', '--data-length', '8'];
      const scan = async (...words: string[]) =>
        states(await lab.guest.must([...nmap, ...words], { timeoutMs: 40_000 }));
      t.deepEqual(await scan('-p', '9,7003', SERVER), ['9 closed', '7003 open']);
      t.deepEqual(await scan('-p', '9', SILENT), ['9 open|filtered']);
    });

    suite.test('nmap -O: sequence numbers are hard to foresee', ['nmap'], async (t, lab) => {
      await lab.guest.dhcp();
      // It needs an open and a closed port, and six connections a tenth of a second apart.
      const nmap = ['nmap', '-n', '-Pn', '-O', '-v', '--max-os-tries', '1', '-p', '9,80', SERVER];
      const found: number[] = [];
      for (let tries = 0; tries < 3 && !found.some((n) => n >= 200); tries++) {
        const text = await lab.guest.must(nmap, { timeoutMs: 60_000 });
        found.push(Number(/Sequence Prediction: Difficulty=(\d+)/.exec(text)?.[1] ?? -1));
      }
      t.true(
        found.some((n) => n >= 200),
        found.join(),
      );
    });

    suite.test(
      'nmap over 3,000 ports: descriptors are bounded and given back',
      ['nmap', 'curl', 'dig'],
      async (t, lab) => {
        const { pid } = lab.router;
        const before = descriptors(pid);
        const nmap = [
          'nmap',
          '-n',
          '-Pn',
          '-sS',
          '-T5',
          '--min-rate',
          '2000',
          '--max-retries',
          '1',
          ...['--initial-rtt-timeout', '3s', '--max-rtt-timeout', '5s'], // a busy machine is no silent port
          '-oG',
          '-',
          '-p',
          '1-3000',
        ];
        const seen = states(await lab.guest.must([...nmap, SERVER], { timeoutMs: 60_000 }));
        t.deepEqual(
          seen.filter((each) => each.endsWith('open')),
          ['80 open'],
        );
        await works(t, lab);
        await until(
          () => descriptors(pid) <= before + 8,
          15_000,
          () => `${descriptors(pid)} descriptors, ${before} before`,
        );
      },
    );

    const experiments: Readonly<Record<string, unknown>> = {
      'fragments in order': true,
      'last fragment first': true,
      'overlapping fragments': false,
      'a whole TCP header in the first fragment': ['SA'],
      'a TCP header torn by fragments': [],
      'bad UDP checksum': false,
      'bad TCP checksum': [],
      'bad IP checksum': false,
      'no UDP checksum': true,
      'options without meaning': true,
      'record route': true,
      'source route': false,
      SCTP: [[3, 2, GATEWAY]],
      'RST off by one': ['A', true],
      'RST beyond the window': ['', true],
      'SYN on an open connection': ['A', true],
      'RST at the exact sequence': 'R',
    };
    const results = new WeakMap<Lab, Promise<string>>();
    for (const [name, want] of Object.entries(experiments)) {
      suite.test(`scapy: ${name}: ${JSON.stringify(want)}`, ['scapy'], async (t, lab) => {
        const script = ['/usr/bin/python3', join(PROJECT, 'test/interop/lab/packets.py'), SERVER];
        if (!results.has(lab)) results.set(lab, lab.guest.must(script, { timeoutMs: 90_000 }));
        const got = JSON.parse((await results.get(lab)!).trim().split('\n').at(-1)!) as Record<string, unknown>;
        t.deepEqual(got[name], want);
      });
    }
  }

  suite.end();
}
