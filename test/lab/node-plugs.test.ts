import test from 'ava';
import { VdeError } from '../../src/core/errors.ts';
import { parseNode } from '../../src/lab/node-plugs.ts';
import { PeerGroup, type Spread } from '../../src/lab/peer-group.ts';
import { memoryPair } from '../../src/link/index.ts';
import { numbered, Recorder } from '../link/support.ts';

test('addresses of nodes: path, modes, sizes; without a path a directory of the user', (t) => {
  const defaults = { hashSize: 256, ageSec: 120 };
  t.deepEqual(parseNode('hub', '/tmp/x'), { path: '/tmp/x', ...defaults });
  t.deepEqual(parseNode('switch', '/tmp/x[mode=0777/dirmode=2750/hashsize=512/expiretime=30/hashseed=7]'), {
    path: '/tmp/x',
    mode: 0o666,
    dirMode: 0o2750,
    hashSize: 512,
    ageSec: 30,
  });
  t.deepEqual(parseNode('multi', '/tmp/x[grp=0]'), { path: '/tmp/x', gid: 0, ...defaults });
  t.regex(parseNode('bonding', '').path, /^\/tmp\/vdenode_\w/);
  t.is(parseNode('bonding', '[mode=600]').mode, 0o600);
});

for (const argument of ['/x[hashsize=3]', '/x[mode=9]', '/x[mode]', '/x[port=3]', '/x[mode=600]y'])
  test(`addresses of nodes: hub://${argument} is refused`, (t) => {
    t.throws(() => parseNode('hub', argument), { instanceOf: VdeError, code: 'ERR_VDE_BAD_ADDRESS' });
  });

function group(spread: Spread, count: number) {
  const link = new PeerGroup('test', spread, 1500);
  const own = new Recorder();
  link.attach(own);
  const peers = Array.from({ length: count }, () => {
    const [near, far] = memoryPair('peer', { delivery: 'direct' });
    const heard = new Recorder();
    far.attach(heard);
    link.add(near);
    return { far, heard, near };
  });
  const say = (
    to: { tx: { frame(b: Uint8Array, o: number, n: number): void; flush(): void } },
    ...ns: number[]
  ): void => {
    for (const n of ns) to.tx.frame(numbered(n), 0, 60);
    to.tx.flush();
  };
  return { link, own, peers, say };
}

test('hub: a frame goes to everybody but whom it came from', (t) => {
  const { link, own, peers, say } = group('hub', 3);
  say(link, 1);
  say(peers[0]!.far, 2, 3);
  t.deepEqual(own.numbers, [2, 3]);
  t.deepEqual(
    peers.map(({ heard }) => heard.numbers),
    [[1], [1, 2, 3], [1, 2, 3]],
  );
});

test('multi: ours go to all peers, theirs to us only', (t) => {
  const { link, own, peers, say } = group('multi', 2);
  say(link, 1);
  say(peers[1]!.far, 2);
  t.deepEqual(own.numbers, [2]);
  t.deepEqual(
    peers.map(({ heard }) => heard.numbers),
    [[1], [1]],
  );
});

test('bonding: ours go to one peer after the other, also when one has gone', async (t) => {
  const { link, own, peers, say } = group('bonding', 3);
  say(link, 1, 2, 3);
  say(peers[2]!.far, 9);
  await peers[1]!.far.close();
  say(link, 4, 5);
  t.deepEqual(own.numbers, [9]);
  t.deepEqual(
    peers.map(({ heard }) => heard.numbers.length),
    [2, 1, 2],
  );
  await peers[0]!.far.close();
  await peers[2]!.far.close();
  say(link, 6);
  t.is(
    link.drops.reduce((sum, n) => sum + n),
    1,
  );
  await link.close();
});
