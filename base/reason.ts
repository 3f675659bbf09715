/** What an error says, for a sentence that goes on with it. Whatever was thrown says something. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
