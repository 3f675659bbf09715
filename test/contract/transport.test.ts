/**
 * The seam wire/grpc/channel.ts: what brokers, clients and peers count on, of grpc-js on loopback
 * and of the simulator.
 */
import type { EventEmitter } from 'node:events';
import {
  type ClientDuplexStream,
  type ClientReadableStream,
  Metadata,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status as Status,
} from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { BrokerError } from '../../base/errors.ts';
import { MESSAGE_BYTES_MAX } from '../../base/limits.ts';
import { failCall, unaryHandler } from '../../broker/messages/handlers.ts';
import { AckLevel, ProduceRequest } from '../../proto/gen/tidemark/v1/log.ts';
import { DETAILS_TRAILER, errorFromStatus } from '../../wire/grpc/errors.ts';
import { serializeProduce } from '../../wire/grpc/frame-messages.ts';
import { ECHO, type Told, type Transport, TRANSPORTS } from './transports.ts';

type UnaryCall = ServerUnaryCall<Buffer, Buffer>;
type StreamCall = ServerWritableStream<Buffer, Buffer>;
type BidiCall = ServerDuplexStream<Buffer, Buffer>;

interface Handlers {
  readonly unary?: (call: UnaryCall, callback: sendUnaryData<Buffer>) => void;
  readonly stream?: (call: StreamCall) => void;
  readonly bidi?: (call: BidiCall) => void;
}

const refuseUnary = (_: UnaryCall, callback: sendUnaryData<Buffer>): void => {
  callback({ code: Status.UNIMPLEMENTED });
};
const ignore = (): void => undefined;
const noDefect = (error: unknown): never => {
  throw error;
};

const text = (value: string): Buffer => Buffer.from(value);

/** Everything that a caller is told, in order. */
function listen(call: ClientDuplexStream<Buffer, Buffer> | ClientReadableStream<Buffer>) {
  const log: string[] = [];
  let status: Told | null = null;
  call.on('metadata', (metadata) => {
    log.push(`metadata ${metadata.get('said').join(',')}`.trim());
  });
  call.on('data', (bytes: Buffer) => log.push(`data ${bytes.toString()}`));
  call.on('error', (error: Error & Told) => log.push(`error ${Status[error.code]}`));
  call.on('status', (told: Told) => {
    status = told;
    log.push(`status ${Status[told.code]}`);
  });
  return { log, isOver: () => status !== null, status: () => status! };
}

/** Everything that a handler is told, in order. */
function follow(call: EventEmitter): string[] {
  const log: string[] = [];
  call.on('end', () => log.push('end'));
  call.on('error', () => log.push('error'));
  call.on('cancelled', () => log.push('cancelled'));
  return log;
}

describe.each(Object.keys(TRANSPORTS))('transport %s', (name) => {
  let transport: Transport | null = null;

  afterEach(async () => {
    await transport?.end();
    transport = null;
  });

  async function serve(handlers: Handlers): Promise<Transport> {
    const all = { unary: refuseUnary, stream: ignore, bidi: ignore, ...handlers };
    transport = await TRANSPORTS[name]!(ECHO, all);
    return transport;
  }

  function unary(
    { channel }: Pick<Transport, 'channel'>,
    request: Buffer,
    options: { readonly deadline?: number; readonly metadata?: Metadata } = {},
  ) {
    const { path, requestSerialize, responseDeserialize } = ECHO.unary;
    const answers: (Told | Buffer)[] = [];
    const { metadata = new Metadata(), ...rest } = options;
    const call = channel.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      metadata,
      rest,
      (error, answer) => answers.push(error ?? answer!),
    );
    const failure = (): Told => answers[0] as Told;
    return { call, answers, failure, isOver: () => answers.length > 0 };
  }

  function stream({ channel }: Transport, request: Buffer, deadline?: number) {
    const { path, requestSerialize, responseDeserialize } = ECHO.stream;
    const options = deadline === undefined ? {} : { deadline };
    const call = channel.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      new Metadata(),
      options,
    );
    return { call, ...listen(call) };
  }

  function bidi({ channel }: Pick<Transport, 'channel'>, metadata = new Metadata()) {
    const { path, requestSerialize, responseDeserialize } = ECHO.bidi;
    const call = channel.makeBidiStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      metadata,
    );
    return { call, ...listen(call) };
  }

  /** Lets everything that is under way come to pass: a call made now has ended. */
  async function settle(made: Transport): Promise<void> {
    const call = unary(made, text('settle'));
    await made.until(call.isOver);
  }

  const echo = (call: BidiCall): void => {
    call.on('data', (bytes: Buffer) => call.write(bytes));
    call.on('end', () => call.end());
    call.on('error', ignore);
  };

  describe('a unary call', () => {
    it('carries metadata and bytes there, and an answer back, once', async () => {
      const asked: unknown[] = [];
      const made = await serve({
        unary: (call, callback) => {
          asked.push(call.metadata.get('who'), call.request.toString());
          callback(null, text('answer'));
        },
      });
      const metadata = new Metadata();
      metadata.set('who', 'me');
      const { answers, isOver } = unary(made, text('question'), { metadata });
      await made.until(isOver);
      await settle(made);
      expect(asked.slice(0, 2)).toEqual([['me'], 'question']);
      expect(answers).toEqual([text('answer')]);
    });

    it('fails with the code, text and details of a broker, and with no other', async () => {
      const refusal = new BrokerError('NOT_LEADER', 'Not here: ä', { leader: 3, leaderEpoch: 7 });
      const made = await serve({ unary: unaryHandler(() => Promise.reject(refusal), noDefect) });
      const { failure, isOver } = unary(made, text('question'));
      await made.until(isOver);
      expect(failure()).toBeInstanceOf(Error);
      expect(failure().details).toBe('Not here: ä');
      const error = errorFromStatus(failure());
      expect([error.code, error.message, error.details]).toEqual([
        'NOT_LEADER',
        'Not here: ä',
        { leader: 3, leaderEpoch: 7 },
      ]);
    });

    it('tells a handler that the bytes are no message, which answers INVALID_ARGUMENT', async () => {
      const made = await serve({ unary: unaryHandler((request) => request, noDefect) });
      const { failure, isOver } = unary(made, text('!'));
      await made.until(isOver);
      expect(failure().code).toBe(Status.INVALID_ARGUMENT);
      expect(errorFromStatus(failure() as never).message).toContain('exclamation mark');
    });

    it('ends at its deadline on both sides, which the handler knows beforehand', async () => {
      const told: string[] = [];
      let deadlineMs = 0;
      const made = await serve({
        unary: (call) => {
          deadlineMs = Number(call.getDeadline());
          call.on('cancelled', () => told.push('cancelled'));
        },
      });
      const deadline = made.wallMs() + 200;
      const { failure, isOver } = unary(made, text('question'), { deadline });
      await made.until(() => isOver() && told.length > 0);
      expect(failure().code).toBe(Status.DEADLINE_EXCEEDED);
      expect(told).toEqual(['cancelled']);
      // What is told is how long is left: it loses at most what the way takes.
      expect(Math.abs(deadlineMs - deadline)).toBeLessThan(200);
    });

    it('that has no deadline says so', async () => {
      const deadlines: number[] = [];
      const made = await serve({
        unary: (call, callback) => {
          deadlines.push(Number(call.getDeadline()));
          callback(null, text(''));
        },
      });
      await settle(made);
      expect(deadlines).toEqual([Infinity]);
    });

    it('fails at once when its deadline has passed', async () => {
      const made = await serve({});
      const { failure, isOver } = unary(made, text('question'), { deadline: made.wallMs() - 1 });
      await made.until(isOver);
      expect(failure().code).toBe(Status.DEADLINE_EXCEEDED);
    });

    it('that is cancelled fails, and its handler hears of it', async () => {
      let handler: UnaryCall | null = null;
      const told: string[] = [];
      const made = await serve({
        unary: (call) => {
          handler = call;
          call.on('cancelled', () => told.push('cancelled'));
        },
      });
      const { call, answers, failure, isOver } = unary(made, text('question'));
      await made.until(() => handler !== null);
      call.cancel();
      call.cancel();
      await made.until(() => isOver() && told.length > 0);
      expect(answers).toHaveLength(1);
      expect(failure().code).toBe(Status.CANCELLED);
      expect(handler!.cancelled).toBe(true);
    });

    it('of a method that nobody serves fails', async () => {
      const made = await serve({});
      const answers: (Told | null)[] = [];
      const { requestSerialize, responseDeserialize } = ECHO.unary;
      made.channel.makeUnaryRequest(
        '/tidemark.test.Echo/Other',
        requestSerialize,
        responseDeserialize,
        text(''),
        new Metadata(),
        {},
        (error) => answers.push(error),
      );
      await made.until(() => answers.length > 0);
      expect(answers[0]?.code).toBe(Status.UNIMPLEMENTED);
    });
  });

  describe('a stream of answers', () => {
    it('tells metadata first, then messages in order, then one status', async () => {
      const made = await serve({
        stream: (call) => {
          const metadata = new Metadata();
          metadata.set('said', 'first');
          call.sendMetadata(metadata);
          for (let at = 0; at < 100; at += 1) call.write(text(`${call.request.toString()}${at}`));
          call.end();
        },
      });
      const { log, isOver } = stream(made, text('m'));
      await made.until(isOver);
      const messages = Array.from({ length: 100 }, (_, at) => `data m${at}`);
      expect(log).toEqual(['metadata first', ...messages, 'status OK']);
    });

    it('tells metadata also where the handler sent none', async () => {
      const made = await serve({
        stream: (call) => {
          call.write(text('m'));
          call.end();
        },
      });
      const { log, isOver } = stream(made, text(''));
      await made.until(isOver);
      expect(log).toEqual(['metadata', 'data m', 'status OK']);
    });

    it('tells what was sent before a refusal, then the error, then the status with details', async () => {
      const made = await serve({
        stream: (call) => {
          call.on('error', ignore);
          call.write(text('m'));
          failCall(call, new BrokerError('FENCED', 'Another took over'));
        },
      });
      const { log, status, isOver } = stream(made, text(''));
      await made.until(isOver);
      await settle(made);
      const code = Status[status().code];
      expect(log).toEqual(['metadata', 'data m', `error ${code}`, `status ${code}`]);
      expect(errorFromStatus(status() as never).code).toBe('FENCED');
    });

    it('ends at its deadline on both sides', async () => {
      let told: string[] = [];
      const made = await serve({
        stream: (call) => {
          told = follow(call);
          call.write(text('m'));
        },
      });
      const { log, isOver } = stream(made, text(''), made.wallMs() + 200);
      await made.until(() => isOver() && told.includes('cancelled'));
      expect(log.slice(-2)).toEqual(['error DEADLINE_EXCEEDED', 'status DEADLINE_EXCEEDED']);
    });

    it('lets the handler write no more than the caller takes, and says when it may go on', async () => {
      const message = Buffer.alloc(1024 * 1024, 97);
      let full = 0;
      let sent = 0;
      const made = await serve({
        stream: (call) => {
          const send = (): void => {
            while (sent < 64) {
              sent += 1;
              if (call.write(message)) continue;
              full += 1;
              return;
            }
            call.end();
          };
          call.on('drain', send);
          send();
        },
      });
      const { path, requestSerialize } = ECHO.stream;
      const call = made.channel.makeServerStreamRequest(
        path,
        requestSerialize,
        (bytes: Buffer) => bytes.length,
        text(''),
      );
      let taken = 0;
      let isOver = false;
      call.on('data', (length: number) => (taken += length));
      call.on('error', ignore);
      call.on('status', () => (isOver = true));
      await made.until(() => isOver);
      expect(full).toBeGreaterThan(0);
      expect(taken).toBe(64 * message.length);
    });
  });

  describe('a stream in both directions', () => {
    it('carries messages both ways in order, a half-close, and one status', async () => {
      let told: string[] = [];
      const made = await serve({
        bidi: (call) => {
          told = follow(call);
          echo(call);
        },
      });
      const metadata = new Metadata();
      const { call, log, isOver } = bidi(made, metadata);
      for (let at = 0; at < 50; at += 1) call.write(text(`m${at}`));
      call.end();
      await made.until(() => isOver() && told.includes('cancelled'));
      const messages = Array.from({ length: 50 }, (_, at) => `data m${at}`);
      expect(log).toEqual(['metadata', ...messages, 'status OK']);
      // A call that is over says so in this way, whatever its end was.
      expect(told).toEqual(['end', 'cancelled']);
    });

    it('tells the metadata of a handler before anything is sent', async () => {
      const made = await serve({
        bidi: (call) => {
          const metadata = new Metadata();
          metadata.set('said', 'hello');
          call.sendMetadata(metadata);
        },
      });
      const { call, log } = bidi(made);
      await made.until(() => log.length > 0);
      expect(log).toEqual(['metadata hello']);
      call.cancel();
      await made.until(() => log.includes('status CANCELLED'));
    });

    it('that is cancelled ends on both sides, and nothing comes after', async () => {
      let told: string[] = [];
      let handler: BidiCall | null = null;
      const made = await serve({
        bidi: (call) => {
          handler = call;
          told = follow(call);
          call.on('data', (bytes: Buffer) => call.write(bytes));
        },
      });
      const { call, log, isOver } = bidi(made);
      call.write(text('m'));
      await made.until(() => log.includes('data m'));
      call.cancel();
      await made.until(() => isOver() && told.includes('cancelled'));
      handler!.write(text('late'));
      await settle(made);
      expect(log.slice(-2)).toEqual(['error CANCELLED', 'status CANCELLED']);
      expect(log).not.toContain('data late');
      // To a handler that reads on, a stream that was cancelled looks as if its caller had ended it
      // first.
      expect(told).toEqual(['end', 'cancelled']);
      expect(handler!.cancelled).toBe(true);
    });

    it('that its handler ends while the caller still writes has one status', async () => {
      let told: string[] = [];
      const made = await serve({
        bidi: (call) => {
          told = follow(call);
          call.on('data', () => call.end());
        },
      });
      const { call, log, isOver } = bidi(made);
      call.write(text('m'));
      await made.until(isOver);
      call.write(text('late'));
      call.end();
      await made.until(() => told.includes('cancelled'));
      await settle(made);
      expect(log.filter((line) => line.startsWith('status'))).toEqual(['status OK']);
    });

    it('ends with the refusal of a handler, with its details, error before status', async () => {
      const refusal = new BrokerError('OVERLOADED', 'Later', { retryAfterMs: 50 });
      let told: string[] = [];
      const made = await serve({
        bidi: (call) => {
          told = follow(call);
          call.on('data', () => {
            failCall(call, refusal);
          });
        },
      });
      const { call, log, status, isOver } = bidi(made);
      call.write(text('m'));
      await made.until(() => isOver() && told.includes('cancelled'));
      const code = Status[status().code];
      expect(log.slice(-2)).toEqual([`error ${code}`, `status ${code}`]);
      const error = errorFromStatus(status());
      expect([error.code, error.details.retryAfterMs]).toEqual(['OVERLOADED', 50]);
    });

    it('ends at bytes that are no message, which its handler never sees', async () => {
      const seen: string[] = [];
      const made = await serve({
        bidi: (call) => {
          call.on('error', ignore);
          call.on('data', (request: Buffer) => {
            seen.push(request.toString());
          });
          call.on('end', () => call.end());
        },
      });
      const { call, log, isOver } = bidi(made);
      for (const each of ['a', '!', 'b']) call.write(text(each));
      call.end();
      await made.until(isOver);
      expect(seen).toEqual(['a']);
      expect(log.at(-1)).toBe('status INVALID_ARGUMENT');
    });

    it('holds messages back while its handler pauses, the half-close behind them', async () => {
      let handler: BidiCall | null = null;
      const seen: string[] = [];
      const made = await serve({
        bidi: (call) => {
          handler = call;
          call.on('data', (bytes: Buffer) => {
            seen.push(bytes.toString());
            if (seen.length === 1) call.pause();
          });
          call.on('end', () => {
            seen.push('end');
            call.end();
          });
        },
      });
      const { call, isOver } = bidi(made);
      for (const each of ['a', 'b', 'c']) call.write(text(each));
      call.end();
      await made.until(() => seen.length > 0);
      await settle(made);
      expect(seen).toEqual(['a']);
      handler!.resume();
      await made.until(isOver);
      expect(seen).toEqual(['a', 'b', 'c', 'end']);
    });

    it('lets the caller write no more than a pausing handler takes, and says when it may go on', async () => {
      const message = Buffer.alloc(1024 * 1024, 97);
      let handler: BidiCall | null = null;
      let taken = 0;
      const made = await serve({
        bidi: (call) => {
          handler = call;
          call.pause();
          call.on('data', (bytes: Buffer) => (taken += bytes.length));
          call.on('end', () => call.end());
          call.pause();
        },
      });
      const { call, isOver } = bidi(made);
      let drains = 0;
      call.on('drain', () => (drains += 1));
      let sent = 0;
      let hasRoom = true;
      while (hasRoom && sent < 64) {
        hasRoom = call.write(message);
        sent += 1;
      }
      expect(hasRoom).toBe(false);
      await made.until(() => handler !== null);
      handler!.resume();
      await made.until(() => drains > 0);
      call.end();
      await made.until(isOver);
      expect(taken).toBe(sent * message.length);
    });

    it('that nobody ends is told of a connection that is reset, on both sides', async () => {
      let told: string[] = [];
      const made = await serve({
        bidi: (call) => {
          told = follow(call);
          call.on('data', (bytes: Buffer) => call.write(bytes));
        },
      });
      const { call, log, status, isOver } = bidi(made);
      call.write(text('m'));
      await made.until(() => log.includes('data m'));
      made.breakConnections();
      await made.until(() => isOver() && told.includes('cancelled'));
      expect([Status.UNAVAILABLE, Status.CANCELLED]).toContain(status().code);
      expect(status().metadata.get(DETAILS_TRAILER)).toEqual([]);
      const code = Status[status().code];
      expect(log.slice(-2)).toEqual([`error ${code}`, `status ${code}`]);
      expect(told).not.toContain('end');
      // The channel connects again with the next call.
      const next = bidi(made);
      next.call.write(text('again'));
      await made.until(() => next.isOver() || next.log.includes('data again'));
      expect(next.log).toContain('data again');
      next.call.cancel();
      await made.until(next.isOver);
    });
  });

  describe('a message', () => {
    it("that is larger than a server takes ends its call, in the transport's words", async () => {
      const made = await serve({ unary: (_, callback) => callback(null, text('')), bidi: echo });
      const large = Buffer.alloc(MESSAGE_BYTES_MAX + 1);
      const { failure, isOver } = unary(made, large);
      await made.until(isOver);
      expect(failure().code).toBe(Status.RESOURCE_EXHAUSTED);
      expect(errorFromStatus(failure() as never).code).toBe('UNREACHABLE');
      const both = bidi(made);
      both.call.write(large);
      await made.until(both.isOver);
      expect(both.status().code).toBe(Status.RESOURCE_EXHAUSTED);
      expect(both.status().metadata.get(DETAILS_TRAILER)).toEqual([]);
    });

    it("that is larger than a caller takes ends its call, in the transport's words", async () => {
      const large = Buffer.alloc(MESSAGE_BYTES_MAX + 1);
      const made = await serve({
        unary: (_, callback) => callback(null, large),
        stream: (call) => {
          call.on('error', ignore);
          call.write(large);
        },
      });
      const { failure, isOver } = unary(made, text(''));
      await made.until(isOver);
      expect(failure().code).toBe(Status.RESOURCE_EXHAUSTED);
      const many = stream(made, text(''));
      await made.until(many.isOver);
      expect(many.status().code).toBe(Status.RESOURCE_EXHAUSTED);
      expect(many.status().metadata.get(DETAILS_TRAILER)).toEqual([]);
    });

    it('of the largest size passes', async () => {
      const made = await serve({ unary: (call, callback) => callback(null, call.request) });
      const { answers, isOver } = unary(made, Buffer.alloc(MESSAGE_BYTES_MAX, 97));
      await made.until(isOver);
      expect((answers[0] as Buffer).length).toBe(MESSAGE_BYTES_MAX);
    });

    it('belongs to whom it was given: neither side sees what the other does with it', async () => {
      const own = text('response');
      let held: Buffer | null = null;
      const made = await serve({
        bidi: (call) => {
          call.on('data', (bytes: Buffer) => {
            held = bytes;
            bytes.fill(0);
            call.write(own);
          });
          call.on('end', () => call.end());
        },
      });
      const { path, requestSerialize, responseDeserialize } = ECHO.bidi;
      const call = made.channel.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
      const got: Buffer[] = [];
      call.on('data', (bytes: Buffer) => got.push(bytes));
      call.on('error', ignore);
      const request = text('request');
      call.write(request);
      await made.until(() => got.length > 0);
      got[0]!.fill(0);
      expect([request, own]).toEqual([text('request'), text('response')]);
      request.fill(1);
      expect(held).toEqual(Buffer.alloc(7));
      let isOver = false;
      call.on('status', () => (isOver = true));
      call.end();
      await made.until(() => isOver);
    });

    it('may be in pieces that are put together as it leaves', async () => {
      const frame = [Buffer.alloc(70_000, 1), Buffer.alloc(70_000, 2)];
      const topicId = Buffer.alloc(16, 7);
      const batch = { batchId: 9, topicId, partition: 3, frame };
      const seen: ProduceRequest[] = [];
      const made = await serve({
        unary: (call, callback) => {
          seen.push(ProduceRequest.decode(call.request));
          callback(null, text(''));
        },
      });
      let isOver = false;
      made.channel.makeUnaryRequest(
        ECHO.unary.path,
        serializeProduce,
        ECHO.unary.responseDeserialize,
        { acks: AckLevel.ACK_LEVEL_ALL, batches: [batch] },
        new Metadata(),
        {},
        () => (isOver = true),
      );
      await made.until(() => isOver);
      const [got] = seen[0]!.batches;
      expect([seen[0]!.acks, got?.batchId, got?.partition]).toEqual([AckLevel.ACK_LEVEL_ALL, 9, 3]);
      expect(Buffer.concat(frame).equals(got!.frame)).toBe(true);
    });
  });

  describe('a channel', () => {
    it('queues what is called before its connection stands', async () => {
      const made = await serve({
        unary: (call, callback) => callback(null, call.request),
        bidi: echo,
      });
      const both = bidi(made);
      both.call.write(text('early'));
      both.call.end();
      const one = unary(made, text('early'));
      await made.until(() => both.isOver() && one.isOver());
      expect(both.log).toEqual(['metadata', 'data early', 'status OK']);
      expect(one.answers).toEqual([text('early')]);
    });

    it('to where nobody listens fails its calls with UNAVAILABLE', async () => {
      const made = await serve({});
      const one = unary({ channel: made.nowhere }, text(''));
      const both = bidi({ channel: made.nowhere });
      await made.until(() => one.isOver() && both.isOver());
      expect(one.failure().code).toBe(Status.UNAVAILABLE);
      expect(both.log).toEqual(['error UNAVAILABLE', 'status UNAVAILABLE']);
    });

    it('that is closed fails the calls that have no connection yet', async () => {
      const made = await serve({});
      const waiting = bidi(made);
      made.channel.close();
      await made.until(waiting.isOver);
      expect(waiting.status().code).toBe(Status.UNAVAILABLE);
    });

    it('that is closed lets the calls on its connection go on to their end', async () => {
      const made = await serve({ bidi: echo });
      const both = bidi(made);
      both.call.write(text('before'));
      await made.until(() => both.log.includes('data before'));
      made.channel.close();
      both.call.write(text('after'));
      both.call.end();
      await made.until(both.isOver);
      expect(both.log).toEqual(['metadata', 'data before', 'data after', 'status OK']);
    });
  });
});
