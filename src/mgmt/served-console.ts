// A console on its socket: what a command with -M opens and closes.

import { LocalSocket } from '../link/index.ts';
import { Console, type ConsoleOptions, type EventCategory } from './console.ts';

export class ServedConsole {
  private readonly console: Console;
  private readonly socket: LocalSocket;

  private constructor(console: Console, socket: LocalSocket) {
    this.console = console;
    this.socket = socket;
  }

  /** Opens the socket and serves it. Rejects like LocalSocket.open, and leaves nothing behind then. */
  static async open(path: string, mode: number, options: ConsoleOptions, gid = -1): Promise<ServedConsole> {
    const socket = await LocalSocket.open({ path, mode, gid });
    try {
      const console = new Console(options);
      await console.listen(socket.fd);
      return new ServedConsole(console, socket);
    } catch (error) {
      socket.release();
      throw error;
    }
  }

  event(category: EventCategory, text: string): void {
    this.console.event(category, text);
  }

  async close(): Promise<void> {
    this.socket.release();
    await this.console.close();
  }
}
