/** Makes a topic that survives the loss of one broker, and asks which brokers may stop now. */
import { connect, TidemarkError } from '../index.ts';

const client = connect({
  servers: process.env['TIDEMARK_SERVER'] ?? '127.0.0.1:9641,127.0.0.1:9642,127.0.0.1:9643',
});
const admin = client.admin();

try {
  await admin.createTopic({
    name: 'orders',
    partitions: 3,
    replicationFactor: 3,
    config: { minInSyncReplicas: 2, retentionMs: 7 * 86_400_000 },
  });
} catch (error) {
  if (!(error instanceof TidemarkError && error.code === 'TOPIC_EXISTS')) throw error;
}
const { brokers } = await admin.describeCluster();
for (const { brokerId, rack } of brokers) {
  const { safe, reason } = await admin.checkDisruption([brokerId]);
  process.stdout.write(`broker ${brokerId} in ${rack}: ${safe ? 'may stop' : reason}\n`);
}
await client.close();
