/**
 * README of the chart: an introduction, then a table of its values, read from the comments of
 * values.yaml. A comment that begins with `# --` describes the key after it, or after the lines
 * that continue it; a value described as a whole has no rows of its own for what is inside it.
 */

/** Rows of the table: path, default as YAML in one line, description. */
export function describedValues(values) {
  const rows = [];
  const path = [];
  let description = null;
  let wholeIndent = null;
  for (const line of values.split('\n')) {
    const comment = /^\s*#\s?(?<marker>--\s)?(?<words>.*)$/.exec(line)?.groups;
    if (comment !== undefined) {
      if (comment.marker !== undefined) description = comment.words;
      else if (description !== null) description += ` ${comment.words.trim()}`;
      continue;
    }
    const entry = /^(?<indent> *)(?<key>[\w.-]+):\s*(?<value>.*)$/.exec(line)?.groups;
    if (entry === undefined) {
      if (line.trim() === '') description = null;
      continue;
    }
    const depth = entry.indent.length / 2;
    if (wholeIndent !== null && depth > wholeIndent) continue;
    wholeIndent = null;
    path.splice(depth, path.length, entry.key);
    if (description === null) continue;
    rows.push({ path: path.join('.'), value: entry.value, description });
    // Described and without a value of its own: what follows deeper is the value.
    if (entry.value === '') wholeIndent = depth;
    description = null;
  }
  return rows;
}

/** @returns the README as Markdown; `intro` has the line `<!-- values -->` where the table goes */
export function chartReadme({ values, intro }) {
  const rows = describedValues(values).map(
    ({ path, value, description }) =>
      `| \`${path}\` | ${description.replaceAll('|', '\\|')} | ${value === '' ? 'see values.yaml' : `\`${value}\``} |`,
  );
  const table = ['| Value | Meaning | Default |', '| --- | --- | --- |', ...rows].join('\n');
  return intro.replace('<!-- values -->', () => table);
}
