/**
 * Everything that secures a cluster, for any test that starts one: TLS between brokers and for
 * clients, tokens, and rules of access. Its administrator may do everything, its programs may
 * append and read, and nobody else may do anything.
 */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import { type ChannelCredentials, credentials, Metadata } from '@grpc/grpc-js';
import type { Admin } from '../../../client/index.ts';
import { brokerCertificate } from '../../../local/secure.ts';
import { tlsChannelCredentials } from '../../../wire/grpc/tls.ts';
import { authority, CertificateFiles } from './certificates.ts';
import type { ClusterOptions } from './cluster.ts';

const ADMINISTRATOR = 'root';
const PROGRAM = 'program';

export class Secured {
  readonly #folder = mkdtempSync(join(tmpdir(), 'tidemark-secured-'));
  readonly #authority = authority('secured');
  readonly #tokens = new Map([ADMINISTRATOR, PROGRAM].map((name) => [name, newToken()]));
  readonly #clusterId = randomUUID();
  readonly #files = new Map<number, CertificateFiles>();

  /** Of a cluster with as many brokers at most, before {@link grant}. */
  options(brokers: number): ClusterOptions {
    const lines = [...this.#tokens].map(([name, token]) => `${name} ${sha256(token)}\n`);
    const tokensFile = join(this.#folder, 'tokens');
    writeFileSync(tokensFile, lines.join(''), { mode: 0o600 });
    for (let id = 1; id <= brokers; id += 1) {
      const own = new CertificateFiles(this.#folder, `broker-${id}`);
      own.trust(this.#authority);
      this.#files.set(id, own);
      this.renew(id);
    }
    return {
      brokers,
      clusterId: this.#clusterId,
      credentials: this.#as(ADMINISTRATOR),
      programs: this.#as(PROGRAM),
      argsOf: (id) => [
        ...(this.#files.get(id)?.args ?? []),
        ...['--auth', 'token', '--auth-tokens-file', tokensFile],
        ...['--auth-administrators', `token:${ADMINISTRATOR}`],
      ],
    };
  }

  /** Gives a broker another certificate and key, which it takes while it runs. */
  renew(id: number): void {
    this.#files.get(id)?.write(brokerCertificate(this.#authority, this.#clusterId, id));
  }

  /** Who has TLS and no token. */
  get stranger(): ChannelCredentials {
    const context = createSecureContext({ ca: this.#authority.cert });
    return tlsChannelCredentials({ context: () => context });
  }

  /** Lets programs use topics of this name, which may end in `*`. */
  async grant(admin: Admin, topics: string): Promise<void> {
    await admin.grantAccess({
      ...{ principal: `token:${PROGRAM}`, resource: `topic:${topics}` },
      operations: ['append', 'read', 'describe'],
    });
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #as(name: string): ChannelCredentials {
    const metadata = new Metadata();
    metadata.set('authorization', `Bearer ${this.#tokens.get(name) ?? ''}`);
    return this.stranger.compose(
      credentials.createFromMetadataGenerator((_, answer) => answer(null, metadata)),
    );
  }
}

function newToken(): string {
  return randomBytes(32).toString('base64url');
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
