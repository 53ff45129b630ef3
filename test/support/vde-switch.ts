// A vde_switch in this process, in a directory of its own, and bare clients of it.

import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { Logger } from '../../src/cli/log.ts';
import { parseCommandLine } from '../../src/cli/parse.ts';
import { vdeSwitchConfig } from '../../src/cli/vde_switch-config.ts';
import { VDE_SWITCH } from '../../src/cli/vde_switch-options.ts';
import { startVdeSwitch } from '../../src/cli/vde_switch-run.ts';
import { encodeRequest, parseReply, REPLY_LEN } from '../../src/link/vde-protocol.ts';
import { native } from '../../src/native/native.ts';
import { datagramSocket, until } from '../link/support.ts';

/** One client of the switch: its control connection and its data socket. */
export class BareClient {
  readonly ctl: Socket;
  private readonly fd: number;
  private readonly batch = native().newBatch(new Uint8Array(10_000), 1);
  private readonly memory: Uint8Array;
  heard = Buffer.alloc(0);
  ended = false;

  private constructor(path: string, own: string) {
    this.fd = datagramSocket(own);
    this.memory = new Uint8Array(10_000);
    this.batch = native().newBatch(this.memory, 1);
    this.ctl = connect(path);
    this.ctl.on('error', () => {});
    this.ctl.on('data', (chunk) => {
      this.heard = Buffer.concat([this.heard, chunk]);
    });
    this.ctl.on('close', () => {
      this.ended = true;
    });
  }

  /** Asks for a port, -1 for any; resolves when the switch has answered or hung up. */
  static async join(lab: SwitchLab, port: number, description: string): Promise<BareClient> {
    const own = join(lab.dir, `client${lab.clients.length}`);
    const client = new BareClient(join(lab.ctl, 'ctl'), own);
    lab.clients.push(client);
    client.ctl.write(encodeRequest(port, own, description));
    await until(() => client.ended || client.heard.length >= REPLY_LEN, 'an answer of the switch');
    if (!client.ended) native().connectUnix(client.fd, parseReply(client.heard)!);
    return client;
  }

  /** Path of the switch's data socket; null when there was no reply. */
  get dataPath(): string | null {
    return this.heard.length >= REPLY_LEN ? parseReply(this.heard) : null;
  }

  send(frame: Uint8Array): void {
    this.memory.set(frame);
    this.batch.offs[0] = 0;
    this.batch.lens[0] = frame.length;
    if (native().send(this.fd, this.batch, 0, 1) !== 1) throw new Error('the frame was not taken');
  }

  /** The frames that wait. */
  receive(): Uint8Array[] {
    const frames: Uint8Array[] = [];
    while (native().recv(this.fd, this.batch, 0, 9500, 1) === 1)
      frames.push(this.memory.slice(this.batch.offs[0]!, this.batch.offs[0]! + this.batch.lens[0]!));
    return frames;
  }

  /** Closes the data socket only. */
  closeData(): void {
    native().close(this.fd);
  }

  leave(): void {
    this.ctl.destroy();
  }
}

export interface SwitchLab {
  readonly dir: string;
  readonly ctl: string;
  readonly mgmt: string;
  /** What the switch logged. */
  readonly log: string[];
  readonly clients: BareClient[];
  /** Fulfilled when the switch ended by itself. */
  readonly ended: Promise<unknown>;
  close(): Promise<void>;
}

/** Starts a switch with its control directory at `ctl` and its console at `mgmt`, ended with the test. */
export async function switchLab(t: ExecutionContext, words: readonly string[] = []): Promise<SwitchLab> {
  const dir = mkdtempSync(join(tmpdir(), 'vdenet-sw-'));
  const log: string[] = [];
  const [ctl, mgmt] = [join(dir, 'ctl'), join(dir, 'mgmt')];
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const line = ['-s', ctl, '-M', mgmt, '--nostdin', '--macaddr', '00:ff:11:22:33:44', ...words];
  const config = vdeSwitchConfig(parseCommandLine(VDE_SWITCH, line), dir);
  const logger = new Logger({ name: 'vde_switch', sinks: [(text) => log.push(text)] });
  const service = await startVdeSwitch({ ...config, rcFile: words.includes('-f') ? config.rcFile : null }, logger, {
    cwd: dir,
    interrupt: () => {},
  });
  const clients: BareClient[] = [];
  t.teardown(async () => {
    for (const client of clients) client.leave();
    await service.close();
  });
  return { dir, ctl, mgmt, log, clients, ended: service.ended, close: () => service.close() };
}

/** A client of the console that reads up to the prompt. */
export class BareConsole {
  private readonly socket: Socket;
  private text = '';
  closed = false;

  constructor(lab: SwitchLab) {
    this.socket = connect(lab.mgmt);
    this.socket.on('error', () => {});
    this.socket.on('data', (chunk) => {
      this.text += chunk.toString();
    });
    this.socket.on('close', () => {
      this.closed = true;
    });
  }

  /** What comes before the next prompt, or before the end of the session. */
  async answer(): Promise<string> {
    await until(() => this.closed || this.text.includes(PROMPT), `a prompt after ${JSON.stringify(this.text)}`);
    const at = this.text.indexOf(PROMPT);
    const found = at < 0 ? this.text : this.text.slice(0, at);
    this.text = at < 0 ? '' : this.text.slice(at + PROMPT.length);
    return found;
  }

  /** What has come and was not taken, once it has `count` lines. */
  async lines(count: number): Promise<string> {
    await until(() => this.text.split('\n').length > count, `${count} lines after ${JSON.stringify(this.text)}`);
    const found = this.text;
    this.text = '';
    return found;
  }

  write(text: string): void {
    this.socket.write(text);
  }

  ask(line: string): Promise<string> {
    this.write(`${line}\n`);
    return this.answer();
  }
}

const PROMPT = '\nvde$ ';
