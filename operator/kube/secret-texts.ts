/** Texts in Secrets, which hold bytes in base64. */
import type { KubeObject } from './kube-object.ts';

/** The text of a file of a Secret; empty where there is none. */
export function textOf(secret: KubeObject | undefined, file: string): string {
  const { [file]: value } = (secret?.['data'] ?? {}) as Readonly<Record<string, unknown>>;
  return typeof value === 'string' ? Buffer.from(value, 'base64').toString('utf8') : '';
}

/**
 * `data` of a Secret that is to hold these texts, and nothing more than `live` has of others: files
 * that are there and not wanted are made empty, since leaving them out takes only our own away.
 */
export function dataOf(
  texts: Readonly<Record<string, string>>,
  live?: KubeObject,
): Record<string, string> {
  const data = Object.entries(texts)
    .filter(([, text]) => text !== '')
    .map(([file, text]) => [file, Buffer.from(text).toString('base64')] as const);
  const wanted = new Set(data.map(([file]) => file));
  const surplus = Object.keys(live?.['data'] ?? {})
    .filter((file) => !wanted.has(file) && textOf(live, file) !== '')
    .map((file) => [file, ''] as const);
  return Object.fromEntries([...data, ...surplus]);
}

/** Certificates in a text, as PEM, each with its line break. */
export function pemsIn(text: string): string[] {
  const each = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  return each.map((pem) => `${pem}\n`);
}
