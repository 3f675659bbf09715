/** Texts of all scripts that the site plays, by path below test/scenario without the ending. */
export function scriptsOf(root?: string): Record<string, string>;
/** Writes the site into `folder`. Returns the path of its file. */
export function buildSite(folder: string, root?: string): string;
