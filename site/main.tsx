/**
 * The stories of docs/site.md: real cores, run in the page, and their transcripts. It loads nothing,
 * stores nothing, and changes nothing but its own address.
 */
import { render } from 'preact';
import { useCallback, useLayoutEffect, useMemo, useState } from 'preact/hooks';
import {
  type Address,
  addressOf,
  CHANCE_OF_TRANSCRIPTS,
  DEEDS_MAX,
  hashOf,
} from './model/address.ts';
import { type Rules, rulesOf } from './model/rules.ts';
import { type Shown, shownOf } from './model/shown.ts';
import { type Story, storiesOf, TITLES } from './model/stories.ts';
import { Menu } from './view/menu.tsx';
import { RuleDialog } from './view/rule.tsx';
import { RunView } from './view/run.tsx';

interface Texts {
  /** Of test/scenario, by path without the ending. */
  readonly scripts: Readonly<Record<string, string>>;
  readonly rules: string;
}

const FIRST = TITLES[0]?.[0] ?? '';

function useAddress(): readonly [Address, (address: Address) => void] {
  const [address, setAddress] = useState(() => addressOf(location.hash, FIRST));
  useLayoutEffect(() => {
    const read = (): void => setAddress(addressOf(location.hash, FIRST));
    addEventListener('hashchange', read);
    return () => removeEventListener('hashchange', read);
  }, []);
  const go = useCallback((next: Address) => {
    history.replaceState(null, '', hashOf(next));
    setAddress(next);
  }, []);
  return [address, go];
}

interface SiteProps {
  readonly texts: Texts;
  readonly stories: readonly Story[];
  readonly rules: Rules;
}

function Site({ texts, stories, rules }: SiteProps) {
  const [address, go] = useAddress();
  const [rule, setRule] = useState('');
  const { story, seed, chance, deeds } = address;
  const doings = JSON.stringify(deeds);
  const shown = useMemo(
    (): Shown => shownOf(address, stories, texts.scripts),
    [story, seed, chance, doings],
  );
  const act = (frame: number, command: string): void => {
    const before = deeds.filter((deed) => deed.frame <= frame).slice(0, DEEDS_MAX - 1);
    go({ ...address, deeds: [...before, { frame, command }], at: frame });
  };
  const undo = (): void => go({ ...address, deeds: deeds.slice(0, -1) });
  const forget = (): void => go({ ...address, deeds: [], chance: CHANCE_OF_TRANSCRIPTS, at: 0 });
  return (
    <>
      <header class="top">
        <a class="brand" href={`#story=${FIRST}`}>
          Tidemark
        </a>
        <p>
          How a replicated log survives. The cores of the broker run in this page as they are; what
          you see is what they said.
        </p>
      </header>
      <div class="middle">
        <Menu stories={stories} chosen={seed === '' ? story : `seed ${seed}`} />
        <RunView
          key={`${story} ${seed} ${chance}`}
          shown={shown}
          address={address}
          acts={{ act, undo, forget }}
          open={setRule}
          again={(next) => go({ ...address, chance: next, deeds: [], at: 0 })}
        />
      </div>
      <RuleDialog rule={rules.get(rule) ?? null} close={() => setRule('')} />
    </>
  );
}

const place = document.getElementById('site');
const source = document.getElementById('texts')?.textContent;
if (place !== null && source != null) {
  const texts = JSON.parse(source) as Texts;
  place.replaceChildren();
  const stories = storiesOf(Object.keys(texts.scripts));
  render(<Site texts={texts} stories={stories} rules={rulesOf(texts.rules)} />, place);
}
