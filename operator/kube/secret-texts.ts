/** Texts in Secrets, which hold bytes in base64. */
import type { KubeObject } from './kube-object.ts';

/** The text of a file of a Secret; empty where there is none. */
export function textOf(secret: KubeObject | undefined, file: string): string {
  const { [file]: value } = (secret?.['data'] ?? {}) as Readonly<Record<string, unknown>>;
  return typeof value === 'string' ? Buffer.from(value, 'base64').toString('utf8') : '';
}

/** `data` of a Secret with these texts; empty ones are left out. */
export function dataOf(texts: Readonly<Record<string, string>>): Record<string, string> {
  const data = Object.entries(texts)
    .filter(([, text]) => text !== '')
    .map(([file, text]) => [file, Buffer.from(text).toString('base64')] as const);
  return Object.fromEntries(data);
}
