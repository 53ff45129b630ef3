// The plugins `dump` (frames as events, in hexadecimal) and `pdump` (frames into a pcap file) of vde_switch.

import { resolve } from 'node:path';
import { CaptureFile } from '../link/index.ts';
import type { FrameHook } from '../switch/index.ts';
import { atoi } from './c-numbers.ts';
import { four } from './columns.ts';
import type { EventCategory } from './console.ts';
import type { FrameWatchers } from './frame-watchers.ts';
import type { BuiltInPlugin } from './plugins.ts';
import { data, failure, failureOf, type Reply, SUCCESS } from './replies.ts';

const IN_TAG = 0o101;
const OUT_TAG = 0o102;

export const dumpPlugin = (watchers: FrameWatchers): BuiltInPlugin => ({
  name: 'dump',
  help: 'dump packets',
  open(console) {
    const incoming: EventCategory = { path: 'dump/packetin', tag: IN_TAG, help: 'dump incoming packet' };
    const outgoing: EventCategory = { path: 'dump/packetout', tag: OUT_TAG, help: 'dump outgoing packet' };
    const hook: FrameHook = (isIncoming, port, b, off, len) => {
      const category = isIncoming ? incoming : outgoing;
      if (!console.followed(category)) return;
      let text = `Pkt: Port ${four(port.number)} len=${four(len)} `;
      for (let i = off; i < off + len; i++) text += `${b[i]!.toString(16).padStart(2, '0')} `;
      console.event(category, text);
    };
    return {
      entries: [
        { path: 'dump', help: 'DUMP Packets' },
        {
          path: 'dump/active',
          syntax: '0/1',
          help: 'start dumping data',
          details: 'Frames are then events for those who follow dump (`debug/add dump`).',
          run: (_words, text) => {
            if (atoi(text) !== 0) watchers.add(hook);
            else watchers.remove(hook);
            return SUCCESS;
          },
        },
      ],
      events: [incoming, outgoing],
      close: () => watchers.remove(hook),
    };
  },
});

const DEFAULT_FILE = 'vde_dump.cap';

/** @param cwd  directory that file names start from */
export const pdumpPlugin = (watchers: FrameWatchers, cwd: string): BuiltInPlugin => ({
  name: 'pdump',
  help: 'dump packets to file, in pcap format',
  open() {
    let name = DEFAULT_FILE;
    let file: CaptureFile | null = null;
    const hook: FrameHook = (_incoming, _port, b, off, len) => file?.packet(0, b, off, len, 0);
    const stop = async (): Promise<void> => {
      watchers.remove(hook);
      const ended = file;
      file = null;
      await ended?.close();
    };
    const start = async (): Promise<Reply> => {
      await stop();
      try {
        file = await CaptureFile.open({ path: resolve(cwd, name), format: 'pcap' });
      } catch (error) {
        return { ...failure(failureOf(error, 'EIO').status), data: [] };
      }
      watchers.add(hook);
      return data([]);
    };
    return {
      entries: [
        { path: 'pdump', help: 'DUMP Packets to file' },
        {
          path: 'pdump/active',
          syntax: '0/1',
          help: 'start dumping data',
          details: 'The file is made anew, with mode 0600, and grows to 64 MiB at most.',
          run: async (_words, text) => {
            if (atoi(text) !== 0) return file === null ? await start() : data([]);
            if (file === null) return { ...failure('ENOENT'), data: [] };
            await stop();
            return data([]);
          },
        },
        {
          path: 'pdump/filename',
          syntax: '<file>',
          help: `set/show output filename (default: ${DEFAULT_FILE})`,
          run: async (_words, text) => {
            if (text !== '') {
              name = text;
              if (file !== null) {
                const reply = await start();
                if (reply.status !== 'OK') return reply;
              }
            }
            return data([`dumpfile=${name}`]);
          },
        },
        {
          path: 'pdump/buffered',
          syntax: '0/1',
          help: 'set buffered/unbuffered dump',
          details: 'Without effect: what has come is written at once, in large pieces.',
          run: () => SUCCESS,
        },
      ],
      events: [
        { path: 'pdump/packetin', tag: IN_TAG, help: 'dump incoming packet to file' },
        { path: 'pdump/packetout', tag: OUT_TAG, help: 'dump outgoing packet to file' },
      ],
      close: stop,
    };
  },
});
