/** What the page asks its server for, beside snapshots. */
import type { About, Action, ActionAnswer, TailFault, TailSeen } from './snapshot.ts';

/** Where a browser keeps the id of a visit that was signed in, until its tab is closed. */
const KEPT = 'tidemark-visit';

/** What the page may do; `sign in`: nothing before a token is shown. Rejects with a reason. */
export async function askAbout(): Promise<About | 'sign in'> {
  const kept = sessionStorage.getItem(KEPT);
  const answer = await fetch(`/about${kept === null ? '' : `?visit=${kept}`}`);
  if (answer.status === 401) return 'sign in';
  if (!answer.ok) throw new Error(await answer.text());
  return (await answer.json()) as About;
}

/** Shows a token; answers what was opened, or why not. */
export async function signIn(token: string): Promise<About | string> {
  const answer = await post('/sign-in', { token });
  const body = (await answer.json()) as About | ActionAnswer;
  if (!('visit' in body)) return body.message;
  sessionStorage.setItem(KEPT, body.visit);
  return body;
}

/** Forgets who was signed in. */
export function signOut(): void {
  sessionStorage.removeItem(KEPT);
}

/** Never rejects. */
export async function act(visit: string, action: Action): Promise<ActionAnswer> {
  try {
    const answer = await post('/act', action, { 'x-tidemark-visit': visit });
    const text = await answer.text();
    const isJson = answer.headers.get('content-type') === 'application/json';
    return isJson ? (JSON.parse(text) as ActionAnswer) : { ok: false, message: text };
  } catch (error) {
    return { ok: false, message: String(error) };
  }
}

/** Newest records of a partition from an offset on; null: the last few. Rejects with a reason. */
export async function askTail(
  visit: string,
  topic: string,
  partition: number,
  from: number | null,
): Promise<TailSeen> {
  const query = new URLSearchParams({ visit, topic, partition: String(partition) });
  if (from !== null) query.set('from', String(from));
  const answer = await fetch(`/tail?${query}`);
  if (!answer.ok) throw new Error(await answer.text());
  const seen = (await answer.json()) as TailSeen | TailFault;
  if ('fault' in seen) throw new Error(seen.fault);
  return seen;
}

function post(path: string, body: unknown, headers: Record<string, string> = {}) {
  return fetch(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
}
