/** Calls to brokers, as whoever acts makes them. */

export interface CallOptions {
  readonly signal: AbortSignal;
}

interface Method<Request, Response> {
  readonly path: string;
  readonly requestSerialize: (value: Request) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Response;
}

/** The brokers. */
export interface Admin {
  call<Request, Response>(
    address: string,
    method: Method<Request, Response>,
    request: Request,
    options: { readonly timeoutMs: number; readonly signal: AbortSignal },
  ): Promise<Response>;
}
