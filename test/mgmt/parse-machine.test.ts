import test from 'ava';
import { MAX_INPUT, type MachinePort, ParseMachine } from '../../src/mgmt/parse-machine.ts';

/** A port whose input is a text that ends, and which answers what is sent from a list. */
class FakePort implements MachinePort {
  sent: string[] = [];
  printed = '';
  states: number[] = [];
  private input: string;
  private readonly answers: string[];

  constructor(input: string, ...answers: string[]) {
    this.input = input;
    this.answers = answers;
  }

  async read(): Promise<string | null> {
    const c = this.input[0] ?? null;
    this.input = this.input.slice(1);
    return c;
  }

  write(text: string): void {
    this.sent.push(text);
    this.input += this.answers.shift() ?? '';
  }

  print(text: string): void {
    this.printed += text;
  }

  trace(state: number): void {
    this.states.push(state);
  }
}

const run = (text: string, port: FakePort, ...command: string[]): Promise<number> =>
  ParseMachine.parse(text, 'rc').run(command, port);

// The shape of Debian's /etc/vde2/vdecmd.
const VDECMD = String.raw`
TIMEOUT 1000
1 IN '$ ' 100
3 SEND '$*\n'
5 THROW
6 IN '\n' 100
7 IF '0000 DATA END WITH \'.\'' 10
8 IF '10' 20
9 GOTO 100
10 THROW
11 IN '\n' 100
12 IF '.\n' 5
13 COPY
14 GOTO 10
20 SKIP 2
21 SEND 'logout\n'
22 EXITATOI
100 EXIT -1
`;

test('the machine of vdecmd prints the data and ends with the status', async (t) => {
  const port = new FakePort('VDE switch\n\nvde$ ', "0000 DATA END WITH '.'\na\nb\n.\n1000 Success\n\nvde$ ");
  t.is(await run(VDECMD, port, 'port/print', '1'), 0);
  t.deepEqual(port.sent, ['port/print 1\n', 'logout\n']);
  t.is(port.printed, 'a\nb\n');
  t.is(await run(VDECMD, new FakePort('vde$ ', '1022 Invalid argument\n\nvde$ '), 'x'), 22);
  t.is(await run(VDECMD, new FakePort('vde$ ', 'nonsense\n'), 'x'), -1);
  t.is(await run(VDECMD, new FakePort('no prompt'), 'x'), -1);
});

const programs: { name: string; text: string; input?: string; command?: string[]; want: number; printed?: string }[] = [
  { name: 'lines go on by number, whatever their order', text: '9 EXIT 9\n3 GOTO 5\n5 GOTO 9\n4 EXIT 4', want: 9 },
  { name: 'the last line ends with the result', text: "1 IN '5' 9\n2 RVATOI\n9 THROW", input: '5', want: 5 },
  {
    name: 'RVATOI with a base',
    text: "1 IN ' ' 9\n2 SKIP 1\n3 RVATOI 8\n4 EXITRV\n9 EXIT 9",
    input: '3021 ',
    want: 17,
  },
  {
    name: 'SKIP of a text',
    text: "1 IN 'z' 9\n2 SKIP 'b'\n3 COPY\n4 EXIT 1\n9 EXIT 9",
    input: 'abcz',
    want: 1,
    printed: 'cz',
  },
  {
    name: 'SKIP of a text that is not there',
    text: "1 IN 'z' 9\n2 SKIP 'x'\n3 COPY\n4 EXIT 1\n9 EXIT 9",
    input: 'z',
    want: 1,
  },
  {
    name: 'IFARG and SHIFT walk the words',
    text: '1 IFARG 3\n2 EXIT 7\n3 SHIFT\n4 GOTO 1',
    command: ['a', 'b'],
    want: 7,
  },
  { name: 'comments and empty lines', text: '# nothing\n\n1 EXIT 3 # three', want: 3 },
  { name: 'no number is 0', text: '1 RVATOI\n2 EXITRV', want: 0 },
];
for (const { name, text, input = '', command = [], want, printed = '' } of programs) {
  test(`ParseMachine: ${name}`, async (t) => {
    const port = new FakePort(input);
    t.is(await run(text, port, ...command), want);
    t.is(port.printed, printed);
  });
}

test('ParseMachine: words of the command in SEND', async (t) => {
  const port = new FakePort('');
  await run(String.raw`1 SEND '$1|$2|$3|$*|$$|$0\t\n'`, port, 'a', 'b');
  t.deepEqual(port.sent, ['a|b||a b|$|$0\t\n']);
});

const wrong: [text: string, message: RegExp][] = [
  ['', /^rc:1: no states$/],
  ['1 EXIT 0\n2 BOGUS', /^rc:2: 'BOGUS' is not known; there are IN THROW/],
  ['x EXIT', /^rc:1: 'x' is not the number of a state$/],
  ["1 IN '", /^rc:1: a quote is not closed/],
  ['1 GOTO 55', /^rc:1: there is no state 55$/],
  ['1 GOTO', /^rc:1: GOTO has a wrong number of arguments$/],
  ["1 IF 'x' y", /^rc:1: IF needs a number$/],
  ['1 EXIT x', /^rc:1: EXIT needs a number$/],
  ['TIMEOUT', /^rc:1: TIMEOUT needs/],
];
for (const [text, message] of wrong) {
  test(`ParseMachine: refused: ${JSON.stringify(text)}`, (t) => {
    t.throws(() => ParseMachine.parse(text, 'rc'), { message, code: 'ERR_VDE_BAD_OPTION' });
  });
}

test('ParseMachine: loops and endless input end', async (t) => {
  await t.throwsAsync(run('1 GOTO 1', new FakePort('')), { message: /state 1: a loop that reads nothing/ });
  const endless = new FakePort('');
  endless.read = async () => 'x';
  await t.throwsAsync(run("1 IN 'y' 2\n2 EXIT", endless), { message: new RegExp(`more than ${MAX_INPUT}`) });
});
