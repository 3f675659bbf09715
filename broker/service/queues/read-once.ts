/** One read of a partition, at its leader: for what is read again, and for look-ups. */
import { frameLastOffset, frameLength } from '../../../wire/batch/frame.ts';
import { errorFromMessage } from '../../../wire/grpc/errors.ts';
import { BrokerError } from '../../../base/errors.ts';
import type { LeaderEpoch, Offset, TopicId } from '../../../base/units.ts';
import { expected } from '../../messages/handlers.ts';
import { type FedPartition, type FeedParts, Feeds } from '../feeds.ts';

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
 * leader's refusal, or UNREACHABLE.
 */
export function readOnce(
  parts: FeedParts,
  place: ReadPlace,
  bytesMax: number,
): Promise<ReadFrames> {
  const { cluster } = parts;
  return new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      cancel();
      feeds.close();
      act();
    };
    const cancel = cluster.clock.after(READ_MS, () => {
      settle(() => {
        reject(new BrokerError('UNREACHABLE', `The leader did not answer in ${READ_MS} ms`));
      });
    });
    const feeds = new Feeds(parts, bytesMax, {
      onPartition: (_, part) => {
        settle(() => {
          if (part.error === undefined) resolve(framesOf(part, place.offset));
          else reject(errorFromMessage(part.error));
        });
      },
      onClosed: (_, error) => {
        settle(() => {
          reject(error);
        });
      },
    });
    try {
      feeds.subscribe(cluster.leader(place.topicId, place.partition), place);
    } catch (error) {
      settle(() => {
        reject(expected(error, parts.report));
      });
    }
  });
}

function framesOf({ frames: chunks, highWaterMark }: FedPartition, offset: Offset): ReadFrames {
  const frames: Uint8Array[] = [];
  let nextOffset = offset;
  for (const bytes of chunks)
    for (let at = 0; at < bytes.length; ) {
      const length = frameLength(bytes, at);
      if (length === 0) throw new BrokerError('DATA_CORRUPT', `Frame at byte ${at} has no length`);
      const frame = bytes.subarray(at, at + length);
      frames.push(frame);
      nextOffset = Math.max(nextOffset, frameLastOffset(frame, 0) + 1);
      at += length;
    }
  return { frames, nextOffset, highWaterMark };
}
