/** Certificates of a cluster of real processes, in files that a test changes while they run. */
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type KeyedCertificate, newAuthority } from '../../../process/certificates.ts';
import { tlsArguments } from '../../../local/secure.ts';

export type Authority = KeyedCertificate & { readonly commonName: string };

export function authority(commonName: string): Authority {
  return { commonName, ...newAuthority({ commonName }) };
}

/** Files of one broker in a folder. */
export class CertificateFiles {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;

  constructor(folder: string, name: string) {
    this.cert = join(folder, `${name}.crt`);
    this.key = join(folder, `${name}.key`);
    this.ca = join(folder, `${name}.ca.crt`);
  }

  /** As a tool writes them: each at once, one after another. */
  write({ cert, key }: KeyedCertificate): void {
    replace(this.key, key);
    replace(this.cert, cert);
  }

  trust(...authorities: readonly Authority[]): void {
    replace(this.ca, authorities.map(({ cert }) => cert).join(''));
  }

  /** Options of a broker that uses them on both listeners. */
  get args(): string[] {
    return tlsArguments(this);
  }
}

function replace(file: string, text: string): void {
  writeFileSync(`${file}.new`, text, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}
