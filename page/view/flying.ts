/** Moves tiles from broker to broker, where motion is wanted. */
import { useLayoutEffect, useRef } from 'preact/hooks';
import { type Flight, flightsTo, type Places, placesOf } from '../model/flights.ts';
import type { ClusterSeen } from '../snapshot.ts';

const FLIGHT_MS = 700;
const SETTLE_MS = 900;

/** A way that was measured, before anything is drawn. */
interface Way {
  readonly target: HTMLElement;
  readonly start: DOMRect;
  readonly end: DOMRect;
}

/** A ref for what holds all brokers' tiles; after each snapshot, what moved is seen to move. */
export function useFlights(cluster: ClusterSeen) {
  const place = useRef<HTMLDivElement>(null);
  const before = useRef<Places>(new Map());
  useLayoutEffect(() => {
    const flights = flightsTo(cluster, before.current);
    before.current = placesOf(cluster, before.current);
    const { current } = place;
    if (current === null || flights.length === 0) return;
    if (matchMedia('(prefers-reduced-motion: reduce)').matches) return;
    for (const way of waysOf(current, flights)) fly(way);
  }, [cluster]);
  return place;
}

/** Everything is measured at once, so that the page is laid out once. */
function waysOf(place: HTMLElement, flights: readonly Flight[]): Way[] {
  const tiles = new Map<string, HTMLElement>();
  for (const tile of place.querySelectorAll<HTMLElement>('[data-key]')) {
    const broker = tile.closest<HTMLElement>('[data-broker]')?.dataset['broker'];
    tiles.set(`${broker} ${tile.dataset['key']}`, tile);
  }
  return flights.flatMap(({ key, from, to }) => {
    const [source, target] = [tiles.get(`${from} ${key}`), tiles.get(`${to} ${key}`)];
    if (source === undefined || target === undefined) return [];
    if (!isInSight(source) || !isInSight(target)) return [];
    return [{ target, start: source.getBoundingClientRect(), end: target.getBoundingClientRect() }];
  });
}

/** Many tiles are scrolled inside their broker. */
function isInSight(tile: HTMLElement): boolean {
  const { top, bottom } = tile.getBoundingClientRect();
  const around = tile.parentElement?.getBoundingClientRect();
  return around !== undefined && top >= around.top && bottom <= around.bottom + 1;
}

/** A copy of the tile goes from where it was to where it is, which then lights up. */
function fly({ target, start, end }: Way): void {
  const ghost = target.cloneNode(true) as HTMLElement;
  ghost.classList.add('flying');
  ghost.removeAttribute('data-key');
  ghost.setAttribute('aria-hidden', 'true');
  ghost.tabIndex = -1;
  const { left, top, width, height } = end;
  Object.assign(ghost.style, {
    ...{ left: `${left}px`, top: `${top}px` },
    ...{ width: `${width}px`, height: `${height}px` },
  });
  document.body.append(ghost);
  const away = `translate(${start.left - left}px, ${start.top - top}px)`;
  const flight = ghost.animate([{ transform: away }, { transform: 'none' }], {
    duration: FLIGHT_MS,
    easing: 'cubic-bezier(0.3, 0, 0.15, 1)',
  });
  const land = (): void => {
    ghost.remove();
    target.animate([{ boxShadow: '0 0 0 4px var(--glow)' }, { boxShadow: '0 0 0 0 transparent' }], {
      duration: SETTLE_MS,
      easing: 'ease-out',
    });
  };
  flight.finished.then(land, land);
}
