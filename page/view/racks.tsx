/** Racks as columns, brokers in them, and a tile for each replica. */
import { Component } from 'preact';
import type { BrokerCard, RackColumn, ReplicaState, Tile } from '../model/tiles.ts';
import { SIGNS } from '../model/tiles.ts';
import { counted } from '../model/words.ts';
import type { ClusterSeen, ProcessSeen } from '../snapshot.ts';
import { Deeds } from './deeds.tsx';
import { useFlights } from './flying.ts';

/** With more tiles on a broker than this, a tile is its sign alone: its name is in its label. */
const NAMED_MAX = 60;

interface RacksProps {
  readonly cluster: ClusterSeen;
  readonly columns: readonly RackColumn[];
  /** Null: not of this machine. */
  readonly processes: readonly ProcessSeen[] | null;
  /** Key of the chosen partition. */
  readonly chosen: string | null;
  readonly choose: (key: string) => void;
}

export function Racks({ cluster, columns, processes, chosen, choose }: RacksProps) {
  const place = useFlights(cluster);
  return (
    <div class="racks" ref={place}>
      {columns.map(({ rack, cards }) => (
        <section
          key={rack}
          class="rack"
          aria-label={`rack ${rack === '' ? 'without a name' : rack}`}
        >
          <h2>{rack === '' ? 'no rack' : rack}</h2>
          {cards.map((card) => (
            <Card
              key={card.broker.brokerId}
              card={card}
              process={processes?.find((one) => one.brokerId === card.broker.brokerId) ?? null}
              chosen={chosen}
              choose={choose}
            />
          ))}
        </section>
      ))}
    </div>
  );
}

function Card({
  card: { broker, isController, leads, tiles },
  process,
  chosen,
  choose,
}: {
  readonly card: BrokerCard;
  readonly process: ProcessSeen | null;
  readonly chosen: string | null;
  readonly choose: (key: string) => void;
}) {
  const { brokerId, state, voter, address } = broker;
  const isSmall = tiles.length > NAMED_MAX;
  const roles = [isController ? 'controller' : voter ? 'voter' : ''].filter((role) => role !== '');
  return (
    <article class={`broker ${state === 'up' ? 'up' : 'down'}`} data-broker={brokerId}>
      <h3>
        Broker {brokerId} <span class="state">{state}</span>
        {roles.map((role) => (
          <span key={role} class="role">
            {role}
          </span>
        ))}
      </h3>
      <p class="address">
        {address} · leads {leads} of {counted(tiles.length, 'replica')}
      </p>
      <div
        class={isSmall ? 'tiles small' : 'tiles'}
        role="group"
        aria-label={`replicas on broker ${brokerId}; arrow keys go from one to the next`}
        onKeyDown={goOn}
      >
        {tiles.map((tile, at) => (
          <TileButton
            key={tile.key}
            tile={tile}
            isSmall={isSmall}
            isFirst={at === 0}
            isChosen={tile.key === chosen}
            choose={choose}
          />
        ))}
      </div>
      {process !== null && <Deeds process={process} />}
    </article>
  );
}

interface TileProps {
  readonly tile: Tile;
  readonly isSmall: boolean;
  readonly isFirst: boolean;
  readonly isChosen: boolean;
  readonly choose: (key: string) => void;
}

/** Drawn again only where it changed: thousands of them come with every snapshot. */
class TileButton extends Component<TileProps> {
  override shouldComponentUpdate(next: TileProps): boolean {
    const { tile, isSmall, isFirst, isChosen } = this.props;
    return (
      next.tile.label !== tile.label ||
      next.isSmall !== isSmall ||
      next.isFirst !== isFirst ||
      next.isChosen !== isChosen
    );
  }

  override render({ tile, isSmall, isFirst, isChosen, choose }: TileProps) {
    const { name, key, state, refuses, label } = tile;
    return (
      <button
        type="button"
        class={`tile ${className(state)}${refuses ? ' refuses' : ''}`}
        aria-label={label}
        aria-pressed={isChosen}
        title={label}
        tabIndex={isFirst ? 0 : -1}
        data-name={name}
        data-key={key}
        onClick={() => choose(key)}
      >
        <span class="sign" aria-hidden="true">
          {SIGNS[state]}
        </span>
        {!isSmall && <span class="name">{name}</span>}
      </button>
    );
  }
}

/** One stop for Tab on each broker; arrow keys, Home and End inside. */
function goOn(event: KeyboardEvent & { readonly currentTarget: HTMLElement }): void {
  const tiles = [...event.currentTarget.querySelectorAll('button')];
  const at = tiles.indexOf(document.activeElement as HTMLButtonElement);
  const to = {
    ArrowRight: at + 1,
    ArrowDown: at + 1,
    ArrowLeft: at - 1,
    ArrowUp: at - 1,
    Home: 0,
    End: tiles.length - 1,
  }[event.key];
  if (to === undefined || tiles[to] === undefined) return;
  event.preventDefault();
  for (const tile of tiles) if (tile.tabIndex === 0) tile.tabIndex = -1;
  tiles[to].tabIndex = 0;
  tiles[to].focus();
}

export function Legend() {
  return (
    <ul class="legend" aria-label="what the signs mean">
      {(Object.keys(SIGNS) as ReplicaState[]).map((state) => (
        <li key={state}>
          <span class={`tile ${className(state)}`} aria-hidden="true">
            <span class="sign">{SIGNS[state]}</span>
          </span>
          {state}
        </li>
      ))}
      <li>
        <span class="tile in-sync refuses" aria-hidden="true">
          <span class="sign">✓</span>
        </span>
        underlined: its partition takes no appends
      </li>
    </ul>
  );
}

/** Of a replica's state, as the style sheet has it. */
export function className(state: ReplicaState): string {
  return state.replace(' ', '-');
}
