import test from 'ava';
import {
  createRandom,
  FrameMemory,
  type FrameSink,
  frameSummary,
  MemoryLeaseStore,
  memoryPair,
  parseIpv4,
  parseIpv4Network,
  parseMac,
  Router,
  Switch,
  TimerWheel,
} from '../src/index.ts';
import { FakeClock } from './support/fake-clock.ts';
import { FakeHostNet } from './support/fake-host-net.ts';
import { arpFrame, echoFrame } from './support/guest-frames.ts';

test('a switch, a router and a guest in one process, with nothing but the library', (t) => {
  const wheel = new TimerWheel(new FakeClock());
  const sw = new Switch({ wheel });
  const [routerEnd, uplink] = memoryPair('router', { delivery: 'direct' });
  const [guest, downlink] = memoryPair('guest', { delivery: 'manual' });
  sw.plug(uplink);
  sw.plug(downlink);
  const network = parseIpv4Network('10.0.2.2/24', 24);
  new Router({
    link: routerEnd,
    memory: new FrameMemory(),
    wheel,
    host: new FakeHostNet(),
    random: createRandom(),
    defer: setImmediate,
    mac: parseMac('52:55:0a:00:02:02')!,
    networks: [network],
    aliases: [],
    hostLoopback: false,
    dns: null,
    dhcp: { network, dns: [], poolStart: parseIpv4('10.0.2.15'), store: new MemoryLeaseStore() },
    maxFlows: 10,
    log: () => {},
  });
  const seen: string[] = [];
  const sink: FrameSink = { frame: (b, off, len) => seen.push(frameSummary(b, off, len)), flush: () => {} };
  guest.attach(sink);
  for (const f of [arpFrame({ spa: '10.0.2.15', tpa: '10.0.2.2' }), echoFrame({ id: 1, seq: 1 })]) {
    guest.tx.frame(f, 0, f.length);
    guest.tx.flush();
    downlink.pump();
    guest.pump();
  }
  t.is(seen.length, 2, seen.join('\n'));
  t.regex(seen[0]!, /ARP/);
  t.regex(seen[1]!, /echo reply/);
});
