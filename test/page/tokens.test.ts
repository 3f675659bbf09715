/** A page that asks for tokens, before a broker that knows its callers by them. */
import { createHash, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import { credentials, Metadata } from '@grpc/grpc-js';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { brokerCertificate } from '../../local/secure.ts';
import { tlsChannelCredentials } from '../../wire/grpc/tls.ts';
import { authority, CertificateFiles } from '../cluster/harness/certificates.ts';
import { type Command, tidemark } from '../cluster/harness/child.ts';
import { TestCluster } from '../cluster/harness/cluster.ts';
import { waitFor } from '../cluster/harness/wait.ts';
import { chromiumPath, launch, NO_CHROMIUM, open } from './browser.ts';

const executablePath = chromiumPath();
const PATIENCE = { timeout: 60_000 };
/** By name; anna administers, bert may see the cluster, carl may do nothing. */
const TOKENS = { anna: 'a-secret-of-anna', bert: 'a-secret-of-bert', carl: 'a-secret-of-carl' };

describe('a page that asks for tokens', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-page-tokens-'));
  const clusterId = randomUUID();
  const signer = authority('page');
  const files = new CertificateFiles(folder, 'broker-1');
  let cluster: TestCluster;
  let server: Command;
  let browser: Browser;
  let url = '';
  beforeAll(async () => {
    if (executablePath === undefined) return;
    files.write(brokerCertificate(signer, clusterId, 1));
    files.trust(signer);
    const tokens = join(folder, 'tokens');
    const lines = Object.entries(TOKENS).map(
      ([name, token]) => `${name} ${createHash('sha256').update(token).digest('hex')}\n`,
    );
    writeFileSync(tokens, lines.join(''));
    const metadata = new Metadata();
    metadata.set('authorization', `Bearer ${TOKENS.anna}`);
    const context = createSecureContext({ ca: signer.cert });
    cluster = await TestCluster.start({
      brokers: 1,
      clusterId,
      credentials: tlsChannelCredentials({ context: () => context }).compose(
        credentials.createFromMetadataGenerator((_, answer) => answer(null, metadata)),
      ),
      args: [
        ...files.args,
        ...['--auth', 'token', '--auth-tokens-file', tokens],
        ...['--auth-administrators', 'token:anna'],
      ],
    });
    for (const name of ['orders', 'payments'])
      await cluster.admin.createTopic({
        name,
        ...{ partitions: 1, replicationFactor: 1, config: { minInSyncReplicas: 1 } },
      });
    const rules = [
      { operations: ['describe'], resource: 'cluster' },
      { operations: ['read'], resource: 'topic:orders' },
      // A producer has an id where it may append anywhere.
      { operations: ['append'], resource: 'topic:of-bert' },
    ] as const;
    for (const { operations, resource } of rules)
      await cluster.admin.grantAccess({
        principal: 'token:bert',
        operations: [...operations],
        resource,
      });
    server = tidemark([
      ...['page', '--port', '0', '--server', cluster.servers.join(',')],
      ...['--tls-ca', files.ca, '--ask-token', '--allow', 'append'],
    ]);
    url = await waitFor('the address', () => /open (\S+)/.exec(server.printed())?.[1]);
    browser = await launch(executablePath);
  });
  afterAll(async () => {
    if (executablePath === undefined) return;
    await browser?.close();
    await server?.kill();
    await cluster?.close();
    rmSync(folder, { recursive: true, force: true });
  });
  beforeEach(({ skip }) => {
    if (executablePath === undefined) skip(NO_CHROMIUM);
  });

  async function enter(token: string) {
    const opened = await open(browser, url);
    await opened.page.getByLabel('Token').fill(token);
    await opened.page.getByRole('button', { name: 'Open' }).click();
    return opened;
  }

  it('lets nobody in whose token brokers refuse', async () => {
    const { page } = await enter('guessed');
    await page.getByRole('alert').filter({ hasText: 'Not authenticated' }).waitFor(PATIENCE);
    expect(await page.locator('.racks').count()).toBe(0);
    await page.close();
  });

  it('shows each user what their token may see, and does what it may do', async () => {
    const { page: anna } = await enter(TOKENS.anna);
    const { page: bert } = await enter(TOKENS.bert);
    await anna.locator('[data-name="payments/0"]').waitFor(PATIENCE);
    await bert.locator('[data-name="orders/0"]').waitFor(PATIENCE);
    expect(await bert.locator('[data-name="payments/0"]').count()).toBe(0);
    for (const page of [anna, bert]) {
      await page.locator('[data-name="orders/0"]').click();
      await page.getByRole('form', { name: 'append a record' }).getByLabel('Value').fill('mine');
      await page.getByRole('button', { name: 'Append', exact: true }).click();
    }
    await anna.getByRole('status').filter({ hasText: 'appended at orders/0' }).waitFor(PATIENCE);
    await bert
      .getByRole('status')
      .filter({ hasText: /may not append/ })
      .waitFor(PATIENCE);
    await bert.locator('.records tr', { hasText: 'mine' }).waitFor(PATIENCE);
    await anna.reload();
    await anna.locator('[data-name="payments/0"]').waitFor(PATIENCE);
    await anna.getByRole('button', { name: 'Sign out' }).click();
    await anna.getByLabel('Token').waitFor(PATIENCE);
    await anna.close();
    await bert.close();
  });

  it('says to whom the cluster is not shown that it is not', async () => {
    const { page } = await enter(TOKENS.carl);
    await page.locator('#sentence', { hasText: /may not/i }).waitFor(PATIENCE);
    expect(await page.locator('#sentence').textContent()).not.toContain('silent');
    await page.close();
  });
});
