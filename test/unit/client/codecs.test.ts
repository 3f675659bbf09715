import { afterEach, beforeEach, describe, expect, expectTypeOf, it } from 'vitest';
import {
  bytes,
  connect,
  json,
  type StandardSchema,
  text,
  type Tidemark,
  topic,
} from '../../../client/index.ts';
import { FakeCluster, TOPIC } from './fake-cluster.ts';
import { bytes as utf8, logOf } from './records.ts';

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

interface Order {
  readonly amount: number;
}

/** A schema whose values travel with the amount as text. */
function orders(isAsync: boolean): StandardSchema<{ readonly amount: string }, Order> {
  return {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: (value) => {
        const amount = Number((value as { readonly amount?: unknown } | null)?.amount);
        const result = Number.isNaN(amount)
          ? { issues: [{ message: 'must be a number', path: ['order', { key: 'amount' }] }] }
          : { value: { amount } };
        return isAsync ? Promise.resolve(result) : result;
      },
    },
  };
}

async function readAll<Value>(values: AsyncIterable<{ readonly value: Value }>): Promise<Value[]> {
  const found: Value[] = [];
  for await (const { value } of values) found.push(value);
  return found;
}

describe('json()', () => {
  it.each([false, true])('takes what a schema takes, and gives what it makes', async (isAsync) => {
    const typed = topic(TOPIC, { key: text, value: json(orders(isAsync)) });
    const producer = client.producer();
    const sent = ['1', '2', '3'].map((amount) =>
      producer.send({ topic: typed, key: 'k', value: { amount } }),
    );
    expect((await Promise.all(sent)).map(({ offset }) => offset)).toEqual([0, 1, 2]);
    expect(logOf(cluster)).toEqual(['{"amount":"1"}', '{"amount":"2"}', '{"amount":"3"}']);
    const consumer = client.consumer({ topic: typed, follow: false });
    const found = await readAll(consumer.records());
    expectTypeOf(found).toEqualTypeOf<(Order | null)[]>();
    expect(found).toEqual([{ amount: 1 }, { amount: 2 }, { amount: 3 }]);
  });

  it.each([false, true])('refuses what a schema refuses, with its words', async (isAsync) => {
    const typed = topic(TOPIC, { value: json(orders(isAsync)) });
    const sent = client.producer().send({ topic: typed, value: { amount: 'many' } });
    await expect(sent).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: `Cannot send record to "${TOPIC}": value does not fit json: order.amount: must be a number`,
    });
    expect(cluster.arrivals).toEqual([]);
  });

  const circle: Record<string, unknown> = {};
  circle['again'] = circle;

  it.each([
    ['NaN', Number.NaN],
    ['Infinity at a.b', { a: { b: Infinity } }],
    ['7n at 0', [7n]],
    ['undefined', undefined],

    ['undefined at 1', [1, , 2]],
    ['a Map', new Map([[1, 2]])],
    ['a Uint8Array at bytes', { bytes: new Uint8Array(2) }],
    ['a Buffer', Buffer.from('x')],
    ['a function at run', { run: () => 1 }],
    ['a circle at again', circle],
  ])('refuses %s, which JSON cannot hold', async (shown, value) => {
    const sent = client.producer().send({ topic: topic(TOPIC, { value: json() }), value });
    await expect(sent).rejects.toThrow(`JSON cannot hold ${shown}`);
  });

  it('writes dates, and leaves out what is undefined', async () => {
    const typed = topic(TOPIC, { value: json() });
    await client.producer().send({ topic: typed, value: { at: new Date(0), none: undefined } });
    expect(logOf(cluster)).toEqual(['{"at":"1970-01-01T00:00:00.000Z"}']);
  });

  it('refuses to be made of anything but a schema', () => {
    expect(() => json({ parse: () => 1 } as never)).toThrow('schema is an object');
  });
});

describe('text and bytes', () => {
  it('take what they say and nothing else', async () => {
    const producer = client.producer();
    const asText = topic(TOPIC, { value: text });
    const asBytes = topic(TOPIC, { value: bytes });
    await producer.send({ topic: asText, value: 'a' });
    await producer.send({ topic: asBytes, value: utf8('b') });
    await expect(producer.send({ topic: asText, value: utf8('c') as never })).rejects.toThrow(
      'value does not fit text: it is a Uint8Array, must be a string',
    );
    await expect(producer.send({ topic: asBytes, value: 'd' as never })).rejects.toThrow(
      'value does not fit bytes: it is "d", must be a Uint8Array',
    );
    expect(logOf(cluster)).toEqual(['a', 'b']);
    expect(await readAll(client.consumer({ topic: asText, follow: false }).records())).toEqual([
      'a',
      'b',
    ]);
  });

  it('are not enqueued where they take time', () => {
    const slow = topic(TOPIC, { value: json(orders(true)) });
    expect(() => client.producer().enqueue({ topic: slow, value: { amount: '1' } })).toThrow(
      'its codec takes time; use send()',
    );
  });
});
