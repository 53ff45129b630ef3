// wirefilter's options: the classic ones with all their names, and ours.

import { COMMON_EXIT_STATUS, type CommandSpec, type OptionSpec } from './options.ts';
import { helpOptions, PROCESS_OPTIONS, withoutLetters } from './shared-options.ts';

const CABLE = 'Cable';
const EFFECT = 'What happens to frames';
const CONSOLE = 'Management';

const value = (key: string, short: string, long: readonly string[], help: string, details?: string): OptionSpec => ({
  key,
  short: [short],
  long,
  argument: { kind: 'required', name: 'VALUE' },
  repeatable: true,
  group: EFFECT,
  help,
  ...(details === undefined ? {} : { details }),
});

export const WIREFILTER: CommandSpec = {
  name: 'wirefilter',
  summary: 'a cable between two VDE switches that loses, delays, duplicates and damages frames',
  usage: ['[OPTION]... -v SWITCH:SWITCH', '[OPTION]... SWITCH SWITCH', '[OPTION]... (between two plugs of dpipe)'],
  description: [
    'Joins two switches by a cable with the faults of a real one: loss, bursts of loss, delay with variation, duplicates, ' +
      'limited bandwidth, bit errors. Every parameter may differ by direction, vary at random, and change with the states ' +
      'of a Markov chain, while the cable is in use.',
    'A VALUE is [LR|RL]NUMBER[+SPREAD][K|M|G][U|N][[NODE]]: for one direction (left to right, right to left) or for both; ' +
      'with +SPREAD drawn anew for each frame, uniformly (U) from NUMBER-SPREAD to NUMBER+SPREAD, or normally (N) with 99.7 ' +
      'percent of the draws in that range; K, M and G are powers of 1024. A state of the Markov chain other than 0 stands ' +
      'in brackets. Lengths of frames are counted with 2 bytes more than the frame has.',
    'Without -v the cable is one of dpipe: `dpipe vde_plug A = wirefilter = vde_plug B` both ways, or one way at the end ' +
      'of a pipe.',
  ],
  positionals: [
    { name: 'LEFT', help: 'switch on the left, instead of -v' },
    { name: 'RIGHT', help: 'switch on the right' },
  ],
  options: [
    {
      key: 'plug',
      short: ['v'],
      long: ['vde-plug'],
      argument: { kind: 'required', name: 'LEFT:RIGHT' },
      group: CABLE,
      help: 'the switches on both sides',
      details:
        'Control directories, vde://, vxlan:// or vxvde:// addresses; nothing for the default switch, `-` for frames on ' +
        'standard input and output.',
    },
    value('loss', 'l', ['loss'], 'percentage of frames that are lost'),
    value(
      'lostburst',
      'L',
      ['lostburst'],
      'mean number of frames lost in a row',
      'Gilbert model: the loss of --loss comes in bursts of this mean length.',
    ),
    value('delay', 'd', ['delay'], 'delay in milliseconds'),
    value('dup', 'D', ['dup'], 'percentage of frames that are duplicated'),
    value(
      'bandwidth',
      'b',
      ['bandwidth', 'band'],
      'bytes per second that the line carries',
      'What comes faster waits, up to 64 MiB.',
    ),
    value(
      'speed',
      's',
      ['speed'],
      'bytes per second that the interface takes',
      'Who sends faster is braked: what comes in is not read meanwhile.',
    ),
    value('noise', 'n', ['noise'], 'bits flipped in 1048576 bytes'),
    value('mtu', 'm', ['mtu'], 'longest frame, bytes'),
    value(
      'chanbufsize',
      'c',
      ['chanbufsize', 'capacity'],
      'bytes that may be on the way at once',
      'Frames that would be more are lost.',
    ),
    {
      key: 'nofifo',
      short: ['N'],
      long: ['nofifo'],
      argument: { kind: 'none' },
      group: EFFECT,
      help: 'let frames overtake each other',
    },
    {
      key: 'seed',
      short: [],
      long: ['seed'],
      added: true,
      argument: { kind: 'required', name: 'N' },
      group: EFFECT,
      help: 'begin the random numbers at N',
      details: 'The same frames then meet the same fate. Each direction has numbers of its own.',
      defaultText: 'different each time; the command `counters` of the console shows it',
    },
    {
      key: 'rcfile',
      short: ['f'],
      long: ['rcfile'],
      argument: { kind: 'required', name: 'FILE' },
      group: CONSOLE,
      help: 'carry out the console commands in FILE at the start',
      details:
        'After the options above. A line that fails is reported and skipped; a FILE that cannot be read is an error.',
    },
    {
      key: 'mgmt',
      short: ['M'],
      long: ['mgmt'],
      argument: { kind: 'required', name: 'SOCK' },
      group: CONSOLE,
      help: 'serve the management console on a Unix socket',
      details: '`vdeterm SOCK`, `unixterm SOCK` and `unixcmd -s SOCK COMMAND` speak it.',
    },
    {
      key: 'mgmtmode',
      short: [],
      long: ['mgmtmode'],
      argument: { kind: 'required', name: 'OCTAL' },
      group: CONSOLE,
      help: 'permissions of that socket',
      defaultText: '700',
    },
    {
      key: 'nostdin',
      short: [],
      long: ['nostdin'],
      added: true,
      argument: { kind: 'none' },
      group: CONSOLE,
      help: 'no console on standard input',
      details:
        'Otherwise standard input is a console when both sides are switches, and its end the end of the cable. Where it is ' +
        '/dev/null, or closed, there is none.',
    },
    {
      key: 'blink',
      short: [],
      long: ['blink'],
      argument: { kind: 'required', name: 'SOCK' },
      group: CONSOLE,
      help: 'send a line for each delivered frame to a Unix datagram socket',
      details: '`ID LR 62` or `ID RL 62`; the number is the length of the frame and 2.',
    },
    {
      key: 'blinkid',
      short: [],
      long: ['blinkid'],
      argument: { kind: 'required', name: 'TEXT' },
      group: CONSOLE,
      help: 'first word of those lines',
      defaultText: 'the process id',
    },
    ...withoutLetters(PROCESS_OPTIONS),
    ...helpOptions(),
  ],
  exitStatus: [
    {
      status: 0,
      what: 'ended by a signal, by `shutdown`, or by the end of standard input; with --daemon: frames pass',
    },
    { status: 1, what: 'a switch could not be joined, or what came on a pipe is not frames' },
    ...COMMON_EXIT_STATUS,
  ],
  examples: [
    {
      command: 'wirefilter -v /tmp/a.ctl:/tmp/b.ctl --delay 50+10N --loss 1 -M /tmp/wf',
      what: 'A long way with some loss; `unixterm /tmp/wf` changes it.',
    },
    {
      command: 'wirefilter -v /tmp/a.ctl:/tmp/b.ctl -b LR128K -b RL1M --nostdin --daemon',
      what: 'A line that is faster in one direction, in the background.',
    },
    {
      command: 'dpipe vde_plug /tmp/a.ctl = wirefilter -l 20 --seed 7 = vde_plug /tmp/b.ctl',
      what: 'Between two plugs, with the same losses each time.',
    },
  ],
  files: [],
  seeAlso: ['vde_switch(1)', 'vde_plug(1)', 'dpipe(1)', 'vdeterm(1)', 'unixcmd(1)'],
};
