/** One read of a partition, at its leader: for what is read again, and for look-ups. */
import { frameLastOffset } from '../../../wire/batch/frame.ts';
import { errorFromMessage } from '../../../wire/grpc/errors.ts';
import { BrokerError } from '../../../base/errors.ts';
import type { LeaderEpoch, Offset, TopicId } from '../../../base/units.ts';
import { expected } from '../../messages/handlers.ts';
import { type FedPartition, type FeedParts, Feeds } from '../feeds.ts';
import { framesIn } from '../frames.ts';

/** How long a leader may take. */
const READ_MS = 5_000;

export interface ReadPlace {
  readonly topicId: TopicId;
  readonly partition: number;
  readonly offset: Offset;
  /** Of what stands before; 0: not known, and not asked for. */
  readonly leaderEpoch: LeaderEpoch;
}

/** What one read brought. */
export interface ReadFrames {
  /** Whole ones, in order; none where the log ends here. */
  readonly frames: readonly Uint8Array[];
  /** Behind them. */
  readonly nextOffset: Offset;
  readonly highWaterMark: Offset;
}

/**
 * Frames from a place on, of about as many bytes, at least one where there is one. Rejects with the
 * leader's refusal, with UNREACHABLE, or with DATA_CORRUPT for what is no answer.
 */
export async function readOnce(
  parts: FeedParts,
  place: ReadPlace,
  bytesMax: number,
): Promise<ReadFrames> {
  const { frames: chunks, highWaterMark, error } = await firstPart(parts, place, bytesMax);
  if (error !== undefined) throw errorFromMessage(error);
  const frames = chunks.flatMap((chunk) => [...framesIn(chunk)]);
  const last = frames.at(-1);
  if (last === undefined) return { frames, nextOffset: place.offset, highWaterMark };
  const nextOffset = frameLastOffset(last, 0) + 1;
  // Whoever goes on from there would never come to an end.
  if (nextOffset <= place.offset)
    throw new BrokerError('DATA_CORRUPT', `A read from ${place.offset} on ends at ${nextOffset}`);
  return { frames, nextOffset, highWaterMark };
}

function firstPart(parts: FeedParts, place: ReadPlace, bytesMax: number): Promise<FedPartition> {
  const { cluster } = parts;
  return new Promise((resolve, reject) => {
    const end = (): void => {
      cancel();
      feeds.close();
    };
    const fail = (error: BrokerError): void => {
      end();
      reject(error);
    };
    const cancel = cluster.clock.after(READ_MS, () => {
      fail(new BrokerError('UNREACHABLE', `The leader did not answer in ${READ_MS} ms`));
    });
    const feeds = new Feeds(parts, bytesMax, {
      onPartition: (_, part) => {
        end();
        resolve(part);
      },
      onClosed: (_, error) => {
        fail(error);
      },
    });
    try {
      feeds.subscribe(cluster.leader(place.topicId, place.partition), place);
    } catch (error) {
      fail(expected(error, parts.report));
    }
  });
}
