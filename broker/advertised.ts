/**
 * Where clients of named listeners dial this broker: as its options say, or as a file says that
 * changes while it runs, where a load balancer has yet to be given its address. An address of a
 * file is told to nobody before the listener's certificate holds it: both files change, and in no
 * order, and a client that came too early would find a certificate of another name
 * (docs/rules.md#listeners).
 */
import type { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { BrokerError } from '../base/errors.ts';
import type { OnFact } from '../base/events.ts';
import { hostPort } from '../base/host-port.ts';
import { hostFault, type ListenerAddress } from '../base/listeners.ts';
import { reasonOf } from '../base/reason.ts';
import { WatchedFile } from './doors/watched-file.ts';
import { type ListenerOptions, readAddress } from './listeners.ts';
import type { Address } from './runtime/ports.ts';

type Named = Pick<ListenerOptions, 'name' | 'advertised' | 'advertiseFile'>;

interface Certificates {
  /** In use by the listener; null: it has no TLS. */
  certificateOf(listener: string): X509Certificate | null;
}

/** One listener whose address is in a file. */
interface Source {
  readonly name: string;
  readonly file: WatchedFile<Address | null>;
  /** What was told of it last. */
  told: string;
}

export class AdvertisedAddresses {
  readonly #fixed: readonly ListenerAddress[];
  readonly #sources: readonly Source[];
  readonly #tls: Certificates;
  readonly #onFact: OnFact;

  private constructor(
    fixed: readonly ListenerAddress[],
    sources: readonly Source[],
    tls: Certificates,
    onFact: OnFact,
  ) {
    this.#fixed = fixed;
    this.#sources = sources;
    this.#tls = tls;
    this.#onFact = onFact;
  }

  /**
   * Rejects with INVALID_ARGUMENT where a file is there and holds no address.
   */
  static async open(
    listeners: readonly Named[],
    tls: Certificates,
    onFact: OnFact,
  ): Promise<AdvertisedAddresses> {
    const fixed: ListenerAddress[] = [];
    const sources: Source[] = [];
    for (const { name, advertised, advertiseFile: path } of listeners) {
      if (advertised !== null) fixed.push({ listener: name, ...advertised });
      else sources.push({ name, file: await watched(name, path, onFact), told: '' });
    }
    return new AdvertisedAddresses(fixed, sources, tls, onFact);
  }

  /** Those that clients may be told now. */
  current(): readonly ListenerAddress[] {
    return [...this.#fixed, ...this.#sources.flatMap((source) => this.#addressOf(source))];
  }

  close(): void {
    for (const { file } of this.#sources) file.close();
  }

  #addressOf(source: Source): readonly ListenerAddress[] {
    const { name: listener, file } = source;
    const address = file.content;
    const reason = this.#whyNot(listener, address);
    const told = reason ?? (address === null ? '' : hostPort(address.host, address.port));
    if (told !== source.told) {
      source.told = told;
      if (reason === null) this.#onFact('listener-advertised', { listener, address: told });
      else this.#onFact('listener-withheld', { listener, reason });
    }
    return reason !== null || address === null ? [] : [{ listener, ...address }];
  }

  #whyNot(listener: string, address: Address | null): string | null {
    if (address === null) return 'its address is not known yet';
    const certificate = this.#tls.certificateOf(listener);
    return certificate === null || holds(certificate, address.host)
      ? null
      : `its certificate does not hold ${address.host}`;
  }
}

function holds(certificate: X509Certificate, host: string): boolean {
  return (isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host)) !== undefined;
}

async function watched(
  listener: string,
  path: string,
  onFact: OnFact,
): Promise<WatchedFile<Address | null>> {
  try {
    return await WatchedFile.open<Address | null>({
      path,
      parse: addressIn,
      mayBeMissing: true,
      // Whoever asks for the addresses finds what is new.
      onChanged: () => {},
      onRefused: (reason) => onFact('listener-withheld', { listener, reason }),
    });
  } catch (error) {
    const text = `Cannot use listener-${listener}-advertise-file: ${reasonOf(error)}`;
    throw new BrokerError('INVALID_ARGUMENT', text, {}, error);
  }
}

/** Null: the file says none. Throws where it says something else. */
export function addressIn(text: string): Address | null {
  const line = text.trim();
  if (line === '') return null;
  const faults: string[] = [];
  const address = readAddress('its text', line, faults);
  const fault = faults[0] ?? hostFault(address.host);
  if (fault !== null) throw new Error(fault);
  return address;
}
