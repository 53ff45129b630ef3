// The ports of a vde_switch, by its management console. The connection is made when it is needed, and again when it was
// lost: a switch may be restarted.

import { setTimeout } from 'node:timers/promises';
import { VdeError } from '../core/errors.ts';
import { type Answer, ConsoleClient } from '../mgmt/console-client.ts';
import type { PortState, SwitchControl } from './autolink.ts';

const EEXIST = 17;
const ENXIO = 6;
const ENOSYS = 38;
const EADDRINUSE = 98;
const RELEASE_TRIES = 20;
const RELEASE_MS = 50;

export class ConsoleSwitchControl implements SwitchControl {
  private readonly path: string;
  private client: Promise<ConsoleClient> | null = null;
  private closed = false;

  /** @param path  management socket of the switch */
  constructor(path: string) {
    this.path = path;
  }

  async reserve(): Promise<number> {
    const { lines } = await this.must('port/createauto');
    const port = /^Port (\d+)/.exec(lines[0] ?? '')?.[1];
    if (port === undefined) throw new VdeError('ERR_VDE_CONSOLE', `${this.path}: port/createauto named no port`);
    return Number(port);
  }

  async ensure(port: number): Promise<void> {
    await this.must(`port/create ${port}`, EEXIST);
  }

  async release(port: number): Promise<void> {
    // The wire was told to end just now: the switch sees its end a moment later.
    for (let tries = RELEASE_TRIES; ; tries--) {
      const answer = await this.must(`port/remove ${port}`, ENXIO, EADDRINUSE);
      if (answer.status?.code !== EADDRINUSE) return;
      if (tries === 0) throw new VdeError('ERR_VDE_CONSOLE', `${this.path}: port ${port} is still in use`);
      await setTimeout(RELEASE_MS);
    }
  }

  async look(port: number): Promise<PortState> {
    const text = (await this.must(`port/allprint ${port}`, ENXIO)).lines.join('\n');
    return {
      active: / ACTIVE /.test(text) && text.includes('-- endpoint ID'),
      frames: Number(/^ IN: +pkts +(\d+)/m.exec(text)?.[1] ?? 0),
    };
  }

  async fstp(): Promise<boolean> {
    const { lines } = await this.must('fstp/showinfo', ENOSYS);
    return lines.includes('FSTP=true');
  }

  /** Connects now, to find out whether it can be done. Rejects with ERR_VDE_CONSOLE. */
  async connect(): Promise<void> {
    await this.connection();
  }

  close(): void {
    this.closed = true;
    void this.client?.then(
      (client) => client.close(),
      () => {},
    );
  }

  private connection(): Promise<ConsoleClient> {
    if (this.client === null) {
      const client = ConsoleClient.connect(this.path);
      this.client = client;
      const lost = (): void => {
        if (this.client === client) this.client = null;
      };
      client.then((open) => open.closed).then(lost, lost);
    }
    return this.client;
  }

  /** The answer to a command that must succeed, or fail with a status that the caller understands. */
  private async must(command: string, ...fine: number[]): Promise<Answer> {
    if (this.closed && !command.startsWith('port/remove'))
      throw new VdeError('ERR_VDE_CONSOLE', `${this.path}: closed`);
    const answer = await (await this.connection()).ask(command);
    const { status } = answer;
    if (status === null || (status.code !== 0 && !fine.includes(status.code)))
      throw new VdeError('ERR_VDE_CONSOLE', `${this.path}: ${command}: ${status?.text ?? 'the session has ended'}`);
    return answer;
  }
}
