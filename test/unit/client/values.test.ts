/** What a JavaScript caller may hand in: types are not there to stop it. */
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Admin, connect, type ProducerRecord, type Tidemark } from '../../../client/index.ts';
import { decodeBatch } from '../../../wire/records/batch.ts';
import { crc32 } from 'node:zlib';
import type { DecodedRecord } from '../../../wire/records/record-set.ts';
import { FakeCluster, TOPIC } from './fake-cluster.ts';
import { bytes, logOf, text } from './records.ts';

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

function stored(): DecodedRecord[] {
  return cluster.partitions[0]!.frames.flatMap((frame) => [
    ...decodeBatch(frame, 0, crc32).records,
  ]);
}

function send(fields: object): Promise<unknown> {
  return client.producer().send({ topic: TOPIC, value: 'v', ...fields } as ProducerRecord);
}

function transferred(): Uint8Array {
  const array = bytes('gone');
  structuredClone(array.buffer, { transfer: [array.buffer as ArrayBuffer] });
  return array;
}

const LONE = '\ud800';

/** Kinds of values that are neither text nor bytes, and how an error shows them. */
const STRANGERS: readonly (readonly [string, unknown])[] = [
  ['1', 1],
  ['NaN', Number.NaN],
  ['true', true],
  ['7n', 7n],
  ['a symbol', Symbol('s')],
  ['a function', () => 'x'],
  ['an object', { toString: () => 'x' }],
  ['an object', Object.create(null)],
  ['an array of 3', [1, 2, 3]],

  ['an array of 2', [, 1]],
  ['an ArrayBuffer', new ArrayBuffer(4)],
  ['a DataView', new DataView(new ArrayBuffer(4))],
  ['a Uint16Array', new Uint16Array(2)],
  ['a Date', new Date(0)],
  ['a String', Object('boxed')],
  ['a Promise', Promise.resolve('x')],
  ['a Proxy', new Proxy(new Uint8Array(1), {})],
  ['a Uint8Array', Object.create(Uint8Array.prototype)],
];

describe('keys, values and header values', () => {
  it('are stored as UTF-8 where they are strings', async () => {
    await send({ key: 'k1', value: 'öäü', headers: [{ key: 'h', value: 'x' }] });
    await send({ key: '', value: '' });
    expect(stored()).toMatchObject([
      { key: bytes('k1'), value: bytes('öäü'), headers: [{ key: 'h', value: bytes('x') }] },
      { key: bytes(''), value: bytes('') },
    ]);
  });

  it('are stored as they are where they are bytes, of whichever realm', async () => {
    const foreign = runInNewContext('new Uint8Array([1, 2])') as Uint8Array;
    await send({ key: Buffer.from('k'), value: foreign, headers: [{ key: 'h', value: foreign }] });
    expect(stored()).toMatchObject([{ key: bytes('k'), value: new Uint8Array([1, 2]) }]);
  });

  it.each(STRANGERS)('are refused as %s', async (shown, stranger) => {
    const refused = (field: string): object => ({
      code: 'INVALID_ARGUMENT',
      message: `Cannot send record: ${field} is ${shown}, must be a string${field === 'value' ? ', a Uint8Array, or null for a tombstone' : ' or a Uint8Array'}`,
    });
    await expect(send({ value: stranger })).rejects.toMatchObject(refused('value'));
    await expect(send({ key: stranger })).rejects.toMatchObject(refused('key'));
    const headers = [{ key: 'h', value: stranger }];
    await expect(send({ headers })).rejects.toMatchObject(refused('headers[0].value'));
    expect(() => client.producer().enqueue({ topic: TOPIC, value: stranger as string })).toThrow(
      'value is',
    );
    expect(cluster.arrivals).toEqual([]);
  });

  it.each([
    ['a missing value', { value: undefined }, 'value is undefined'],
    ['a null key', { key: null }, 'key is null'],
    ['half a character', { value: `a${LONE}` }, 'half of a surrogate pair'],
    ['half a character in a key', { key: LONE }, 'key holds half'],
    ['a transferred buffer', { value: transferred() }, 'was transferred'],
    ['headers as an object', { headers: { a: 'b' } }, 'headers is an object, must be an array'],
    ['a hole among headers', { headers: new Array(1) }, 'headers[0] is undefined'],
    ['a header without a name', { headers: [{ value: 'x' }] }, 'headers[0].key is undefined'],
    ['half a name', { headers: [{ key: LONE, value: 'x' }] }, 'headers[0].key is'],
    ['a header of more', { headers: [{ key: 'h', value: 'x', name: 1 }] }, 'headers[0] has "name"'],
    ['a field that is not known', { message: 'x' }, '"message" is not known, allowed are topic'],
    ['a partition as text', { partition: '0' }, 'partition is "0"'],
    ['a time as a date', { timestampMs: new Date(1) }, 'timestampMs is a Date'],
    ['no topic', { topic: undefined }, 'topic is undefined'],
  ])('refuse %s', async (_name, fields, message) => {
    await expect(send(fields)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      effect: 'none',
      message: expect.stringContaining(message) as string,
    });
    expect(cluster.arrivals).toEqual([]);
  });

  it('are copied: a buffer that is filled again changes no record', async () => {
    const producer = client.producer();
    const buffer = Buffer.from('first');
    const header = Buffer.from('one');
    const sent = [
      producer.send({
        topic: TOPIC,
        key: buffer,
        value: buffer,
        headers: [{ key: 'h', value: header }],
      }),
    ];
    buffer.write('again');
    header.write('two');
    sent.push(producer.send({ topic: TOPIC, value: buffer }));
    buffer.fill(0);
    await Promise.all(sent);
    expect(logOf(cluster)).toEqual(['first', 'again']);
    expect(text(stored()[0]!.key!)).toBe('first');
    expect(stored()[0]!.headers).toEqual([{ key: 'h', value: bytes('one') }]);
  });
});

/** Every call that takes options or a request, with what it must refuse, and what it says. */
const REFUSALS: readonly (readonly [string, () => unknown, string])[] = [
  [
    'connect',
    () => connect({ servers: 'a:1', server: 'b:2' } as never),
    '"server" is not known, allowed are servers, tls, token, credentials',
  ],
  [
    'connect with half a certificate',
    () => connect({ servers: 'a:1', tls: { cert: 'c' } }),
    'tls.key is absent',
  ],
  [
    'connect with no PEM',
    () => connect({ servers: 'a:1', tls: { ca: 1 } } as never),
    'tls.ca is 1',
  ],
  ['connect to a number', () => connect({ servers: 9641 } as never), 'servers is 9641'],
  ['connect without options', () => connect(undefined as never), 'what was given is undefined'],
  ['connect with a hole', () => connect({ servers: new Array(1) }), 'servers[0] is missing'],
  [
    'connect with credentials',
    () => connect({ servers: 'a:1', credentials: {} } as never),
    'credentials is an object',
  ],
  [
    'producer',
    () => client.producer({ linger: 5 } as never),
    '"linger" is not known, allowed are acks, compression',
  ],
  [
    'producer acks',
    () => client.producer({ acks: -1 } as never),
    'acks is -1, must be none, leader or all',
  ],
  [
    'producer lingerMs',
    () => client.producer({ lingerMs: '5' } as never),
    'lingerMs is "5", must be 0 to 60000',
  ],
  [
    'producer idempotent',
    () => client.producer({ idempotent: 'no' } as never),
    'idempotent is "no", must be true or false',
  ],
  [
    'producer onDelivery',
    () => client.producer({ onDelivery: 1 } as never),
    'onDelivery is 1, must be a function',
  ],
  [
    'consumer',
    () => client.consumer({ topic: TOPIC, fromBeginning: true } as never),
    '"fromBeginning" is not known',
  ],
  [
    'consumer from',
    () => client.consumer({ topic: TOPIC, from: 'begin' } as never),
    'from is "begin", must be earliest',
  ],
  [
    'consumer from offset',
    () => client.consumer({ topic: TOPIC, from: { offset: '1' } } as never),
    'from.offset is "1"',
  ],
  [
    'consumer from time',
    () => client.consumer({ topic: TOPIC, from: { timestampMs: new Date() } } as never),
    'from.timestampMs is a Date',
  ],
  [
    'consumer partitions',
    () => client.consumer({ topic: TOPIC, partitions: ['0'] } as never),
    'partitions[0] is "0"',
  ],
  [
    'consumer positions',
    () => client.consumer({ topic: TOPIC, positions: [{ partition: 0 }] } as never),
    'positions[0].offset is undefined',
  ],
  [
    'consumer onReset',
    () => client.consumer({ topic: TOPIC, onReset: 'newest' } as never),
    'onReset is "newest"',
  ],
];

describe('options', () => {
  it.each(REFUSALS)('of %s are refused by name', (_name, call, message) => {
    expect(call).toThrow(message);
  });

  it('that are undefined mean the same as absent ones', async () => {
    const producer = client.producer({ acks: undefined, lingerMs: undefined } as never);
    expect(await producer.send({ topic: TOPIC, value: 'a' })).toMatchObject({ offset: 0 });
  });

  it('of close() and lookUp() are refused too', async () => {
    const producer = client.producer();
    await expect(producer.close({ aborted: true } as never)).rejects.toThrow('"aborted" is not');
    await expect(producer.lookUp(7 as never)).rejects.toThrow('topic is 7');
  });
});

/** Calls of the admin with what must be refused before anything is sent. */
const ADMIN_REFUSALS: readonly (readonly [string, (admin: Admin) => Promise<unknown>, string])[] = [
  [
    'createTopic',
    (admin) => admin.createTopic({ name: TOPIC, replicas: 3 } as never),
    '"replicas" is not known, allowed are name',
  ],
  ['createTopic without a name', (admin) => admin.createTopic({} as never), 'name is undefined'],
  [
    'createTopic partitions',
    (admin) => admin.createTopic({ name: 'a', partitions: '3' } as never),
    'partitions is "3"',
  ],
  [
    'createTopic mode',
    (admin) => admin.createTopic({ name: 'a', config: { commitMode: 0 } } as never),
    'config.commitMode is 0, must be in-sync or quorum',
  ],
  [
    'alterTopic mode',
    (admin) => admin.alterTopic({ name: 'a', config: { commitMode: 'all' } } as never),
    'config.commitMode is "all"',
  ],
  [
    'alterTopic config',
    (admin) => admin.alterTopic({ name: 'a', config: { retention: 1 } } as never),
    '"config.retention" is not known',
  ],
  [
    'alterTopic retention',
    (admin) => admin.alterTopic({ name: 'a', config: { retentionMs: '7d' } } as never),
    'config.retentionMs is "7d"',
  ],
  ['deleteTopic', (admin) => admin.deleteTopic(undefined as never), 'name is undefined'],
  ['describeBroker', (admin) => admin.describeBroker('1' as never), 'brokerId is "1"'],
  ['removeBroker', (admin) => admin.removeBroker(-1), 'brokerId is -1, must be 0 to'],
  [
    'listTopics',
    (admin) => admin.listTopics('orders' as never),
    'names is "orders", must be an array',
  ],
  ['electLeader', (admin) => admin.electLeader({ topic: 'a' } as never), 'partition is undefined'],
  ['checkDisruption', (admin) => admin.checkDisruption([1.5]), 'brokerIds[0] is 1.5'],
  [
    'trimTopic',
    (admin) => admin.trimTopic('a', [{ partition: 0, offset: -1 }]),
    'trims[0].offset is -1',
  ],
  [
    'trimTopic with more',
    (admin) => admin.trimTopic('a', [{ partition: 0, offset: 1, all: true } as never]),
    '"trims[0].all" is not known',
  ],
  [
    'reassignPartition',
    (admin) => admin.reassignPartition('a', 0, [null] as never),
    'replicas[0] is null',
  ],
  [
    'settings',
    (admin) => admin.setClusterSettings({ topicDefaults: { commitMode: 1 } } as never),
    'topicDefaults.commitMode is 1',
  ],
  [
    'a signal',
    (admin) => admin.describeCluster({ signal: 'x' } as never),
    'signal is "x", must be an AbortSignal',
  ],
  [
    'a control',
    (admin) => admin.describeCluster({ timeout: 5 } as never),
    '"timeout" is not known, allowed are signal',
  ],
];

describe('Admin', () => {
  it.each(ADMIN_REFUSALS)('refuses %s', async (_name, call, message) => {
    await expect(call(client.admin())).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining(message) as string,
    });
    expect(cluster.adminCalls).toEqual([]);
  });

  it('gives commit modes as words, and never as numbers', async () => {
    expect((await client.admin().describeTopic(TOPIC)).config.commitMode).toBe('in-sync');
  });

  it('ends a call whose signal is aborted', async () => {
    for (const broker of [1, 2, 3]) cluster.silent.add(broker);
    const stop = new AbortController();
    const listing = client.admin().listTopics([], { signal: stop.signal });
    stop.abort();
    await expect(listing).rejects.toMatchObject({ code: 'ABORTED', effect: 'none' });
    const late = client.admin().deleteTopic(TOPIC, { signal: stop.signal });
    await expect(late).rejects.toMatchObject({ code: 'ABORTED', effect: 'none' });
  });
});

describe('servers', () => {
  it.each(['127.0.0.1:9641,', ' 127.0.0.1:9641 , ', ',127.0.0.1:9641'])(
    '%s is one',
    async (servers) => {
      await expect(connect({ servers }).close()).resolves.toBeUndefined();
    },
  );

  it.each(['', ',', ' , '])('"%s" is none', (servers) => {
    expect(() => connect({ servers })).toThrow('servers holds nothing');
  });
});
