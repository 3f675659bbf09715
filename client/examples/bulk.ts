/**
 * Appends a million records as fast as they are taken, with bounded memory: `enqueue` until it says
 * no, then wait for room.
 */
import { connect } from '../index.ts';

const client = connect({
  servers: process.env['TIDEMARK_SERVER'] ?? '127.0.0.1:9641,127.0.0.1:9642,127.0.0.1:9643',
});
let failed = 0;
const producer = client.producer({
  compression: 'zstd',
  onDelivery: ({ error, recordCount }) => {
    if (error !== undefined) failed += recordCount;
  },
});
const value = new TextEncoder().encode('a line of a log, again and again');

for (let sent = 0; sent < 1_000_000; ) {
  if (producer.enqueue({ topic: 'orders', value })) sent += 1;
  else await producer.ready();
}
await producer.flush();
process.stdout.write(`${producer.counters().recordsDelivered} delivered, ${failed} failed\n`);
await client.close();
