/** Stories of the site: what happens in each of them, said once more in words. */
import { describe } from 'vitest';
import { testTranscripts } from '../../fixtures/transcripts.ts';

describe('Stories', () => {
  testTranscripts(import.meta.dirname, 'stories');
});
