import { mkdtempSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { ConsoleClient, commandsOfHelp, completions, MAX_ANSWER } from '../../src/mgmt/console-client.ts';
import { ConsoleParser, MAX_LINE } from '../../src/mgmt/console-parser.ts';

/** What the parser tells of a text, one word and the line each; the text comes in the pieces given. */
function parse(pieces: readonly (string | Uint8Array)[], end = false): string[] {
  const told: string[] = [];
  const parser = new ConsoleParser({
    text: (line) => told.push(`text ${line}`),
    data: (line) => told.push(`data ${line}`),
    status: (code, text) => told.push(`status ${code} ${text}`),
    event: (line) => told.push(`event ${line}`),
    prompt: (name) => told.push(`prompt ${name}`),
    goodbye: () => told.push('goodbye'),
  });
  for (const piece of pieces) parser.feed(Buffer.from(piece as string));
  if (end) parser.end();
  return told;
}

const BANNER = 'VDE switch V.2.3.2\n(C) Virtual Square Team\n\nvde$ ';
const GREETED = ['text VDE switch V.2.3.2', 'text (C) Virtual Square Team', 'prompt vde'];

const cases: { name: string; give: string; want: string[]; end?: boolean }[] = [
  { name: 'banner and prompt', give: BANNER, want: GREETED },
  {
    name: 'a data block, its status and the prompt',
    give: `${BANNER}0000 DATA END WITH '.'\nNumports=32\n\nHUB=false\n.\n1000 Success\n\nvde$ `,
    want: [...GREETED, 'data Numports=32', 'data ', 'data HUB=false', 'status 0 Success', 'prompt vde'],
  },
  {
    name: 'an empty block before an error',
    give: `${BANNER}0000 DATA END WITH '.'\n.\n1006 No such device or address\n\nvde$ `,
    want: [...GREETED, 'status 6 No such device or address', 'prompt vde'],
  },
  {
    name: 'a dot inside the data does not end it',
    give: `${BANNER}0000 DATA END WITH '.'\na\n.\nb\n.\n\nvde$ c\n.\n1000 Success\n\nvde$ `,
    want: [
      ...GREETED,
      'data a',
      'data .',
      'data b',
      'prompt vde',
      'text c',
      'text .',
      'status 0 Success',
      'prompt vde',
    ],
  },
  {
    name: 'dots and empty lines',
    give: `${BANNER}0000 DATA END WITH '.'\n.\n.\n\n\nx\n.\n1000 Success\n\nvde$ `,
    want: [...GREETED, 'data .', 'data .', 'data ', 'data ', 'data x', 'status 0 Success', 'prompt vde'],
  },
  {
    name: 'a prompt in the data is data',
    give: `${BANNER}0000 DATA END WITH '.'\n\nvde$ \n.\n1000 Success\n\nvde$ `,
    want: [...GREETED, 'data ', 'data vde$ ', 'status 0 Success', 'prompt vde'],
  },
  {
    name: 'events behind the prompt, before and behind the status (mgmt-debug-events)',
    give: `${BANNER}3021 port/+ 06\n3011 hash/+ 02:00\n1000 Success\n3022 port/- 06\n\nvde$ 3012 hash/- x\n`,
    want: [
      ...GREETED,
      'event 3021 port/+ 06',
      'event 3011 hash/+ 02:00',
      'status 0 Success',
      'event 3022 port/- 06',
      'prompt vde',
      'event 3012 hash/- x',
    ],
  },
  {
    name: 'an event between the dot and the status',
    give: `${BANNER}0000 DATA END WITH '.'\na\n.\n3021 port/+ 06\n1000 Success\n\nvde$ `,
    want: [...GREETED, 'data a', 'event 3021 port/+ 06', 'status 0 Success', 'prompt vde'],
  },
  {
    name: 'a line of data that looks like an event is data',
    give: `${BANNER}0000 DATA END WITH '.'\n3021 port/+ 06\n.\n1000 Success\n\nvde$ `,
    want: [...GREETED, 'data 3021 port/+ 06', 'status 0 Success', 'prompt vde'],
  },
  {
    name: 'wirefilter says -1 and hangs up',
    give: '\nVDE wirefilter V.2.3.2\n\nVDEwf$ 1-01 Unknown error -1\n',
    want: ['text ', 'text VDE wirefilter V.2.3.2', 'prompt VDEwf', 'status -1 Unknown error -1'],
    end: true,
  },
  {
    name: 'logout ends without a newline',
    give: `${BANNER}9999 END OF SESSION`,
    want: [...GREETED, 'goodbye'],
    end: true,
  },
  {
    name: 'vde_l3: a block without status, answers without block',
    give: "\nL3\n\nVDE-L3$ 0000 DATA END WITH '.'\nhelp  x\n.\n\nVDE-L3$ vd0\tLink\n\n\nVDE-L3$ \nVDE-L3$ ",
    want: [
      ...['text ', 'text L3', 'prompt VDE-L3', 'data help  x', 'prompt VDE-L3', 'text vd0\tLink', 'text '],
      ...['prompt VDE-L3', 'prompt VDE-L3'],
    ],
  },
  {
    name: 'another prompt than the first is text',
    give: `${BANNER}1000 Success\n\nroot$ x\n\nvde$ `,
    want: [...GREETED, 'status 0 Success', 'text ', 'text root$ x', 'prompt vde'],
  },
];

for (const { name, give, want, end } of cases) {
  test(`ConsoleParser: ${name}`, (t) => {
    t.deepEqual(parse([give], end), want);
    t.deepEqual(parse([...give], end), want, 'in single characters');
  });
}

test('ConsoleParser: any split of any session tells the same', (t) => {
  const part = fc.constantFrom(
    '.',
    '\n',
    'vde$ ',
    '1000 Success\n',
    "0000 DATA END WITH '.'\n",
    '3021 e\n',
    'ü',
    '\r',
    '9',
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 40 }), fc.array(fc.nat(200), { maxLength: 10 }), (parts, cuts) => {
      const bytes = Buffer.from(`${BANNER}${parts.join('')}`);
      const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
      const pieces = at.slice(1).map((end, i) => bytes.subarray(at[i], end));
      t.deepEqual(parse(pieces, true), parse([bytes], true));
    }),
  );
  t.pass();
});

test('ConsoleParser: a line without end comes in pieces and is not kept', (t) => {
  const told = parse(['x'.repeat(3 * MAX_LINE + 10), 'y\n', 'z'.repeat(MAX_LINE), '\n']);
  t.deepEqual(
    told.map((line) => line.length - 5),
    [MAX_LINE, MAX_LINE, MAX_LINE, 11, MAX_LINE],
  );
});

test('commands of help: vde_switch, wirefilter, vde_autolink, vde_l3', (t) => {
  t.deepEqual(
    commandsOfHelp([
      'COMMAND PATH       SYNTAX          HELP',
      '------------       --------------  ------------',
      'port               ============    PORT STATUS MENU',
      'port/print         [N]             print',
      'markov-numnodes n  markov mode',
      'help:         print a summary of mgmt commands',
      'route list\t\t\t\t\tPrint',
      'route net ADDRESS',
      '',
    ]),
    ['port/print', 'markov-numnodes', 'help', 'route'],
  );
});

test('completion goes menu by menu', (t) => {
  const paths = ['help', 'port/print', 'port/showinfo', 'port/ep/x', 'plugin/list'];
  t.deepEqual(completions(paths, 'p'), ['port/', 'plugin/']);
  t.deepEqual(completions(paths, 'port/'), ['port/print', 'port/showinfo', 'port/ep/']);
  t.deepEqual(completions(paths, 'port/print'), ['port/print']);
  t.deepEqual(completions(paths, 'x'), []);
});

/** A server that does as `talk` says to each client. */
async function serve(t: ExecutionContext, talk: (socket: Socket) => void): Promise<string> {
  const path = join(mkdtempSync(join(tmpdir(), 'vdenet-client-')), 's');
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    talk(socket);
  });
  await new Promise<void>((done) => server.listen(path, done));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return path;
}

test('ConsoleClient: commands go one by one, events between them', async (t) => {
  const got: string[] = [];
  const path = await serve(t, (socket) => {
    socket.write(BANNER);
    socket.on('data', (chunk) => {
      got.push(chunk.toString());
      if (got.length === 1) socket.write('3021 port/+ 06\n');
      socket.write(`0000 DATA END WITH '.'\nline ${got.length}\n.\n1000 Success\n\nvde$ `);
    });
  });
  const events: string[] = [];
  const client = await ConsoleClient.connect(path, { onEvent: (line) => events.push(line) });
  t.deepEqual([client.name, client.banner], ['vde', ['VDE switch V.2.3.2', '(C) Virtual Square Team']]);
  const answers = await Promise.all([client.ask('one'), client.ask('two\nthree')]);
  t.deepEqual(got, ['one\n', 'two three\n'], 'a newline in a command does not make two of it');
  t.deepEqual(
    answers.map(({ lines, status, open }) => [lines, status, open]),
    [
      [['line 1'], { code: 0, text: 'Success' }, true],
      [['line 2'], { code: 0, text: 'Success' }, true],
    ],
  );
  t.deepEqual(events, ['3021 port/+ 06']);
  client.close();
  await client.closed;
  t.deepEqual(await client.ask('late'), { lines: [], status: null, open: false });
});

test('ConsoleClient: the end of the session answers what is asked', async (t) => {
  const path = await serve(t, (socket) => {
    socket.write(BANNER);
    socket.on('data', () => socket.end('9999 END OF SESSION'));
  });
  const client = await ConsoleClient.connect(path);
  const [first, second] = await Promise.all([client.ask('logout'), client.ask('showinfo')]);
  t.deepEqual([first.open, first.lines, second.open], [false, [], false]);
  t.false(client.open);
});

test('ConsoleClient: hostile servers are given up in bounded memory', async (t) => {
  const silent = await serve(t, () => {});
  await t.throwsAsync(ConsoleClient.connect(silent, { timeoutMs: 30 }), {
    message: /no answer within 30 ms; is it the management socket of a VDE program\?/,
  });
  const rude = await serve(t, (socket) => socket.end('go away\n'));
  await t.throwsAsync(ConsoleClient.connect(rude), { message: /closed the connection before its prompt: go away/ });
  const endless = await serve(t, (socket) => {
    socket.write(BANNER);
    const line = `${'x'.repeat(1 << 16)}\n`;
    const more = (): void => {
      while (!socket.destroyed && socket.write(line));
    };
    socket.once('data', more).on('drain', more);
  });
  const client = await ConsoleClient.connect(endless);
  await t.throwsAsync(client.ask('help'), { message: new RegExp(`more than ${MAX_ANSWER} characters`) });
  await client.closed;
});

test('ConsoleClient: what cannot be connected to', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'vdenet-client-'));
  await t.throwsAsync(ConsoleClient.connect(join(dir, 'none')), { code: 'ERR_VDE_CONSOLE', message: /\(ENOENT\)$/ });
  writeFileSync(join(dir, 'file'), '');
  await t.throwsAsync(ConsoleClient.connect(join(dir, 'file')), { message: /\((ENOTSOCK|ECONNREFUSED)\)$/ });
});
