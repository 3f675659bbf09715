import { afterEach, describe, expect, it } from 'vitest';

import { TelemetryServer } from '../../../../broker/telemetry/http.ts';

let server: TelemetryServer | null = null;

afterEach(async () => {
  await server?.close();
});

async function get(
  path: string,
  isReady: boolean,
  init: RequestInit = {},
): Promise<{ readonly status: number; readonly text: string }> {
  server = new TelemetryServer({
    isReady: () => isReady,
    phase: () => 'recovering',
    metrics: () => (isReady ? Promise.resolve('x 1\n') : Promise.reject(new Error('broken'))),
    metricsContentType: 'text/plain; version=0.0.4',
  });
  const port = await server.listen('127.0.0.1', 0);
  const response = await fetch(`http://127.0.0.1:${port}${path}`, init);
  return { status: response.status, text: await response.text() };
}

describe('TelemetryServer', () => {
  it.each([
    { path: '/livez', isReady: false, status: 200, text: 'ok\n' },
    { path: '/readyz', isReady: true, status: 200, text: 'ok\n' },
    { path: '/readyz?verbose', isReady: false, status: 503, text: 'recovering\n' },
    { path: '/metrics', isReady: true, status: 200, text: 'x 1\n' },
    { path: '/metrics', isReady: false, status: 500, text: 'broken\n' },
    { path: '/', isReady: true, status: 404, text: '/livez, /readyz, /metrics\n' },
  ])('answers $path with $status', async ({ path, isReady, status, text }) => {
    expect(await get(path, isReady)).toEqual({ status, text });
  });

  it('refuses to be written to', async () => {
    expect(await get('/livez', true, { method: 'POST' })).toEqual({
      status: 405,
      text: 'only GET\n',
    });
  });
});
