import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Impair } from '../../src/link/impair.ts';
import { ImpairModel } from '../../src/link/impair-model.ts';
import { LocalSocket } from '../../src/link/local-socket.ts';
import { Console } from '../../src/mgmt/console.ts';
import { BANNER, MARKOV, PROMPT, WirefilterCommands } from '../../src/mgmt/wirefilter-console.ts';
import { FakeClock } from '../support/fake-clock.ts';

const FIXTURES = new URL('../../fixtures/vde/', import.meta.url);
const PROMPT_TEXT = '\nVDEwf$ ';
const NAMES = ['help-showinfo', 'values', 'markov', 'logout', 'dpipe-showinfo'];

interface Served {
  readonly path: string;
  readonly clock: FakeClock;
  readonly impair: Impair;
  readonly commands: WirefilterCommands;
  readonly ignored: string[];
  shutdowns: number;
}

async function serve(t: ExecutionContext, seed = 1): Promise<Served> {
  const dir = mkdtempSync(join(tmpdir(), 'vdenet-wf-'));
  const clock = new FakeClock();
  const impair: Impair = new Impair({
    model: new ImpairModel(),
    clock,
    seed,
    stepped: (from, to) => console.tell(MARKOV.path, served.commands.stepLine(from, to)),
  });
  const ignored: string[] = [];
  const commands = new WirefilterCommands({
    impair,
    seed,
    oneWay: false,
    blink: null,
    shutdown: () => served.shutdowns++,
    ignored: (line) => ignored.push(line),
  });
  const console = new Console({
    banner: BANNER,
    prompt: PROMPT,
    entries: [],
    events: [MARKOV],
    dialect: (line, session) => commands.execute(line, session),
    shutdown: () => {},
    report: (text) => t.fail(text),
  });
  const path = join(dir, 'm');
  const served: Served = { path, clock, impair, commands, ignored, shutdowns: 0 };
  const socket = await LocalSocket.open({ path });
  await console.listen(socket.fd);
  t.teardown(async () => {
    socket.release();
    await console.close();
    impair.close();
    rmSync(dir, { recursive: true, force: true });
  });
  return served;
}

/** A client that sends lines one by one, and the whole text it heard, with the lines where a terminal would show them. */
class Talk {
  text = '';
  closed = false;
  private readonly socket: ReturnType<typeof connect>;
  private wake: () => void = () => {};

  constructor(path: string) {
    this.socket = connect(path);
    this.socket.on('data', (chunk) => {
      this.text += chunk.toString();
      this.wake();
    });
    this.socket.on('close', () => {
      this.closed = true;
      this.wake();
    });
  }

  send(line: string): void {
    this.text += `${line}\n`;
    this.socket.write(`${line}\n`);
  }

  async until(done: () => boolean): Promise<void> {
    while (!done() && !this.closed)
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
  }

  async prompt(): Promise<void> {
    await this.until(() => this.text.endsWith(PROMPT_TEXT));
  }

  end(): void {
    this.socket.destroy();
  }
}

for (const name of NAMES) {
  test(`the transcript wirefilter-${name}.txt`, async (t) => {
    const served = await serve(t);
    const { impair, clock } = served;
    // The session between plugs of dpipe was started with -l 10.
    if (name === 'dpipe-showinfo') {
      const session = { follows: new Set<string>(), print: () => {}, end: () => {} };
      served.commands.execute('loss 10', session);
    }
    const recorded = readFileSync(new URL(`wirefilter-${name}.txt`, FIXTURES), 'utf8');
    const rc = join(served.path, '../wf.rc');
    writeFileSync(rc, '# wirefilter rc\nloss 5\ndelay 10+5N\n');
    const wanted = recorded.replaceAll('/tmp/wf.rc', rc).replace(/^<<EOF>>/m, '');
    const talk = new Talk(served.path);
    await talk.prompt();
    // Commands are what stands behind prompts of the recording, those inside of `load` excepted.
    const lines = wanted
      .split(PROMPT_TEXT)
      .slice(1)
      .map((part) => part.split('\n')[0]!);
    for (const line of lines) {
      if (line.startsWith(' (') || talk.closed) continue;
      if (line.startsWith('38')) {
        // Steps of the chain came while the recording waited; which ones, chance has decided.
        const state = impair.model;
        for (let i = 0; i < 400 && !/3800 .*\n/.test(talk.text); i++) {
          clock.advance(state.timeMs);
          await new Promise((resolve) => setImmediate(resolve));
        }
        talk.send('markov-debug 0');
      } else if (line !== '' || wanted.includes(`${PROMPT_TEXT}\n`)) talk.send(line);
      else break;
      await talk.prompt();
    }
    if (name === 'logout') await talk.until(() => talk.closed);
    const plain = (text: string): string => text.replace(/38\d\d Node .*\n/g, '');
    const steps = (text: string): string[] => text.match(/38\d\d Node .*$/gm) ?? [];
    const shown = plain(talk.text);
    // A blank line is echoed by the recording's terminal only.
    t.is(shown.startsWith(plain(wanted)) ? plain(wanted) : shown, plain(wanted));
    for (const step of steps(talk.text)) t.regex(step, /^380([012]) Node [012] "\w*" -> \1 "\w*"$/);
    if (name === 'markov') t.true(steps(talk.text).length > 0);
    talk.end();
  });
}

const session = { follows: new Set<string>(), print: (): void => {}, end: (): void => {} };

test('values: units, spreads, directions, states; what is none is ignored and told', async (t) => {
  const { commands, ignored } = await serve(t);
  const info = (line: string, row: RegExp): string | undefined => {
    t.is(commands.execute(line, session)?.status, 'OK');
    return commands.execute('showinfo', session)?.data?.find((each) => row.test(each));
  };
  t.is(info('speed 10K+2', /^Speed/), 'Speed  L->R 10240+2U   R->L 10240+2U', 'the original makes 10+0 of it');
  t.is(info('speed 10+2K', /^Speed/), 'Speed  L->R 10240+2048U   R->L 10240+2048U');
  t.is(info('band 1.5M', /^Bandw/), 'Bandw  L->R 1.57286e+06+0U   R->L 1.57286e+06+0U');
  t.is(info('capacityRL1G', /^Cap/), 'Cap.   L->R 0+0U   R->L 1.07374e+09+0U');
  t.is(info('delay100', /^Delay/), 'Delay  L->R 100+0U   R->L 100+0U');
  t.is(info('delay -3+.5n', /^Delay/), 'Delay  L->R -3+0.5N   R->L -3+0.5N');
  t.is(info('mtu 0.00001', /^MTU/), 'MTU    L->R 1e-05     R->L 1e-05   ');
  t.deepEqual(ignored, []);
  for (const line of ['delay', 'delay LR', 'delay 1 2', 'loss ten', 'loss 1T']) info(line, /^Loss/);
  t.deepEqual(ignored, ['delay ', 'delay LR', 'delay 1 2', 'loss ten', 'loss 1T']);
});

test('edges never lead away more than 100 percent; fewer states drop their edges', async (t) => {
  const { commands, impair } = await serve(t);
  const status = (line: string): string | undefined => commands.execute(line, session)?.status;
  t.is(status('markov-numnodes 3'), 'OK');
  t.is(status('setedge 0,1,70'), 'OK');
  t.is(status('setedge 0,2,40'), 'EINVAL');
  t.is(status('setedge 0,1,20'), 'OK');
  t.is(status('setedge 0,2,40'), 'OK');
  t.deepEqual(commands.execute('showedges 0', session)?.data, [
    'Edge 0 ->0  ""->"" weigth 40',
    'Edge 0 ->1  ""->"" weigth 20',
    'Edge 0 ->2  ""->"" weigth 40',
  ]);
  for (const line of [
    'setedge 0,1',
    'setedge 0,1,-3',
    'setedge 0,1,101',
    'markov-numnodes 0',
    'markov-numnodes 100000',
  ])
    t.is(status(line), 'EINVAL', line);
  t.is(status('markov-setnode 2'), 'OK');
  t.is(status('markov-numnodes 2'), 'OK');
  t.is(impair.model.current, 0);
  t.is(impair.model.edge(0, 0), 80);
});

test('load does not load itself, nor what is no plain file; shutdown ends the program', async (t) => {
  const served = await serve(t);
  const rc = join(served.path, '../loop.rc');
  writeFileSync(rc, `load ${rc}\nnonsense\nloss 3\n`);
  const reply = served.commands.execute(`load ${rc}`, session)!;
  t.is(reply.status, 'OK');
  t.true(reply.data!.includes('1022 Invalid argument'));
  t.true(reply.data!.includes('1038 Function not implemented'));
  t.is(served.impair.model.get(0, 1, 'loss').value, 3);
  t.is(served.commands.execute('load /dev/zero', session)?.status, 'ENOENT');
  const talk = new Talk(served.path);
  await talk.prompt();
  talk.send('shutdown');
  await talk.until(() => talk.closed);
  t.true(talk.text.endsWith('VDEwf$ shutdown\n'), 'no answer');
  t.is(served.shutdowns, 1);
});
