/** The one form of names that people give: of topics and of groups. */
import { isInternalTopic } from './internal-topics.ts';
import { NAME_LENGTH_MAX } from './limits.ts';

/**
 * What is wrong with a name, or null.
 *
 * @param field how the message calls it
 */
export function nameFault(field: string, name: string): string | null {
  if (name.length < 1 || name.length > NAME_LENGTH_MAX)
    return `${field} has ${String(name.length)} characters, must have 1 to ${String(NAME_LENGTH_MAX)}`;
  if (!/^[a-zA-Z0-9._-]+$/.test(name))
    return `${field} is "${name}", must consist of a-z, A-Z, 0-9, ".", "_" and "-"`;
  if (name === '.' || name === '..') return `${field} is "${name}", must not be "." or ".."`;
  if (isInternalTopic(name))
    return `${field} is "${name}", must not start with "__", which is reserved`;
  return null;
}
