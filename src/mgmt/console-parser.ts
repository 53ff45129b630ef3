// What a VDE management console sends, taken apart: the client's side of console.ts and of Debian's servers.
//
//   BANNER \n  \nNAME$_   0000 DATA END WITH '.'\n  lines  .\n   1EEE TEXT\n   \nNAME$_   3TTT EVENT\n   9999 END OF SESSION
//
//           0000 DATA            `.`
//   TEXT --------------> DATA --------> DOT --status--> TEXT         prompt: TEXT and DOT only, behind an empty line
//     ^                    ^             |
//     |                    +-- any other line: the dot was data
//     +-- status, event, any line, prompt
//
// Bytes come in whatever pieces. The prompt has no newline behind it, so it is recognised as soon as it is whole, and what
// comes behind it (an event, say) begins a new line. Data is not stuffed: a line `.` ends a block only when a status, or an
// empty line and the prompt, follows; so it waits for the next line. Events are recognised outside of data only: inside,
// a line that looks like one is data.
//
// vde_l3 of Debian answers without status, often without a data block: its lines are `text`, and the prompt ends the answer.
//
// The server may be hostile: one line has MAX_LINE characters, a longer one comes in pieces; nothing else is kept.

import { StringDecoder } from 'node:string_decoder';

export const MAX_LINE = 65_536;

const DATA_START = "0000 DATA END WITH '.'";
const SESSION_END = '9999 END OF SESSION';
const STATUS = /^1(\d{3}|-\d{1,3})(?: (.*))?$/;
const EVENT = /^3[0-7]{3,6} /;
/** Before the name of the server is known. */
const ANY_PROMPT = /^([A-Za-z][\w.-]{0,31})\$ /;

export interface ConsoleSink {
  /** A line outside of data: banner, or an answer of a server without data blocks. */
  text(line: string): void;
  /** A line of a data block. */
  data(line: string): void;
  /** The end of an answer: errno, 0 for success; -1 and below from wirefilter. */
  status(code: number, text: string): void;
  /** An asynchronous line, with its number. */
  event(line: string): void;
  /** The server takes a command. */
  prompt(name: string): void;
  /** The server says good-bye. */
  goodbye(): void;
}

type State = 'text' | 'data' | 'dot';

export class ConsoleParser {
  private readonly sink: ConsoleSink;
  private readonly decoder = new StringDecoder('utf8');
  private state: State = 'text';
  /** Characters of a line that has not ended. */
  private partial = '';
  /** An empty line came that may belong to the prompt. */
  private blank = false;
  /** Name in the prompt, once seen: no other is taken for one afterwards. */
  private name = '';

  constructor(sink: ConsoleSink) {
    this.sink = sink;
  }

  feed(chunk: Uint8Array): void {
    let rest = this.partial + this.decoder.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    let from = this.partial.length;
    this.partial = '';
    for (;;) {
      const stripped = this.takePrompt(rest);
      if (stripped !== rest) {
        rest = stripped;
        from = 0;
        continue;
      }
      const end = rest.indexOf('\n', from);
      if (end < 0 && rest.length <= MAX_LINE) break;
      if (end < 0 || end > MAX_LINE) {
        this.line(rest.slice(0, MAX_LINE));
        rest = rest.slice(MAX_LINE);
      } else {
        this.line(rest.slice(0, end).replace(/\r$/, ''));
        rest = rest.slice(end + 1);
      }
      from = 0;
    }
    this.partial = rest;
  }

  /** The connection has ended: what is left is told. */
  end(): void {
    const { partial } = this;
    this.partial = '';
    if (partial !== '') this.line(partial);
    this.flushBlank();
    this.state = 'text';
  }

  /** `rest` without the prompt that it begins with, if it does. */
  private takePrompt(rest: string): string {
    if (!this.blank || this.state === 'data') return rest;
    const name = this.name === '' ? (ANY_PROMPT.exec(rest)?.[1] ?? '') : this.name;
    if (name === '' || !rest.startsWith(`${name}$ `)) return rest;
    this.name = name;
    this.blank = false;
    this.state = 'text';
    this.sink.prompt(name);
    return rest.slice(name.length + 2);
  }

  private line(line: string): void {
    if (this.state === 'data') {
      if (line === '.') this.state = 'dot';
      else this.sink.data(line);
      return;
    }
    if (line === '' && (this.state === 'text' || !this.blank)) {
      this.flushBlank();
      this.blank = true;
      return;
    }
    if (EVENT.test(line)) {
      this.sink.event(line);
      return;
    }
    const status = STATUS.exec(line);
    if (this.state === 'dot' && status === null) {
      // The dot was a line of the data after all, and so were the empty line and this one.
      this.sink.data('.');
      if (this.blank) this.sink.data('');
      this.blank = false;
      this.state = 'data';
      this.line(line);
      return;
    }
    this.state = 'text';
    this.flushBlank();
    if (status !== null) this.sink.status(Number(status[1]), status[2] ?? '');
    else if (line === DATA_START) this.state = 'data';
    else if (line === SESSION_END) this.sink.goodbye();
    else this.sink.text(line);
  }

  private flushBlank(): void {
    if (this.blank && this.state === 'text') this.sink.text('');
    this.blank = false;
  }
}
