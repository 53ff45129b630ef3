import { fileURLToPath } from 'node:url';
import test from 'ava';
import { cannotRun, run } from '../native/support.ts';

const CHILD = fileURLToPath(new URL('tap-child.ts', import.meta.url));
const ROOT = process.getuid!() === 0;
// Root needs no user namespace, which some machines forbid.
const NAMESPACE = ROOT ? ['--net'] : ['--user', '--map-root-user', '--net'];
const INVALID = 'an interface of another kind has that name, or it is no name for an interface';
const refused = (name: string): string => `ERR_VDE_TAP tap: cannot open the TAP interface "${name}": `;
const NODE = [process.execPath, '--import=tsx', CHILD];

test('TAP links in a namespace: batches, long frames, bounds, refusals, and the end of an interface', async (t) => {
  const probe = await run('unshare', [...NAMESPACE, 'ip', 'tuntap', 'add', 'dev', 'probe0', 'mode', 'tap']);
  if (probe.code !== 0) {
    cannotRun(t, `no network namespace, no ip, or no TAP: ${probe.stderr.trim() || 'unshare is missing'}`);
    return;
  }
  const { code, stdout, stderr } = await run('unshare', [...NAMESPACE, ...NODE]);
  t.deepEqual({ code, stderr }, { code: 0, stderr: '' });
  t.deepEqual(JSON.parse(stdout), {
    whileDown: 1,
    inOrder: true,
    batched: true,
    longFrame: 9230,
    stream: true,
    stats: { rxFrames: 1, rxBytes: 9230, txFrames: 330, txBytes: 12_000 + 130 * 1054 },
    tooLong: 1,
    tooShort: 1,
    busy: `${refused('vdetap0')}EBUSY; another program uses it`,
    states: [false],
    lateFrames: 1,
    idle: true,
    left: false,
    badNames: [
      `${refused('')}EINVAL; ${INVALID}`,
      `${refused('a/b')}EINVAL; ${INVALID}`,
      `${refused('tap%d')}EINVAL; ${INVALID}`,
      `${refused('a234567890123456')}ENAMETOOLONG; names of interfaces have at most 15 bytes`,
      `${refused('lo')}EINVAL; ${INVALID}`,
    ],
  });
});

test('TAP: a user without the right is told what would help', async (t) => {
  const words = ROOT ? ['--reuid=65534', '--regid=65534', '--clear-groups', '--inh-caps=-all', '--', ...NODE] : NODE;
  const [program, ...args] = ROOT ? ['setpriv', ...words] : words;
  const { code, stdout } = await run(program!, [...args, 'refused'], { ...process.env, TSX_DISABLE_CACHE: '1' });
  if (code !== 0 || !/E(PERM|ACCES)/.test(stdout)) {
    cannotRun(t, `no EPERM here: ${stdout.trim()}`);
    return;
  }
  t.regex(
    stdout,
    /^ERR_VDE_TAP tap: cannot open the TAP interface "vdetap0": (EPERM; .*ip tuntap add vdetap0 mode tap user USER|EACCES; this user may not open)/,
  );
});
