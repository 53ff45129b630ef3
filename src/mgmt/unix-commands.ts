// Menu `unix` of a router: Unix sockets of the host that lead to guests, and that guests reach.

import { isAbsolute } from 'node:path';
import type { Router } from '../router/index.ts';
import { columns } from './columns.ts';
import type { ConsoleEntry } from './console.ts';
import { data, failure, SUCCESS } from './replies.ts';
import { isUnixForward, parseUnixForwardText, parseUnixServiceText, UNIX_FORM } from './unix-text.ts';

export interface UnixCommandsOptions {
  readonly router: Router;
  /** Hears of what was added or removed, for events. */
  readonly changed: (what: 'forward/+' | 'forward/-', text: string) => void;
}

export function unixCommands({ router, changed }: UnixCommandsOptions): ConsoleEntry[] {
  const { unixForwards } = router;
  return [
    { path: 'unix', help: 'UNIX SOCKET MENU' },
    {
      path: 'unix/list',
      help: 'list the Unix sockets that lead to guests (forward), and that guests reach (service)',
      run: () => {
        const { forwards, services } = unixForwards.list();
        const { host, isIpv4 } = router.ip.own.all[0]!;
        const gateway = isIpv4 ? host : `[${host}]`;
        return data(
          columns(
            ['KIND', 'LISTENS AT', 'LEADS TO'],
            [
              ...forwards.map(({ path, guest }) => ['forward', path, String(guest)]),
              ...services.map(({ port, path }) => ['service', `${gateway}:${port}`, path]),
            ],
          ),
        );
      },
    },
    {
      path: 'unix/add',
      syntax: '/PATH:GUEST:PORT|PORT:/PATH',
      help: 'listen at a path for a guest (as -L), or lead a port of the router to a socket (as -x)',
      run: async (_words, text) => {
        if (text === '') return failure('EINVAL', UNIX_FORM);
        if (isUnixForward(text)) {
          await unixForwards.add(parseUnixForwardText(text));
        } else {
          const service = parseUnixServiceText(text);
          if (!isAbsolute(service.path)) return failure('EINVAL', 'expected an absolute path');
          unixForwards.addService(service);
        }
        changed('forward/+', text);
        return SUCCESS;
      },
    },
    {
      path: 'unix/remove',
      syntax: 'PATH|PORT',
      help: 'close a forward by its path, or a service by its port (connections that came by it go on)',
      run: (_words, text) => {
        const { forwards, services } = unixForwards.list();
        const forward = forwards.find(({ path }) => path === text);
        const service = services.find(({ port }) => String(port) === text);
        if (forward !== undefined) unixForwards.remove(forward);
        else if (service !== undefined) unixForwards.removeService(service);
        else return failure('ENOENT');
        changed('forward/-', text);
        return SUCCESS;
      },
    },
  ];
}
