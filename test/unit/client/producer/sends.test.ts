/** Sends that are given up, refused or late, before anything of them is appended. */
import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connect, type Tidemark, topic } from '../../../../client/index.ts';
import { SendQueue } from '../../../../client/producer/send-queue.ts';
import { FakeCluster, TOPIC } from '../fake-cluster.ts';
import { bytes, logOf } from '../records.ts';

let cluster: FakeCluster;
let client: Tidemark;

beforeEach(async () => {
  cluster = new FakeCluster();
  await cluster.start();
  client = connect({ servers: cluster.servers });
});

afterEach(async () => {
  await client.close();
  cluster.stop();
});

describe('a send whose signal was aborted before', () => {
  it('appends nothing, as it says', async () => {
    const producer = client.producer();
    const signal = AbortSignal.abort();
    await expect(producer.send({ topic: TOPIC, value: 'a' }, { signal })).rejects.toMatchObject({
      code: 'ABORTED',
      effect: 'none',
    });
    await producer.send({ topic: TOPIC, value: 'b' });
    expect(logOf(cluster, 0)).toEqual(['b']);
  });
});

describe('a send that is refused at once', () => {
  const refused: readonly { readonly name: string; readonly record: object; code: string }[] = [
    { name: 'too large', record: { value: new Uint8Array(2 ** 21) }, code: 'BATCH_TOO_LARGE' },
    { name: 'no record', record: { value: 5 }, code: 'INVALID_ARGUMENT' },
  ];
  it.each(refused)('leaves nothing on its signal: $name', async ({ record, code }) => {
    const producer = client.producer();
    const { signal } = new AbortController();
    await producer.send({ topic: TOPIC, value: 'a' });
    const sent = producer.send({ topic: TOPIC, ...record } as never, { signal });
    await expect(sent).rejects.toMatchObject({ code });
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});

describe('a codec that fails later', () => {
  const heard: unknown[] = [];
  const hear = (reason: unknown): void => void heard.push(reason);
  beforeEach(() => {
    heard.length = 0;
    process.on('unhandledRejection', hear);
  });
  afterEach(() => process.off('unhandledRejection', hear));
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  it('is heard by nobody but its caller, however long others wait before it', async () => {
    const queue = new SendQueue<string>(() => Promise.resolve());
    const first = Promise.withResolvers<string>();
    const told: string[] = [];
    const add = (item: Promise<string>): void =>
      queue.add({
        item,
        take: (text) => told.push(text) > 0,
        isGivenUp: () => false,
        refuse: ({ message }) => void told.push(message),
      });
    add(first.promise);
    add(Promise.reject(new Error('does not fit')));
    await turn();
    await turn();
    first.resolve('first');
    await queue.empty();
    expect(told).toEqual(['first', expect.stringContaining('does not fit')]);
    expect(heard).toEqual([]);
  });

  it('beside a value that does not fit at once is heard as that alone', async () => {
    const later = {
      name: 'later',
      encode: () => Promise.reject(new Error('no key')),
      decode: bytes,
    };
    const never = {
      name: 'never',
      encode: (): Uint8Array => {
        throw new Error('no value');
      },
      decode: bytes,
    };
    const typed = topic(TOPIC, { key: later as never, value: never as never });
    const sent = client.producer().send({ topic: typed, key: 'k', value: 'v' } as never);
    await expect(sent).rejects.toThrow('no value');
    await turn();
    await turn();
    expect(heard).toEqual([]);
  });
});
