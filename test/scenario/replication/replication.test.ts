/** Transcripts of the partition core. */
import { describe } from 'vitest';
import { testTranscripts } from '../../fixtures/transcripts.ts';

describe('Partition transcripts', () => {
  testTranscripts(import.meta.dirname, 'replication');
});
