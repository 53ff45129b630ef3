// The servers beyond the router, run as a process of its own in the server namespace: `node --import=tsx server.ts [::]`,
// on IPv4, or with `::` on IPv6.
//
//   HTTP 80      GET /bytes/N    N bytes of the pattern            PUT /digest   digest of what was sent
//                GET /peer       the client's address              GET /late     the digest of the last call to 7002
//                GET /torn/N     N bytes, whose end only the end of the connection tells, and then RST
//                GET /slam/N     the same with the RST in the same moment; N bytes are sent at once below 10,000
//   TCP 7001     reads to the client's end, then answers with the digest: the client closes its half first
//   TCP 7002     sends a greeting and closes its half first, then reads on to the client's end
//   UDP 7003     sends each datagram back
//   TCP 7004     sends the client's address and port, and closes
//   UDP 7005, 7006  sends the client's address and port
//
// A digest is a line `BYTES SHA256`. Prints `ready` once all of them listen.
import { createHash } from 'node:crypto';
import { createSocket, type RemoteInfo } from 'node:dgram';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type Server } from 'node:net';
import type { Readable } from 'node:stream';
import { patternStream } from './pattern.ts';

/** Digest of a stream up to its end, or the reason why that did not come. An iterator would close the socket's other half. */
function digest(stream: Readable): Promise<string> {
  const hash = createHash('sha256');
  let bytes = 0;
  stream.on('data', (chunk: Buffer) => {
    hash.update(chunk);
    bytes += chunk.length;
  });
  return new Promise((resolve) => {
    stream.on('end', () => resolve(`${bytes} ${hash.digest('hex')}\n`));
    stream.on('error', (error) => resolve(`${error.message}\n`));
  });
}

const host = process.argv[2] ?? '0.0.0.0';
const isIpv6 = host.includes(':');

let late = 'none\n';

const http = createHttpServer(async (request, response) => {
  const [, verb, argument] = (request.url ?? '').split('/');
  if (verb === 'bytes') {
    const total = Number(argument);
    response.writeHead(200, { 'content-length': total });
    patternStream(total).pipe(response);
  } else if (verb === 'digest') {
    response.end(await digest(request));
  } else if (verb === 'peer') {
    response.end(`${request.socket.remoteAddress}\n`);
  } else if (verb === 'torn') {
    request.socket.write('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n');
    request.socket.write(Buffer.alloc(Number(argument), 'x'), () => {
      setTimeout(() => request.socket.resetAndDestroy(), 200); // behind the data: RST overtakes what waits in the kernel
    });
  } else if (verb === 'slam') {
    const head = 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n';
    request.socket.write(head + 'x'.repeat(Number(argument)), () => request.socket.resetAndDestroy());
  } else if (verb === 'late') {
    response.end(late);
  } else {
    response.writeHead(404).end();
  }
});

const clientFirst = createServer({ allowHalfOpen: true }, async (socket) => {
  socket.end(await digest(socket));
});

const serverFirst = createServer({ allowHalfOpen: true }, async (socket) => {
  socket.end('the server has said all it had to say\n');
  late = await digest(socket);
});

const peerName = createServer((socket) => {
  socket.on('error', () => {});
  socket.end(`${socket.remoteAddress} ${socket.remotePort}\n`);
});

const listen = (server: Server, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    server.on('error', reject);
    server.listen({ port, host, ipv6Only: isIpv6, backlog: 512 }, resolve);
  });

/** A UDP server on `port` that answers each datagram at once. */
function answer(port: number, reply: (data: Buffer, from: RemoteInfo) => Buffer | string): Promise<void> {
  const socket = createSocket({ type: isIpv6 ? 'udp6' : 'udp4', ipv6Only: isIpv6 });
  socket.on('message', (data, from) => socket.send(reply(data, from), from.port, from.address));
  return new Promise((resolve) => socket.bind(port, host, resolve));
}

const peerLine = (_: Buffer, from: RemoteInfo): string => `${from.address} ${from.port}\n`;

await Promise.all([
  listen(http, 80),
  listen(clientFirst, 7001),
  listen(serverFirst, 7002),
  listen(peerName, 7004),
  answer(7003, (data) => data),
  answer(7005, peerLine),
  answer(7006, peerLine),
]);
console.log('ready');
