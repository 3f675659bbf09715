/**
 * Spans and metrics by OpenTelemetry's conventions for messaging, where a program has set a
 * provider up: `@opentelemetry/api` is optional, and nothing is done without it.
 */
import { createRequire } from 'node:module';
import type * as Otel from '@opentelemetry/api';
import type { RecordHeader } from '../wire/records/record-set.ts';
import type { AbortableSettler } from './producer/abortable-settler.ts';
import type { PreparedRecord } from './producer/prepare.ts';
import type { Tracing } from './tracing.ts';

type Api = typeof Otel;

const NAME = 'tidemark';
/** Convention: seconds. */
const MS_PER_S = 1_000;

const utf8 = new TextEncoder();
const fromUtf8 = new TextDecoder();

/** Undefined where the program does not have the API. */
export function openTelemetry(nowMs: () => number): Tracing | undefined {
  try {
    return new Telemetry(createRequire(import.meta.url)('@opentelemetry/api') as Api, nowMs);
  } catch {
    // Optional: the program does without.
    return undefined;
  }
}

function attributesOf(topic: string, operation: 'send' | 'receive'): Otel.Attributes {
  return {
    'messaging.system': NAME,
    'messaging.destination.name': topic,
    'messaging.operation.name': operation,
    'messaging.operation.type': operation,
  };
}

class Telemetry implements Tracing {
  readonly #api: Api;
  readonly #nowMs: () => number;
  readonly #tracer: Otel.Tracer;
  readonly #sent: Otel.Counter;
  readonly #consumed: Otel.Counter;
  readonly #duration: Otel.Histogram;

  constructor(api: Api, nowMs: () => number) {
    this.#api = api;
    this.#nowMs = nowMs;
    // A provider that is set later is used from then on.
    this.#tracer = api.trace.getTracer(NAME);
    const meter = api.metrics.getMeter(NAME);
    this.#sent = meter.createCounter('messaging.client.sent.messages');
    this.#consumed = meter.createCounter('messaging.client.consumed.messages');
    this.#duration = meter.createHistogram('messaging.client.operation.duration', { unit: 's' });
  }

  sent(
    item: PreparedRecord | Promise<PreparedRecord>,
    settler: AbortableSettler,
  ): PreparedRecord | Promise<PreparedRecord> {
    const traced = (record: PreparedRecord): PreparedRecord =>
      quietly(() => this.#traced(record, settler)) ?? record;
    return item instanceof Promise ? item.then(traced) : traced(item);
  }

  #traced(record: PreparedRecord, settler: AbortableSettler): PreparedRecord {
    const api = this.#api;
    const { topic } = record;
    const startMs = this.#nowMs();
    const attributes = attributesOf(topic, 'send');
    const span = this.#tracer.startSpan(`send ${topic}`, {
      kind: api.SpanKind.PRODUCER,
      attributes,
    });
    settler.onEnd = (error, metadata) =>
      quietly(() => {
        const failed = error === undefined ? {} : { 'error.type': codeOf(error) };
        if (metadata !== undefined) {
          span.setAttribute('messaging.destination.partition.id', `${metadata.partition}`);
          span.setAttribute('messaging.tidemark.offset', metadata.offset);
        }
        if (error !== undefined) {
          span.recordException(error);
          span.setStatus({ code: api.SpanStatusCode.ERROR, message: error.message });
        }
        span.end();
        this.#sent.add(1, { ...attributes, ...failed });
        const seconds = (this.#nowMs() - startMs) / MS_PER_S;
        this.#duration.record(seconds, { ...attributes, ...failed });
      });
    const carrier: Record<string, string> = {};
    api.propagation.inject(api.trace.setSpan(api.context.active(), span), carrier);
    const own = record.headers ?? [];
    const added = Object.entries(carrier)
      .filter(([key]) => !own.some((header) => header.key === key))
      .map(([key, value]) => ({ key, value: utf8.encode(value) }));
    return added.length === 0 ? record : { ...record, headers: [...own, ...added] };
  }

  /** Linked to the spans that sent the records. */
  received(
    topic: string,
    partition: number,
    records: readonly { readonly headers: readonly RecordHeader[] }[],
  ): void {
    quietly(() => this.#received(topic, partition, records));
  }

  #received(
    topic: string,
    partition: number,
    records: readonly { readonly headers: readonly RecordHeader[] }[],
  ): void {
    const api = this.#api;
    const attributes = attributesOf(topic, 'receive');
    this.#consumed.add(records.length, attributes);
    // Of a context: what else travels in headers is nobody's text.
    const fields = new Set(api.propagation.fields());
    const links = records.flatMap(({ headers }) => {
      if (fields.size === 0 || headers.length === 0) return [];
      const carrier = Object.fromEntries(
        headers
          .filter(({ key }) => fields.has(key))
          .map(({ key, value }) => [key, fromUtf8.decode(value)]),
      );
      const found = api.propagation.extract(api.ROOT_CONTEXT, carrier);
      const context = api.trace.getSpanContext(found);
      return context === undefined ? [] : [{ context }];
    });
    this.#tracer
      .startSpan(`receive ${topic}`, {
        kind: api.SpanKind.CONSUMER,
        links,
        attributes: {
          ...attributes,
          'messaging.destination.partition.id': `${partition}`,
          'messaging.batch.message_count': records.length,
        },
      })
      .end();
  }
}

/** A provider that throws harms no record. */
function quietly<T>(tell: () => T): T | undefined {
  try {
    return tell();
  } catch {
    // It is told by whoever made the provider, if by anybody.
    return undefined;
  }
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}
