import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import {
  type Attributes,
  type Context,
  context,
  type Link,
  metrics,
  propagation,
  type Span,
  SpanKind,
  type SpanOptions,
  trace,
  type Tracer,
} from '@opentelemetry/api';
import { connect, type Tidemark } from '../../../client/index.ts';
import { FakeCluster, TOPIC } from './fake-cluster.ts';
import { text } from './records.ts';

interface Told {
  readonly name: string;
  readonly kind: SpanKind | undefined;
  readonly attributes: Attributes;
  readonly links: readonly Link[];
  error: string | undefined;
  isEnded: boolean;
}

const spans: Told[] = [];
const counts: { readonly name: string; readonly value: number; readonly of: unknown }[] = [];
const SPAN = { traceId: '0af7651916cd43dd8448eb211c80319c', traceFlags: 1 };
let cluster: FakeCluster;
let client: Tidemark;

/** A provider as small as the test needs. */
const tracer = {
  startSpan: (name: string, options: SpanOptions = {}): Span => {
    const attributes = { ...options.attributes };
    const { kind, links = [] } = options;
    const told: Told = { name, kind, attributes, links, error: undefined, isEnded: false };
    const spanContext = { ...SPAN, spanId: `${spans.push(told)}`.padStart(16, '0') };
    const span = {
      spanContext: () => spanContext,
      setAttribute: (key: string, value: string | number) => (attributes[key] = value),
      recordException: (error: Error) => (told.error = error.message),
      setStatus: () => span,
      end: () => (told.isEnded = true),
    };
    return span as unknown as Span;
  },
} as unknown as Tracer;

const counting = (name: string) => ({
  add: (value: number, of: unknown) => counts.push({ name, value, of }),
  record: () => undefined,
});

beforeEach(async () => {
  trace.setGlobalTracerProvider({ getTracer: () => tracer });
  metrics.setGlobalMeterProvider({
    getMeter: () => ({ createCounter: counting, createHistogram: counting }) as never,
  });
  propagation.setGlobalPropagator({
    fields: () => ['traceparent'],
    inject: (from: Context, carrier) => {
      const { traceId, spanId } = trace.getSpanContext(from)!;
      (carrier as Record<string, string>)['traceparent'] = `00-${traceId}-${spanId}-01`;
    },
    extract: (into: Context, carrier) => {
      const found = (carrier as Record<string, string>)['traceparent'];
      if (found === undefined) return into;
      const [, traceId = '', spanId = ''] = found.split('-');
      return trace.setSpanContext(into, { traceId, spanId, traceFlags: 1 });
    },
  });
  cluster = new FakeCluster();
  await cluster.start();
  client = connect({ servers: cluster.servers });
});

afterEach(async () => {
  vi.restoreAllMocks();
  await client.close();
  cluster.stop();
  for (const api of [trace, metrics, propagation, context]) api.disable();
  spans.length = 0;
  counts.length = 0;
});

it('spans of what is read are linked to those that sent it, through the headers', async () => {
  const headers = [{ key: 'own', value: 'x' }];
  const sent = await client.producer().send({ topic: TOPIC, value: 'a', headers });
  const consumer = client.consumer({ topic: TOPIC, follow: false });
  const found = await consumer.records().next();
  expect(found.value?.headers.map(({ key, value }) => [key, text(value)])).toEqual([
    ['own', 'x'],
    ['traceparent', `00-${SPAN.traceId}-0000000000000001-01`],
  ]);
  expect(spans).toMatchObject([
    {
      name: `send ${TOPIC}`,
      kind: SpanKind.PRODUCER,
      isEnded: true,
      attributes: {
        'messaging.system': 'tidemark',
        'messaging.destination.name': TOPIC,
        'messaging.operation.type': 'send',
        'messaging.destination.partition.id': '0',
        'messaging.tidemark.offset': sent.offset,
      },
    },
    {
      name: `receive ${TOPIC}`,
      kind: SpanKind.CONSUMER,
      isEnded: true,
      links: [{ context: { traceId: SPAN.traceId, spanId: '0000000000000001' } }],
      attributes: { 'messaging.batch.message_count': 1 },
    },
  ]);
  expect(counts).toMatchObject([
    { name: 'messaging.client.sent.messages', value: 1 },
    { name: 'messaging.client.consumed.messages', value: 1 },
  ]);
});

it('a send that fails ends its span with the error', async () => {
  const sent = client.producer().send({ topic: 'nothing', value: 'a' });
  await expect(sent).rejects.toMatchObject({ code: 'UNKNOWN_TOPIC' });
  expect(spans).toMatchObject([
    { isEnded: true, error: expect.stringContaining('UNKNOWN_TOPIC') as string },
  ]);
  expect(counts).toMatchObject([{ of: { 'error.type': 'UNKNOWN_TOPIC' } }]);
});

it('a provider that throws harms no record', async () => {
  vi.spyOn(tracer, 'startSpan').mockImplementation(() => {
    throw new Error('a fault of the provider');
  });
  const told = await client.producer().send({ topic: TOPIC, value: 'a' });
  expect(told.offset).toBe(0);
  const found = await client.consumer({ topic: TOPIC, follow: false }).records().next();
  expect(text(found.value!.value)).toBe('a');
});
