import { connect, type ClientHttp2Session, type Settings } from 'node:http2';

import { describe, expect, it } from 'vitest';

import { GrpcServer } from '../../../../broker/network/grpc-server.ts';

describe('raiseHttp2Limits()', () => {
  it('makes a server advertise large frames and windows on the first stream', async () => {
    const server = new GrpcServer();
    const port = await server.listen({ host: '127.0.0.1', port: 0 });
    const session: ClientHttp2Session = connect(`http://127.0.0.1:${port}`);
    const raised = new Promise<Settings>((resolve) => {
      session.on('remoteSettings', (settings: Settings) => {
        if (settings.maxFrameSize === 1024 * 1024) resolve(settings);
      });
    });
    session
      .request({ ':method': 'POST', ':path': '/none' })
      .on('error', () => undefined)
      .resume();
    expect(await raised).toMatchObject({
      initialWindowSize: 16 * 1024 * 1024,
      maxFrameSize: 1024 * 1024,
    });
    session.destroy();
    await server.close(0);
  });
});
