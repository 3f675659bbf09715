/** Random UUIDs from the client's own source of chance. */
import { topicIdFromBytes } from '../wire/batch/frame.ts';

/** 36 characters in lower case. @param random in [0, 1) */
export function newUuid(random: () => number): string {
  const bytes = Uint8Array.from({ length: 16 }, () => Math.floor(random() * 256));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return topicIdFromBytes(bytes);
}
