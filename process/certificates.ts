/**
 * An authority of a cluster's own, and certificates that it signs: X.509 v3 (RFC 5280) with keys on
 * P-256. Writes no files: the authority's key stays with whoever made it.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  sign,
} from 'node:crypto';
import { isIP } from 'node:net';

/** A certificate and its private key, as PEM. */
export interface KeyedCertificate {
  readonly cert: string;
  readonly key: string;
}

/** What a certificate says. */
export interface CertificateTerms {
  readonly commonName: string;
  /** DNS names, addresses and URIs. */
  readonly names?: readonly string[];
  readonly days?: number;
  /**
   * When its days begin, in milliseconds since 1970; it counts from {@link BACKDATED_MS} before.
   * Default: now.
   */
  readonly fromMs?: number;
  /** It counts from then on as well, where that is earlier: `fromMs` may be of a wrong clock. */
  readonly sinceMs?: number | undefined;
}

const DAY_MS = 86_400_000;
/** Clocks that are behind must not find a new certificate too young. */
const BACKDATED_MS = 3_600_000;
const DAYS_DEFAULT = 365;

const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2';
const COMMON_NAME = '2.5.4.3';
const SUBJECT_KEY_ID = '2.5.29.14';
const KEY_USAGE = '2.5.29.15';
const SUBJECT_ALT_NAME = '2.5.29.17';
const BASIC_CONSTRAINTS = '2.5.29.19';
const AUTHORITY_KEY_ID = '2.5.29.35';
const EXTENDED_KEY_USAGE = '2.5.29.37';
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bits: 0x03,
  bytes: 0x04,
  oid: 0x06,
  utf8: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
  dnsName: 0x82,
  uri: 0x86,
  ipAddress: 0x87,
  keyId: 0x80,
  version: 0xa0,
  extensions: 0xa3,
} as const;

/** One that signs itself. */
export function newAuthority(terms: CertificateTerms): KeyedCertificate {
  const { publicKey, privateKey } = newKey();
  const extensions = [
    extension(BASIC_CONSTRAINTS, sequence(tlv(TAG.boolean, Buffer.from([0xff]))), true),
    // keyCertSign and cRLSign, of seven bits.
    extension(KEY_USAGE, tlv(TAG.bits, Buffer.from([1, 0x06])), true),
    extension(SUBJECT_KEY_ID, tlv(TAG.bytes, keyId(publicKey))),
  ];
  const issuer = { commonName: terms.commonName, key: privateKey };
  return { cert: signed(terms, publicKey, extensions, issuer), key: privateKey };
}

/** One that a server or a client shows. */
export function newCertificate(
  authority: KeyedCertificate & { readonly commonName: string },
  terms: CertificateTerms,
): KeyedCertificate {
  const { publicKey, privateKey } = newKey();
  const ofAuthority = createPublicKey(createPrivateKey(authority.key)).export({
    type: 'spki',
    format: 'der',
  });
  const extensions = [
    extension(BASIC_CONSTRAINTS, sequence(), true),
    // digitalSignature, of one bit.
    extension(KEY_USAGE, tlv(TAG.bits, Buffer.from([7, 0x80])), true),
    extension(EXTENDED_KEY_USAGE, sequence(oid(SERVER_AUTH), oid(CLIENT_AUTH))),
    extension(SUBJECT_KEY_ID, tlv(TAG.bytes, keyId(publicKey))),
    extension(AUTHORITY_KEY_ID, sequence(tlv(TAG.keyId, keyId(ofAuthority)))),
    ...(terms.names === undefined
      ? []
      : [extension(SUBJECT_ALT_NAME, sequence(...terms.names.map(altName)))]),
  ];
  return { cert: signed(terms, publicKey, extensions, authority), key: privateKey };
}

function newKey(): { readonly publicKey: Buffer; readonly privateKey: string } {
  return generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
}

function signed(
  { commonName, days = DAYS_DEFAULT, fromMs = Date.now(), sinceMs = Infinity }: CertificateTerms,
  publicKey: Buffer,
  extensions: readonly Buffer[],
  issuer: { readonly commonName: string; readonly key: string },
): string {
  const algorithm = sequence(oid(ECDSA_WITH_SHA256));
  const body = sequence(
    // Version 3.
    tlv(TAG.version, tlv(TAG.integer, Buffer.from([2]))),
    serialNumber(),
    algorithm,
    name(issuer.commonName),
    sequence(time(Math.min(fromMs - BACKDATED_MS, sinceMs)), time(fromMs + days * DAY_MS)),
    name(commonName),
    publicKey,
    tlv(TAG.extensions, sequence(...extensions)),
  );
  const signature = sign('sha256', body, issuer.key);
  const whole = sequence(body, algorithm, tlv(TAG.bits, Buffer.from([0]), signature));
  const lines = whole.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

/** Tag, length, value. */
function tlv(tag: number, ...values: readonly Uint8Array[]): Buffer {
  const value = Buffer.concat(values);
  if (value.length < 0x80) return Buffer.concat([Buffer.from([tag, value.length]), value]);
  const digits = value.length.toString(16);
  const length = Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, 'hex');
  return Buffer.concat([Buffer.from([tag, 0x80 | length.length]), length, value]);
}

function sequence(...values: readonly Uint8Array[]): Buffer {
  return tlv(TAG.sequence, ...values);
}

/** Seven bits a byte, the first two numbers in one. */
function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second, ...rest].flatMap((arc) => {
    const groups = [arc & 0x7f];
    for (let left = arc >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80);
    return groups;
  });
  return tlv(TAG.oid, Buffer.from(bytes));
}

/** Positive, and without a leading zero. */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return tlv(TAG.integer, bytes);
}

function name(commonName: string): Buffer {
  const value = tlv(TAG.utf8, Buffer.from(commonName));
  return sequence(tlv(TAG.set, sequence(oid(COMMON_NAME), value)));
}

/** Two digits of the year before 2050, four from then on. */
function time(atMs: number): Buffer {
  const text = `${new Date(atMs).toISOString().replaceAll(/\D/g, '').slice(0, 14)}Z`;
  return Number(text.slice(0, 4)) < 2050
    ? tlv(TAG.utcTime, Buffer.from(text.slice(2)))
    : tlv(TAG.generalizedTime, Buffer.from(text));
}

function keyId(publicKey: Buffer): Buffer {
  return createHash('sha1').update(publicKey).digest();
}

function altName(text: string): Buffer {
  if (isIP(text) === 4) return tlv(TAG.ipAddress, Buffer.from(text.split('.').map(Number)));
  if (isIP(text) === 6) return tlv(TAG.ipAddress, ipv6Bytes(text));
  return tlv(text.includes('://') ? TAG.uri : TAG.dnsName, Buffer.from(text));
}

function ipv6Bytes(text: string): Buffer {
  // Spelled the one way that URLs have: without parts in the form of IPv4.
  const [head = '', tail] = new URL(`http://[${text}]`).hostname.slice(1, -1).split('::');
  const groups = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16));
  const [before, after] = [groups(head), groups(tail ?? '')];
  const bytes = Buffer.alloc(16);
  for (const [index, group] of before.entries()) bytes.writeUInt16BE(group, index * 2);
  for (const [index, group] of after.entries())
    bytes.writeUInt16BE(group, (8 - after.length + index) * 2);
  return bytes;
}

function extension(id: string, value: Buffer, isCritical = false): Buffer {
  const critical = isCritical ? [tlv(TAG.boolean, Buffer.from([0xff]))] : [];
  return sequence(oid(id), ...critical, tlv(TAG.bytes, value));
}
