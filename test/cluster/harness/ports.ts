/**
 * Ports of 127.0.0.1 that nobody listens on, below the range from which the kernel takes ports for
 * outgoing connections.
 */
import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

const FIRST = 20_000;
const LAST = 32_000;
const TRIES_MAX = 200;

/**
 * The first of `count` neighbouring free ports: they stay free while a broker that listened there
 * is down.
 */
export async function freePorts(count: number): Promise<number> {
  for (let attempt = 0; attempt < TRIES_MAX; attempt += 1) {
    const first = randomInt(FIRST, LAST - count);
    const free = await Promise.all(
      Array.from({ length: count }, (_, index) => isFree(first + index)),
    );
    if (free.every((one) => one)) return first;
  }
  throw new Error(`found no ${count} neighbouring free ports between ${FIRST} and ${LAST}`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
