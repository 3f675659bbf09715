/** The picture of one cluster: brokers with their logs, and the messages between them. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { type Layout, layoutOf, pointOn, wayOf } from '../model/layout.ts';
import type { Flight, Panel, RowSeen, Sent } from '../stage/picture.ts';
import { statusOf } from '../stage/status.ts';
import { Column, epochClass } from './column.tsx';

const FATES: Readonly<Record<Sent['fate'], { readonly sign: string; readonly word: string }>> = {
  waits: { sign: '…', word: 'no answer yet' },
  acknowledged: { sign: '✓', word: 'acknowledged' },
  refused: { sign: '×', word: 'refused' },
  unknown: { sign: '?', word: 'outcome unknown' },
};
/** The newest records of the producer that are shown. */
const SENT_PX = 27;

interface PanelProps {
  readonly panel: Panel;
  readonly rows: number;
  /** How far a message has come, from 0 to 1. */
  readonly progress: (flight: Flight) => number;
}

export function PanelView({ panel, rows, progress }: PanelProps) {
  const [place, width] = useWidth();
  const layout = layoutOf(panel, width, rows);
  const { title, facts, brokers } = panel;
  return (
    <section class="panel" aria-label={title === '' ? 'the cluster' : title}>
      {title !== '' && (
        <h3>
          {title} <span class="hint">{facts.join(', ')}</span>
        </h3>
      )}
      <div ref={place}>
        <svg
          width={layout.width}
          height={layout.height}
          viewBox={`0 0 ${layout.width} ${layout.height}`}
          role="img"
          aria-label={statusOf(panel).join('; ')}
        >
          <Band layout={layout} panel={panel} />
          {brokers.map((broker, at) => {
            const box = layout.columns[at];
            return box === undefined ? null : (
              <Column
                key={broker.id}
                broker={broker}
                box={box}
                isLeader={panel.row?.leader === broker.id || broker.role === 'leader'}
              />
            );
          })}
          <g class="flights">
            {panel.flights.map((flight) => (
              <FlightView
                key={flight.key}
                flight={flight}
                at={pointOn(wayOf(layout, panel, flight), progress(flight))}
              />
            ))}
          </g>
        </svg>
      </div>
    </section>
  );
}

/** Width of an element, as it is and as it becomes. */
function useWidth() {
  const place = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(320);
  useEffect(() => {
    const { current } = place;
    if (current === null) return;
    const resized = new ResizeObserver(() => setWidth(Math.max(240, current.clientWidth)));
    resized.observe(current);
    return () => resized.disconnect();
  }, []);
  return [place, width] as const;
}

function Band({ layout, panel }: { readonly layout: Layout; readonly panel: Panel }) {
  const { producer, controller } = layout;
  return (
    <>
      {producer !== null && panel.sent !== null && (
        <g class="box producer" transform={`translate(${producer.x} ${producer.y})`}>
          <rect width={producer.width} height={producer.height} rx={6} />
          <text x={10} y={20} class="name">
            producer
          </text>
          <SentList sent={panel.sent} width={producer.width - 14} />
        </g>
      )}
      {controller !== null && panel.row !== null && (
        <g class="box controller" transform={`translate(${controller.x} ${controller.y})`}>
          <rect width={controller.width} height={controller.height} rx={6} />
          <text x={10} y={20} class="name">
            {controller.width < 190 ? 'controller' : 'controller, and metadata'}
          </text>
          <RowText row={panel.row} width={controller.width} />
        </g>
      )}
    </>
  );
}

function RowText({ row, width }: { readonly row: RowSeen; readonly width: number }) {
  const { leader, leaderEpoch, syncSet, quorum, min, losses } = row;
  const who = leader === -1 ? 'no leader' : `leader ${leader}`;
  return (
    <>
      <text x={10} y={37}>
        {who}, epoch {leaderEpoch}
      </text>
      {losses.length > 0 && (
        <text x={width - 10} y={52} text-anchor="end" class="bad">
          <title>{losses.join('; ')}</title>
          {width < 190 ? 'loss!' : 'loss reported'}
        </text>
      )}
      <text x={10} y={52}>
        S {`{${[...syncSet].sort((a, b) => a - b).join(' ')}}`} · q {quorum} · m {min}
      </text>
    </>
  );
}

function SentList({ sent, width }: { readonly sent: readonly Sent[]; readonly width: number }) {
  const most = Math.max(1, Math.floor(width / SENT_PX));
  const first = Math.max(0, sent.length - most);
  return (
    <>
      {sent.slice(first).map(({ text, ack, fate }, at) => (
        <g key={first + at} class={`sent ${fate}`} transform={`translate(${10 + at * SENT_PX} 31)`}>
          <title>{`${text}, acks=${ack}: ${FATES[fate].word}`}</title>
          <rect width={SENT_PX - 3} height={20} rx={4} />
          <text x={(SENT_PX - 3) / 2} y={14} text-anchor="middle">
            {text}
            {FATES[fate].sign}
          </text>
        </g>
      ))}
    </>
  );
}

function FlightView({
  flight: { kind, cell, text },
  at: { x, y },
}: {
  readonly flight: Flight;
  readonly at: { readonly x: number; readonly y: number };
}) {
  const carries = cell !== null && (kind === 'frames' || kind === 'append');
  return (
    <g class={`flight ${kind}`} transform={`translate(${x.toFixed(1)} ${y.toFixed(1)})`}>
      <title>{text}</title>
      {carries ? (
        <>
          <rect class={epochClass(cell.epoch)} x={-15} y={-10} width={30} height={20} rx={5} />
          <text y={4} text-anchor="middle">
            {cell.isControl ? '▲' : cell.text}
          </text>
        </>
      ) : kind === 'answer' ? (
        <>
          <circle r={9} />
          <text y={4} text-anchor="middle">
            {text.startsWith('stored') || text.startsWith('committed') ? '✓' : '!'}
          </text>
        </>
      ) : kind === 'mark' ? (
        <path d="M0 -8 C5 -1 6 2 6 3 A6 6 0 0 1 -6 3 C-6 2 -5 -1 0 -8 Z" />
      ) : kind === 'position' ? (
        <circle r={5} />
      ) : (
        <rect x={-5} y={-5} width={10} height={10} transform="rotate(45)" />
      )}
    </g>
  );
}
