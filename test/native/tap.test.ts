import { fileURLToPath } from 'node:url';
import test from 'ava';
import { cannotRun, run } from './support.ts';

const CHILDREN = fileURLToPath(new URL('children.ts', import.meta.url));
// Root needs no user namespace, which some machines forbid.
const NAMESPACE = process.getuid!() === 0 ? ['--net'] : ['--user', '--map-root-user', '--net'];

test('TAP: opened, written and read in a namespace, with and without vnet header', async (t) => {
  const probe = await run('unshare', [...NAMESPACE, 'ip', 'link']);
  if (probe.code !== 0) {
    cannotRun(t, `no network namespace, or no ip: ${probe.stderr.trim() || 'unshare is missing'}`);
    return;
  }
  const { code, stdout, stderr } = await run('unshare', [
    ...NAMESPACE,
    process.execPath,
    '--import=tsx',
    CHILDREN,
    'tap',
  ]);
  t.deepEqual({ code, stderr }, { code: 0, stderr: '' });
  const seen = JSON.parse(stdout);
  if (seen.open !== 'ok') {
    cannotRun(t, `/dev/net/tun cannot be opened: ${seen.open}`);
    return;
  }
  t.deepEqual(seen, {
    open: 'ok',
    vnet: 'ok',
    listed: true,
    again: 'EBUSY',
    slash: 'EINVAL',
    empty: 'EINVAL',
    cut: 'EINVAL',
    long: 'ENAMETOOLONG',
    whileDown: 'EIO',
    short: 'EINVAL',
    reply: '10.9.9.1',
    replyVnet: '10.9.9.1',
    overlong: true,
    close: [0, 0],
    gone: true,
  });
});
