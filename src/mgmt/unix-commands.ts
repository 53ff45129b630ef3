// Menu `unix` of a router: Unix sockets of the host that lead to guests, and that guests reach.

import type { Router } from '../router/index.ts';
import { columns } from './columns.ts';
import type { ConsoleEntry } from './console.ts';
import { data, failure, SUCCESS } from './replies.ts';

export function unixCommands(router: Router): ConsoleEntry[] {
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
        return SUCCESS;
      },
    },
  ];
}
