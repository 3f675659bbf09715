/** Transcripts of the metadata consensus core. */
import { describe } from 'vitest';
import { testTranscripts } from '../../fixtures/transcripts.ts';

describe('Raft transcripts', () => {
  testTranscripts(import.meta.dirname, 'raft');
});
