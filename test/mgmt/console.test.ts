import { chmodSync, existsSync, lstatSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { LocalSocket } from '../../src/link/local-socket.ts';
import { Console, type ConsoleEntry, MAX_CLIENTS, MAX_LINE, MAX_QUEUED } from '../../src/mgmt/console.ts';
import { data, failure, SUCCESS } from '../../src/mgmt/replies.ts';
import { native } from '../../src/native/native.ts';

const PROMPT = '\ntest$ ';
const EVENT = { path: 'clock/tick', tag: 0o61, help: 'a tick' };

/** A client that reads up to what it waits for. */
class Client {
  readonly socket: Socket;
  text = '';
  closed = false;
  private wake: () => void = () => {};

  constructor(path: string) {
    this.socket = connect(path);
    this.socket.on('error', () => {});
    this.socket.on('data', (chunk) => {
      this.text += chunk.toString();
      this.wake();
    });
    this.socket.on('close', () => {
      this.closed = true;
      this.wake();
    });
  }

  /** What comes up to `end`, which is taken out of the text. */
  async until(end: string): Promise<string> {
    for (;;) {
      const at = this.text.indexOf(end);
      if (at >= 0) {
        const found = this.text.slice(0, at);
        this.text = this.text.slice(at + end.length);
        return found;
      }
      if (this.closed) throw new Error(`closed before ${JSON.stringify(end)}: ${this.text}`);
      await new Promise<void>((done) => {
        this.wake = done;
      });
    }
  }

  async end(): Promise<string> {
    while (!this.closed)
      await new Promise<void>((done) => {
        this.wake = done;
      });
    return this.text;
  }

  ask(line: string): Promise<string> {
    this.socket.write(`${line}\n`);
    return this.until(PROMPT);
  }
}

interface Served {
  path: string;
  console: Console;
  shutdowns: number;
  reports: string[];
  open(): Promise<Client>;
}

async function serve(t: ExecutionContext, entries: readonly ConsoleEntry[] = [], lineEndMs = 60_000): Promise<Served> {
  const path = join(mkdtempSync(join(tmpdir(), 'vdenet-mgmt-')), 'm');
  const socket = await LocalSocket.open({ path });
  const served: Served = {
    path,
    shutdowns: 0,
    reports: [],
    console: new Console({
      banner: ['test V.1', 'a console'],
      prompt: 'test',
      entries,
      events: [EVENT],
      lineEndMs,
      shutdown: () => served.shutdowns++,
      report: (text) => served.reports.push(text),
    }),
    open: async () => {
      const client = new Client(path);
      t.is(await client.until(PROMPT), 'test V.1\na console\n');
      return client;
    },
  };
  await served.console.listen(socket.fd);
  t.teardown(async () => {
    socket.release();
    await served.console.close();
  });
  return served;
}

const ECHO: ConsoleEntry = { path: 'x/echo', help: 'echo', run: (words, text) => data([words.join('|'), text]) };

test('statuses and data blocks have the classic form (fixtures mgmt-errors, mgmt-showinfo)', async (t) => {
  const { open, reports } = await serve(t, [
    { path: 'x', help: 'X MENU' },
    { path: 'x/ok', help: 'fine', run: () => SUCCESS },
    { path: 'x/bad', help: 'bad', run: () => ({ ...failure('ENXIO'), data: [] }) },
    { path: 'x/why', help: 'why', run: () => failure('EINVAL', 'not today') },
    { path: 'x/dots', help: 'dots', run: () => data(['.', '..', 'a\x1b[2Jb\nc']) },
    { path: 'x/bug', help: 'bug', run: () => Promise.reject(new TypeError('oops')) },
    ECHO,
  ]);
  const c = await open();
  t.is(await c.ask('x/ok'), '1000 Success\n');
  t.is(await c.ask('x/bad'), "0000 DATA END WITH '.'\n.\n1006 No such device or address\n");
  t.is(await c.ask('x/why'), '1022 Invalid argument: not today\n');
  t.is(await c.ask('x/dots'), "0000 DATA END WITH '.'\n .\n..\na\\x1b[2Jb\\x0ac\n.\n1000 Success\n");
  t.is(await c.ask('x/bug'), '1022 Invalid argument: oops\n');
  t.deepEqual(reports, ['console: x/bug: oops']);
  t.is(await c.ask('  x/echo  a   b '), "0000 DATA END WITH '.'\na|b\na   b\n.\n1000 Success\n");
  t.is(await c.ask('x/echo a\r'), "0000 DATA END WITH '.'\na\na\n.\n1000 Success\n");
  for (const line of ['nosuchcommand', 'x', 'x/okay', 'X/OK', 'debug'])
    t.is(await c.ask(line), '1038 Function not implemented\n');
  for (const line of ['', '   ', '#comment', '\r']) t.is(await c.ask(line), '');
});

test('help is made from the table, and limited by a prefix', async (t) => {
  const { open } = await serve(t, [
    { path: 'x', help: 'X MENU' },
    { path: 'x/ok', syntax: 'N [M]', help: 'fine', run: () => SUCCESS },
  ]);
  const c = await open();
  t.is(
    await c.ask('help x'),
    "0000 DATA END WITH '.'\n" +
      'COMMAND PATH       SYNTAX          HELP\n' +
      '------------       --------------  ------------\n' +
      'x                  ============    X MENU\n' +
      'x/ok               N [M]           fine\n.\n1000 Success\n',
  );
  const all = await c.ask('help');
  for (const word of ['help ', 'logout ', 'shutdown ', 'x/ok ', 'debug/add ']) t.true(all.includes(`\n${word}`), word);
});

test('lines come in pieces or many at once, and are carried out one after the other', async (t) => {
  const { open } = await serve(t, [
    { path: 'slow', help: 'slow', run: () => new Promise((done) => setImmediate(() => done(data(['slow'])))) },
    ECHO,
  ]);
  const c = await open();
  c.socket.write('slow\nx/echo 1\n\nslow\nx/ec');
  t.regex(await c.until(PROMPT), /\nslow\n/);
  t.regex(await c.until(PROMPT), /\n1\n/);
  t.is(await c.until(PROMPT), '');
  t.regex(await c.until(PROMPT), /\nslow\n/);
  c.socket.write('ho 2\n');
  t.regex(await c.until(PROMPT), /\n2\n/);
});

test('what is followed by silence is a line (vdeterm ends none)', async (t) => {
  const { open } = await serve(t, [ECHO], 1);
  const c = await open();
  for (const word of ['one', 'two']) {
    c.socket.write(`x/echo ${word}`);
    t.is(await c.until(PROMPT), `0000 DATA END WITH '.'\n${word}\n${word}\n.\n1000 Success\n`);
  }
});

test('a line that is too long is skipped and answered by an error, whatever its pieces', async (t) => {
  const { open } = await serve(t, [ECHO]);
  const c = await open();
  const fits = `x/echo ${'y'.repeat(MAX_LINE - 7)}`;
  t.regex(await c.ask(fits), /1000 Success/);
  t.is(await c.ask(`${fits}y`), '1090 Message too long\n');
  for (let i = 0; i < 40; i++) c.socket.write('z'.repeat(100_000));
  t.is(await c.until(PROMPT), '1090 Message too long\n');
  c.socket.write('tail\nx/echo on\n');
  t.regex(await c.until(PROMPT), /\non\n/);
});

test('what comes right before the end of a client is a line (vdeterm says shutdown and is gone)', async (t) => {
  const served = await serve(t);
  const client = await served.open();
  client.socket.end('shutdown');
  await client.end();
  t.is(served.shutdowns, 1);
});

test('logout ends the session, shutdown the program', async (t) => {
  const served = await serve(t);
  const c = await served.open();
  c.socket.write('logout\nhelp\n');
  t.is(await c.end(), '9999 END OF SESSION');
  t.is(served.shutdowns, 0);
  const d = await served.open();
  d.socket.write('shutdown\n');
  t.is(await d.end(), '9999 END OF SESSION');
  t.is(served.shutdowns, 1);
});

test('events go to those who follow their category, in the 3TTT form', async (t) => {
  const served = await serve(t);
  const c = await served.open();
  const other = await served.open();
  const list = (status: string): string =>
    "0000 DATA END WITH '.'\nCATEGORY               TAG STATUS HELP\n------------           --- ------ ----\n" +
    `clock/tick             061 ${status.padEnd(6)} a tick\n.\n1000 Success\n`;
  t.is(await c.ask('debug/list'), list('OFF'));
  t.is(await c.ask('debug/add clock'), '1000 Success\n');
  t.is(await c.ask('debug/add clock'), '1017 File exists\n');
  t.is(await c.ask('debug/list clock/'), list('ON'));
  served.console.event(EVENT, 'one\ntwo');
  t.is(await c.until('\n'), '3061 clock/tick one\\x0atwo');
  t.is(await c.ask('debug/del'), '1000 Success\n');
  t.is(await c.ask('debug/del'), '1002 No such file or directory\n');
  t.is(await c.ask('debug/add none'), '1022 Invalid argument\n');
  t.regex(await c.ask('debug/list none'), /\n\.\n1002 No such file or directory\n$/);
  t.is(await other.ask('nosuch'), '1038 Function not implemented\n');
});

test('there are MAX_CLIENTS clients, and a place that is given up is free again', async (t) => {
  const served = await serve(t);
  const clients: Client[] = [];
  for (let i = 0; i < MAX_CLIENTS; i++) clients.push(await served.open());
  t.is(await new Client(served.path).end(), `test: no more than ${MAX_CLIENTS} management clients\n`);
  clients[3]!.socket.write('logout\n');
  await clients[3]!.end();
  await served.open();
});

test('a client that does not read is cut off; the others are served', async (t) => {
  const served = await serve(t, [{ path: 'big', help: 'big', run: () => data(['x'.repeat(200_000)]) }]);
  const deaf = await served.open();
  deaf.socket.pause();
  const other = await served.open();
  deaf.socket.write('big\n'.repeat((4 * MAX_QUEUED) / 200_000));
  while (served.console.clients > 1) t.is(await other.ask('nosuch'), '1038 Function not implemented\n');
  t.pass();
});

// ---- the socket

const place = (): string => join(mkdtempSync(join(tmpdir(), 'vdenet-mgmt-')), 'm');

test('the socket has its mode at once, and goes with its lock', async (t) => {
  const path = place();
  for (const mode of [undefined, 0o660]) {
    const socket = await LocalSocket.open({ path, ...(mode === undefined ? {} : { mode }) });
    t.is(statSync(path).mode & 0o777, mode ?? 0o600);
    await t.throwsAsync(LocalSocket.open({ path }), { code: 'ERR_VDE_MANAGEMENT_SOCKET', message: /another process/ });
    socket.release();
    socket.release();
    t.false(existsSync(path) || existsSync(`${path}.lock`));
  }
});

test('a socket that refuses connections is taken over, one that answers is not', async (t) => {
  const path = place();
  const stale = await LocalSocket.open({ path });
  rmSync(`${path}.lock`); // as if its process had been killed
  native().close(stale.fd);
  const taken = await LocalSocket.open({ path });
  stale.release();
  t.true(lstatSync(path).isSocket(), 'the new one stays when the old one is released');
  taken.release();
  const server = createServer().listen(path);
  await new Promise((done) => server.once('listening', done));
  await t.throwsAsync(LocalSocket.open({ path }), { code: 'ERR_VDE_MANAGEMENT_SOCKET' });
  t.true(lstatSync(path).isSocket());
  t.false(existsSync(`${path}.lock`));
  await new Promise((done) => server.close(done));
});

test('what is not a socket is left alone', async (t) => {
  const path = place();
  writeFileSync(path, 'mine');
  await t.throwsAsync(LocalSocket.open({ path }), { code: 'ERR_VDE_MANAGEMENT_SOCKET', message: /is not a socket/ });
  t.is(statSync(path).size, 4);
});

test('paths that cannot be are refused', async (t) => {
  await t.throwsAsync(LocalSocket.open({ path: `/tmp/${'x'.repeat(110)}` }), { code: 'ERR_VDE_PATH_TOO_LONG' });
  await t.throwsAsync(LocalSocket.open({ path: join(place(), 'below') }), { code: 'ERR_VDE_SYSTEM' });
  if (process.geteuid!() === 0) return;
  const dir = mkdtempSync(join(tmpdir(), 'vdenet-mgmt-'));
  chmodSync(dir, 0o500);
  await t.throwsAsync(LocalSocket.open({ path: join(dir, 'm') }), { code: 'ERR_VDE_SYSTEM' });
});
