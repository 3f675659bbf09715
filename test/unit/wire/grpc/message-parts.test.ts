import {
  Client,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type sendUnaryData,
} from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../../process/system-clock.ts';

import { callUnary } from '../../../../wire/grpc/calls.ts';
import { MessageParts } from '../../../../wire/grpc/message-parts.ts';

const PIECES = [Uint8Array.of(1, 2), Uint8Array.of(), Uint8Array.of(3)];

describe('MessageParts', () => {
  it('passes through a grpc-js client and server as a Buffer does', async () => {
    const serialize = (): Buffer => new MessageParts().number(1, 300).bytes(2, PIECES).asBuffer();
    const method = {
      path: '/test.Echo/Echo',
      requestStream: false,
      responseStream: false,
      requestSerialize: serialize,
      requestDeserialize: (bytes: Buffer): Buffer => bytes,
      responseSerialize: serialize,
      responseDeserialize: (bytes: Buffer): Buffer => bytes,
    } as const;
    const received: Buffer[] = [];
    const server = new Server();
    server.addService(
      { echo: method },
      {
        echo: (call: ServerUnaryCall<Buffer, null>, answer: sendUnaryData<null>) => {
          received.push(call.request);
          answer(null, null);
        },
      },
    );
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
    received.push(
      await callUnary(client, method, Buffer.alloc(0), {
        deadlineMs: 5_000,
        clock: systemClock,
        metadata: new Metadata(),
      }),
    );
    client.close();
    server.forceShutdown();
    const expected = Buffer.from([8, 0xac, 2, 18, 3, 1, 2, 3]);
    expect(received).toEqual([expected, expected]);
  });

  it('refuses a number that cannot be written', () => {
    expect(() => new MessageParts().number(1, -1)).toThrow(
      'field 1 is -1, must be 0 to 9007199254740991',
    );
  });
});
