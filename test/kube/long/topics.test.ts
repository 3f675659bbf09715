/** LogTopics on a real API server: made, changed, adopted, never stolen, deleted by policy. */
import { describe, expect, it } from 'vitest';
import { when } from '../../cluster/harness/wait.ts';
import { type Kube, useKube } from '../harness.ts';
import { OperatedCluster, type Resource } from '../operated.ts';

describe('a LogTopic', () => {
  const scene = useKube(async (kube) => {
    const cluster = new OperatedCluster(kube);
    await cluster.start();
    return { kube, cluster };
  });

  it('makes a topic, changes it, and takes it along', async () => {
    const { kube, cluster } = scene();
    const made = await applied(kube, 'letters', { partitions: 2, deletionPolicy: 'Delete' });
    const [topic] = await cluster.topics('letters');
    expect(topic).toMatchObject({ topicId: made.status?.topicId, replicationFactor: 3 });
    await applied(kube, 'letters', {
      ...{ partitions: 4, deletionPolicy: 'Delete', minInSyncReplicas: 1 },
      retention: { time: '1h' },
    });
    const [changed] = await cluster.topics('letters');
    expect(changed?.partitions).toHaveLength(4);
    expect(changed?.config).toMatchObject({ minInSyncReplicas: 1, retentionMs: 3_600_000 });
    await kube.kubectl('delete', 'logtopic', 'letters', '--wait', '--timeout=60s');
    await kube.wait('the topic to go with it', async (note) => {
      const left = await cluster.topics();
      note(left);
      return when(left.length === 0);
    });
  });

  it('adopts a topic with its records, and leaves it behind', async () => {
    const { kube, cluster } = scene();
    await cluster.createTopic('old', '--partitions', '2');
    await kube.tidemark(cluster.server, ['append', 'old'], 'kept\n');
    const [before] = await cluster.topics('old');
    const adopted = await applied(kube, 'old', { partitions: 2 });
    expect(adopted.status?.topicId).toBe(before?.topicId);
    const read = await kube.tidemark(cluster.server, ['read', 'old', '--format', 'raw']);
    expect(read).toBe('kept\n');
    await kube.kubectl('delete', 'logtopic', 'old', '--wait', '--timeout=60s');
    expect((await cluster.topics('old'))[0]?.topicId).toBe(before?.topicId);
  });

  it('steals no topic of another LogTopic', async () => {
    const { kube, cluster } = scene();
    const first = await applied(kube, 'first', { partitions: 1, topicName: 'shared' });
    await apply(kube, 'second', {
      ...{ partitions: 3, topicName: 'shared', deletionPolicy: 'Delete' },
    });
    const refusal = await kube.wait('the second one to be refused', async (note) => {
      const { status } = await kube.get<Resource>('logtopic', 'second');
      note(status);
      return status?.conditions?.find(({ reason }) => reason === 'TopicTaken')?.message;
    });
    expect(refusal).toBe('topic shared belongs to LogTopic first');
    await kube.kubectl('delete', 'logtopic', 'second', '--wait', '--timeout=60s');
    const [topic] = await cluster.topics('shared');
    expect(topic?.topicId).toBe(first.status?.topicId);
    expect(topic?.partitions).toHaveLength(1);
  });
});

async function apply(kube: Kube, name: string, spec: object): Promise<void> {
  await kube.apply({
    apiVersion: 'tidemark.dev/v1alpha1',
    kind: 'LogTopic',
    metadata: { name },
    spec: { clusterName: 'log', ...spec },
  });
}

/** Applies a LogTopic and resolves to it when it is Ready as it is now. */
async function applied(kube: Kube, name: string, spec: object): Promise<Resource> {
  await apply(kube, name, spec);
  return kube.wait(`LogTopic ${name} to be Ready`, async (note) => {
    const found = await kube.get<Resource>('logtopic', name);
    note(found.status);
    const isReady = found.status?.conditions?.some(
      ({ type, status, observedGeneration }) =>
        type === 'Ready' && status === 'True' && observedGeneration === found.metadata.generation,
    );
    return when(isReady === true) && found;
  });
}
