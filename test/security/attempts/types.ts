/** What is tried against a listener that asks who comes in, and what has to come back. */
import type { Metadata } from '@grpc/grpc-js';
import type { ConsumeOpen, ConsumeRequest } from '../../../proto/gen/tidemark/v1/consume.ts';
import type { CommitMember } from '../../../proto/gen/tidemark/v1/groups.ts';

/** Headers of a call. */
export type Headers = Readonly<Record<string, string | Buffer>>;

/** A method of the public services. */
export interface Method {
  readonly path: string;
  readonly requestStream: boolean;
  readonly requestSerialize: (message: never) => Buffer;
  readonly requestDeserialize: (bytes: Buffer) => unknown;
}

/** What a token of the issuer says, beside what is right of it. */
export interface Claims {
  readonly sub?: string | number | readonly string[] | null;
  readonly aud?: string | readonly string[] | null;
  readonly iss?: string | null;
  /** Seconds from now. */
  readonly exp?: number | string | null;
  readonly nbf?: number;
}

/** How it is signed. */
export interface Signing {
  readonly header?: Readonly<Record<string, unknown>>;
  /** Default: the issuer's. */
  readonly by?: 'issuer' | 'another' | 'public-key' | 'nobody';
}

/** Who comes with a certificate. */
export interface Shown {
  readonly commonName: string;
  readonly names?: readonly string[];
  readonly by?: 'authority' | 'another' | 'nobody';
  readonly days?: number;
}

/** Brokers to try it at. Answers are codes of docs/errors.md, `ok`, or a word of the transport. */
export interface World {
  /** Of the file of tokens. */
  token(name: 'root' | 'alice' | 'bob'): string;
  jwt(claims: Claims, signing?: Signing): Promise<string>;
  /** A call at the listener of clients. */
  ask(method: Method, fields: object, headers: Headers | Metadata): Promise<string>;
  /** The same at that of brokers. */
  askInside(method: Method, fields: object, headers: Headers): Promise<string>;
  /** The same at a listener that asks for certificates. */
  askWith(shown: Shown, method: Method, headers?: Headers): Promise<string>;
  /** What a stream answers for one part: a batch, or a subscription. */
  part(stream: 'produce' | 'fetch', topic: string, headers: Headers): Promise<string>;
  /**
   * What a stream of `Consume` comes to that is opened so and then says this: `ok` once it has
   * joined and all of that is answered.
   */
  member(
    open: Partial<ConsumeOpen>,
    headers: Headers,
    then?: (world: {
      readonly topicId: (topic: string) => Uint8Array;
    }) => ConsumeRequest['message'],
  ): Promise<string>;
  /** What CommitCursors answers for the first partition of `orders`. */
  commit(group: string, member: CommitMember, headers: Headers): Promise<string>;
  /** Names that ListTopics shows. */
  topics(headers: Headers): Promise<string>;
}

export interface Attempt {
  readonly who: string;
  readonly tries: string;
  readonly comesBack: string;
  readonly run: (world: World) => Promise<string>;
}
