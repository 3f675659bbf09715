import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { addressIn, AdvertisedAddresses } from '../../../broker/advertised.ts';
import { newAuthority, newCertificate } from '../../../process/certificates.ts';

const AUTHORITY = { ...newAuthority({ commonName: 'test', days: 1 }), commonName: 'test' };

const certificateOf = (...names: string[]): X509Certificate =>
  new X509Certificate(newCertificate(AUTHORITY, { commonName: 'b', names }).cert);

describe('AdvertisedAddresses', () => {
  let folder: string;
  let path: string;
  let told: { readonly event: string; readonly fields: object }[];
  let certificate: X509Certificate | null;
  let open: () => Promise<AdvertisedAddresses>;
  let addresses: AdvertisedAddresses | null;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tidemark-advertised-'));
    path = join(folder, 'outside');
    told = [];
    certificate = null;
    addresses = null;
    open = async () => {
      addresses = await AdvertisedAddresses.open(
        [
          { name: 'fixed', advertised: { host: 'b1', port: 1 }, advertiseFile: '' },
          { name: 'outside', advertised: null, advertiseFile: path },
        ],
        { certificateOf: () => certificate },
        (event, fields) => void told.push({ event, fields }),
      );
      return addresses;
    };
  });
  afterEach(() => {
    addresses?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const fixed = { listener: 'fixed', host: 'b1', port: 1 };
  const outside = { listener: 'outside', host: 'lb.example.org', port: 443 };

  it('are those of the options at once, and of a file once it is there', async () => {
    const { current } = { current: await open() };
    expect(current.current()).toEqual([fixed]);
    expect(told).toEqual([
      {
        event: 'listener-withheld',
        fields: { listener: 'outside', reason: 'its address is not known yet' },
      },
    ]);
    writeFileSync(path, 'lb.example.org:443\n');
    await vi.waitFor(() => expect(current.current()).toEqual([fixed, outside]), 5_000);
    expect(told.at(-1)).toEqual({
      event: 'listener-advertised',
      fields: { listener: 'outside', address: 'lb.example.org:443' },
    });
    const count = told.length;
    current.current();
    expect(told).toHaveLength(count);
  });

  it('of a file wait for the certificate that holds them', async () => {
    writeFileSync(path, 'lb.example.org:443');
    certificate = certificateOf('b1.local');
    const current = await open();
    expect(current.current()).toEqual([fixed]);
    expect(told.at(-1)?.fields).toMatchObject({
      reason: 'its certificate does not hold lb.example.org',
    });
    certificate = certificateOf('b1.local', '*.example.org');
    expect(current.current()).toEqual([fixed, outside]);
  });

  it('may be addresses of IPv4 and IPv6, which certificates hold as such', async () => {
    writeFileSync(path, '[::1]:443');
    certificate = certificateOf('127.0.0.1');
    const current = await open();
    expect(current.current()).toEqual([fixed]);
    certificate = certificateOf('::1');
    expect(current.current()).toEqual([fixed, { ...outside, host: '::1' }]);
  });

  it('keep the last good one where the file is spoilt, and say so', async () => {
    writeFileSync(path, 'lb.example.org:443');
    const current = await open();
    writeFileSync(path, 'lb.example.org');
    await vi.waitFor(() => expect(told).toHaveLength(1), 5_000);
    expect(JSON.stringify(told[0])).toContain('must be host:port');
    expect(current.current()).toEqual([fixed, outside]);
  });

  it('refuse a file that holds something else from the start', async () => {
    writeFileSync(path, 'two lines\nof it');
    await expect(open()).rejects.toThrow('Cannot use listener-outside-advertise-file: its text is');
  });

  it.each([
    { text: '', address: null },
    { text: ' \n', address: null },
    { text: 'h:1\n', address: { host: 'h', port: 1 } },
    { text: '[2001:db8::1]:9', address: { host: '2001:db8::1', port: 9 } },
  ])('read $text', ({ text, address }) => {
    expect(addressIn(text)).toEqual(address);
  });

  it.each(['h', 'h:0', 'h:65536', 'a/b:1', 'h:1 h:2', '::1:5'])('refuse "%s"', (text) => {
    expect(() => addressIn(text)).toThrow('must be');
  });
});
