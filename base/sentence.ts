/** The first letter large, but for the name of a partition, which is as it is. */
export function capital(sentence: string): string {
  if (/^\S*\//.test(sentence)) return sentence;
  return `${sentence.slice(0, 1).toUpperCase()}${sentence.slice(1)}`;
}
