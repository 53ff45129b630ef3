// One end of a TCP connection that sends much, or one that does not read until it is told to.
//
//     node --import=tsx stall.ts send|hold listen PORT
//     node --import=tsx stall.ts send|hold connect HOST PORT
//
// `send` offers TOTAL bytes. It prints `stalled N` when for STILL_MS the kernel has taken no more than N bytes, and `sent`
// when all are taken. `hold` reads when something comes on standard input, and prints `got N` at the end.
import { connect, createServer, type Socket } from 'node:net';

const TOTAL = 40 << 20;
const CHUNK = Buffer.alloc(64 << 10, 'stall');
const STILL_MS = 2000;

function send(socket: Socket): void {
  let offered = 0;
  const taken = (): number => socket.bytesWritten - socket.writableLength;
  const fill = (): void => {
    while (offered < TOTAL) {
      offered += CHUNK.length;
      if (!socket.write(CHUNK)) return;
    }
    socket.end(() => console.log('sent'));
    clearInterval(watch);
  };
  let before = -1;
  const watch = setInterval(() => {
    if (taken() === before) console.log(`stalled ${before}`);
    before = taken();
  }, STILL_MS);
  socket.on('drain', fill);
  fill();
}

function hold(socket: Socket): void {
  let bytes = 0;
  process.stdin.once('data', () => {
    socket.on('data', (data) => {
      bytes += data.length;
    });
    socket.resume();
  });
  socket.on('end', () => console.log(`got ${bytes}`));
}

const [role, verb, ...where] = process.argv.slice(2);
const act = (socket: Socket): void => {
  socket.on('error', (error) => console.log(error.message));
  if (role === 'send') send(socket);
  else hold(socket);
};
if (verb === 'listen') {
  createServer({ pauseOnConnect: true, allowHalfOpen: true }, act).listen(Number(where[0]), () => console.log('ready'));
} else {
  const socket = connect(Number(where[1]), where[0]!, () => act(socket));
  socket.pause();
}
