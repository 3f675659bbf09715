/** Asks for a token: the page then has its rights, and no other. */
import { useState } from 'preact/hooks';
import { signIn } from '../calls.ts';
import type { About } from '../snapshot.ts';

export function SignIn({ opened }: { readonly opened: (about: About) => void }) {
  const [token, setToken] = useState('');
  const [fault, setFault] = useState('');
  const [isBusy, setBusy] = useState(false);
  const show = async (): Promise<void> => {
    setBusy(true);
    const answer = await signIn(token.trim()).catch(String);
    setBusy(false);
    if (typeof answer === 'string') setFault(answer);
    else opened(answer);
  };
  return (
    <form
      class="sign-in"
      onSubmit={(event) => {
        event.preventDefault();
        void show();
      }}
    >
      <h1>Show a token</h1>
      <p class="hint">
        The page sees what its owner may see. The token stays with the program that serves this page
        until nobody has watched for ten minutes.
      </p>
      <label>
        Token
        <input
          type="password"
          autocomplete="off"
          value={token}
          onInput={({ currentTarget }) => setToken(currentTarget.value)}
        />
      </label>
      <button type="submit" class="main" disabled={isBusy || token.trim() === ''}>
        Open
      </button>
      {fault !== '' && (
        <p class="fault" role="alert">
          {fault}
        </p>
      )}
    </form>
  );
}
