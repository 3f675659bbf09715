/** Errors as the fake cluster's brokers tell them. */
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { Metadata, type sendUnaryData, status } from '@grpc/grpc-js';
import { ERROR_TABLE, type ErrorCode } from '../../../base/errors.ts';
import { Effect, RetryAdvice, Error as WireError } from '../../../proto/gen/tidemark/v1/errors.ts';

/** An error as a broker tells it. @param partition whose leader it hints at */
export function wireError(
  code: ErrorCode,
  partition?: { readonly leader: number | undefined; readonly leaderEpoch: number },
): WireError {
  const { retry, effect } = ERROR_TABLE[code];
  const advice = {
    no: RetryAdvice.RETRY_ADVICE_NO,
    same: RetryAdvice.RETRY_ADVICE_SAME,
    refresh: RetryAdvice.RETRY_ADVICE_REFRESH,
  }[retry];
  const hint =
    partition === undefined ? {} : { leader: partition.leader, leaderEpoch: partition.leaderEpoch };
  const stated = effect === 'none' ? Effect.EFFECT_NONE : Effect.EFFECT_UNKNOWN;
  const message = `refused by the fake: ${code}`;
  const silent = { retryAfterMs: 0, holder: undefined };
  return { code, message, retry: advice, effect: stated, ...silent, ...hint };
}

/** A failed call with the details that a broker attaches. */
export function fail(done: sendUnaryData<unknown>, code: ErrorCode): void {
  const metadata = new Metadata();
  const any = new BinaryWriter()
    .uint32(10)
    .string('type.googleapis.com/tidemark.v1.Error')
    .uint32(18)
    .bytes(WireError.encode(wireError(code)).finish());
  const details = new BinaryWriter()
    .uint32(8)
    .int32(status.NOT_FOUND)
    .uint32(26)
    .bytes(any.finish())
    .finish();
  metadata.set('grpc-status-details-bin', Buffer.from(details));
  done({ code: status.NOT_FOUND, details: 'refused', metadata, name: 'Error', message: 'refused' });
}
