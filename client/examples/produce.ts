/**
 * Appends a hundred records and waits for each. Run beside `npm start`, after
 * `npx tidemark topic create orders`: `node_modules/.bin/node client/examples/produce.ts`
 */
import { connect, TidemarkError } from '../index.ts';

const client = connect({
  servers: process.env['TIDEMARK_SERVER'] ?? '127.0.0.1:9641,127.0.0.1:9642,127.0.0.1:9643',
});
const producer = client.producer({ acks: 'all' });

try {
  const orders = Array.from({ length: 100 }, (_, index) => ({
    customer: `customer-${index % 7}`,
    amount: index,
  }));
  // Together, not one after another: they travel in few batches, and records of one customer keep
  // their order.
  const appended = await Promise.all(
    orders.map((order) =>
      producer.send({
        topic: 'orders',
        key: order.customer,
        value: JSON.stringify(order),
      }),
    ),
  );
  for (const { partition, offset } of appended.slice(-3))
    process.stdout.write(`appended at ${partition}/${offset}\n`);
} catch (error) {
  if (!(error instanceof TidemarkError)) throw error;
  // OUTCOME_UNKNOWN is the one failure after which a record may be in the log nevertheless.
  process.stderr.write(`${error.code}: ${error.message}\n`);
  process.exitCode = 1;
} finally {
  await client.close();
}
