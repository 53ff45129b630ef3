import { GATEWAY, SERVER } from './lab/lab.ts';
import { until } from './lab/process.ts';
import { Suite } from './lab/suite.ts';

const WITHIN_MS = 6000;
for (const kind of ['debian', 'own'] as const) {
  const suite = new Suite('restart of the switch', kind);

  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    suite.test(`after ${signal} slirpvde joins the new switch`, ['curl'], async (t, lab) => {
      await lab.guest.dhcp();
      const { pid } = lab.router;
      lab.switch.kill(signal);
      await lab.switch.exited;
      await lab.startSwitch();
      const start = performance.now();
      await lab.guest.join();
      await lab.guest.dhcp();
      const answers = async (): Promise<boolean> =>
        (await lab.guest.run(['ping', '-n', '-c', '1', '-W', '1', GATEWAY])).code === 0;
      await until(answers, WITHIN_MS, 'a ping is answered');
      t.is(await lab.guest.must(['curl', '-sS', '--fail', `http://${SERVER}/peer`]), '198.51.100.1\n');
      const ms = performance.now() - start;
      t.true(ms < WITHIN_MS, `${ms.toFixed(0)} ms`);
      t.true(lab.router.running);
      t.is(lab.router.pid, pid);
    });
  }

  suite.end();
}
