// Menu `plugin` of vde_switch. The original loads shared libraries; here its three are built in and are switched on by
// the same names: `plugin/add dump`, `dump.so`, `/usr/lib/vde2/plugins/dump.so`. Others are not found. A plugin brings
// commands and events, which are there from `plugin/add` to `plugin/del`.

import { basename } from 'node:path';
import type { Console, ConsoleEntry, ConsoleExtension } from './console.ts';
import { data, failure, SUCCESS } from './replies.ts';

/** What `plugin/add` has made. */
export interface Plugin extends ConsoleExtension {
  /** Stops it, and waits for what it has to write. */
  close(): void | Promise<void>;
}

export interface BuiltInPlugin {
  readonly name: string;
  readonly help: string;
  open(console: Console): Plugin;
}

export class Plugins {
  private readonly builtIn: readonly BuiltInPlugin[];
  private readonly console: () => Console;
  /** By name, in the order in which they were added. */
  private readonly loaded = new Map<string, { plugin: Plugin; help: string }>();

  /** @param console  the console that shows the plugins' commands, once it is there */
  constructor(builtIn: readonly BuiltInPlugin[], console: () => Console) {
    this.builtIn = builtIn;
    this.console = console;
  }

  /** The menu. */
  commands(): ConsoleEntry[] {
    return [
      { path: 'plugin', help: 'PLUGINS MENU' },
      {
        path: 'plugin/list',
        help: 'list plugins',
        details: '`plugin/list all` lists those that are built in and were not added, too.',
        run: ([which]) => this.list(which === 'all'),
      },
      {
        path: 'plugin/add',
        syntax: 'library',
        help: 'load a plugin',
        details: 'dump, pdump or iplog, with or without directory and `.so`. Nothing is loaded: they are built in.',
        run: (_words, text) => this.add(text),
      },
      {
        path: 'plugin/del',
        syntax: 'name',
        help: 'unload a plugin',
        details: 'The first whose name begins with it.',
        run: (_words, text) => this.remove(text),
      },
    ];
  }

  async close(): Promise<void> {
    for (const { plugin } of this.loaded.values()) await plugin.close();
    this.loaded.clear();
  }

  private list(all: boolean) {
    const row = (name: string, help: string): string => `${name.padEnd(22)} ${help}`;
    const more = all ? this.builtIn.filter(({ name }) => !this.loaded.has(name)) : [];
    const lines = [
      row('NAME', 'HELP'),
      row('------------', '----'),
      ...[...this.loaded].map(([name, { help }]) => row(name, help)),
      ...more.map(({ name, help }) => row(name, `${help} (built in, not added)`)),
    ];
    return lines.length > 2 ? data(lines) : { ...failure('ENOENT'), data: lines };
  }

  private add(library: string) {
    if (library === '') return failure('EINVAL');
    const name = basename(library).replace(/\.so$/, '');
    const found = this.builtIn.find((each) => each.name === name);
    if (found === undefined) return failure('ENOENT');
    if (this.loaded.has(name)) return failure('EEXIST');
    const plugin = found.open(this.console());
    this.loaded.set(name, { plugin, help: found.help });
    this.console().extend(plugin);
    return SUCCESS;
  }

  private async remove(prefix: string) {
    const name = [...this.loaded.keys()].find((each) => each.startsWith(prefix));
    if (name === undefined) return failure('ENOENT');
    const { plugin } = this.loaded.get(name)!;
    this.loaded.delete(name);
    this.console().retract(plugin);
    await plugin.close();
    return SUCCESS;
  }
}
