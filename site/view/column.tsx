/** A broker and its logs: tanks that fill with what is committed. */
import { type Box, type ColumnBox, cellBox, levelOf, type TankBox } from '../model/layout.ts';
import type { BrokerSeen, Cell, LogSeen } from '../stage/picture.ts';

const EPOCH_COLOURS = 6;
/** Narrower than this, a cell has no room for words. */
const WORDS_PX = 150;
const WAVE_PX = 28;
/** Narrower than this, a broker has room for short tags. */
const TAGS_PX = 170;

/** Epochs that follow each other differ; each says its number as well. */
export function epochClass(epoch: number): string {
  return epoch === 0 ? 'epoch none' : `epoch e${epoch % EPOCH_COLOURS}`;
}

interface ColumnProps {
  readonly broker: BrokerSeen;
  readonly box: ColumnBox;
  readonly isLeader: boolean;
}

export function Column({ broker, box, isLeader }: ColumnProps) {
  const { id, state, role, standing, logs, epoch } = broker;
  const kinds = [state, standing?.replaceAll(' ', '-') ?? 'no-set', isLeader ? 'leads' : 'follows'];
  return (
    <g
      class={`column ${kinds.join(' ')}${broker.isCut ? ' cut' : ''}`}
      data-broker={id}
      data-role={role}
      data-epoch={epoch}
    >
      <rect class="card" x={box.x} y={box.y} width={box.width} height={box.height} rx={8} />
      <g transform={`translate(${box.x + 10} ${box.y})`}>
        <text y={20} class="name">
          {box.width < 90 ? id : `Broker ${id}`}
        </text>
        <text x={box.width - 20} y={20} text-anchor="end" class="sign">
          {signOf(broker, isLeader)}
        </text>
        <text y={36} class="role">
          {state === 'down' ? 'process gone' : `${role}${epoch > 0 ? `, e${epoch}` : ''}`}
        </text>
        <text y={50} class="tags">
          {tagsOf(broker, box.width < TAGS_PX)}
        </text>
      </g>
      {logs.map((log, at) => {
        const tank = box.tanks[at];
        return tank === undefined ? null : (
          <Tank key={at} log={log} tank={tank} clip={`tank-${box.x}-${id}-${at}`} />
        );
      })}
    </g>
  );
}

function signOf({ state, standing, isCut }: BrokerSeen, isLeader: boolean): string {
  if (state === 'down') return '×';
  if (state === 'paused') return '‖';
  if (isCut) return '≠';
  if (standing === 'suspect') return '?';
  if (isLeader) return '★';
  return standing === 'out of sync' ? '…' : standing === null ? '' : '✓';
}

function tagsOf(
  { state, standing, isFenced, isCut, slowMs, note }: BrokerSeen,
  isNarrow: boolean,
): string {
  const reach = [
    isCut ? 'cut off' : '',
    state === 'paused' ? 'paused' : '',
    slowMs > 0 ? (isNarrow ? 'slow' : `slow by ${slowMs} ms`) : '',
  ].filter((tag) => tag !== '');
  const words = [...reach, standing ?? '', isFenced && state !== 'down' ? 'fenced' : ''];
  const said = words.filter((tag) => tag !== '').slice(0, 2);
  return said.length > 0 ? said.join(', ') : note;
}

function Tank({
  log,
  tank,
  clip,
}: {
  readonly log: LogSeen;
  readonly tank: TankBox;
  readonly clip: string;
}) {
  const { title, cells, mark, synced, start } = log;
  const last = cells.at(-1);
  const surface = Math.min(levelOf(tank, mark), tank.y + tank.height);
  return (
    <g class="log" data-mark={mark} data-title={title}>
      <clipPath id={clip}>
        <rect x={tank.x} y={tank.y} width={tank.width} height={tank.height} rx={4} />
      </clipPath>
      <rect class="tank" x={tank.x} y={tank.y} width={tank.width} height={tank.height} rx={4} />
      <g clip-path={`url(#${clip})`}>
        <g class="water" style={{ transform: `translateY(${surface}px)` }}>
          <path d={waveOf(tank)} />
        </g>
      </g>
      {title !== '' && (
        <text class="tags" x={tank.x + 5} y={tank.y + 13}>
          {title}
        </text>
      )}
      {cells.map((cell) => {
        const box = cellBox(tank, cell);
        return box === null || box.y + box.height < tank.y ? null : (
          <CellView
            key={`${cell.at} ${cell.epoch}`}
            cell={cell}
            box={box}
            isCommitted={cell.end <= mark}
          />
        );
      })}
      {cells.length > 0 && last !== undefined && last.end <= tank.base && (
        <text class="tags" x={tank.x + 6} y={tank.y + tank.height - 8}>
          ends at {last.end}
        </text>
      )}
      {synced !== null && synced > Math.max(start, tank.base) && (
        <path
          class="synced"
          d={`M${tank.x + 1.5} ${tank.y + tank.height - 2} V${levelOf(tank, synced) + 2}`}
        >
          <title>{`synced below ${synced}`}</title>
        </path>
      )}
      <g class="mark" style={{ transform: `translateY(${surface}px)` }}>
        <title>{`committed below ${mark}`}</title>
        <path d={`M${tank.x} 0 H${tank.x + tank.width}`} />
      </g>
    </g>
  );
}

/** Water with a surface that is not quite flat, as deep as the tank. */
function waveOf({ x, width, height }: TankBox): string {
  const waves = Math.ceil(width / WAVE_PX);
  const surface = Array.from(
    { length: waves },
    () => `q${WAVE_PX / 4} -3 ${WAVE_PX / 2} 0 t${WAVE_PX / 2} 0`,
  ).join(' ');
  return `M${x} 0 ${surface} V${height} H${x} Z`;
}

function CellView({
  cell: { at, end, epoch, isControl, isWritten, text },
  box,
  isCommitted,
}: {
  readonly cell: Cell;
  readonly box: Box;
  readonly isCommitted: boolean;
}) {
  const isNarrow = box.width < WORDS_PX;
  // Long offsets leave no room beside them.
  const name = isControl && isNarrow ? '▲' : isNarrow && `${at}${text}`.length > 4 ? '' : text;
  const kind = `${epochClass(epoch)}${isControl ? ' control' : ''}${isCommitted ? ' committed' : ''}`;
  const [x, y] = [box.x + 4, box.y + 2];
  const [width, height] = [box.width - 8, box.height - 4];
  return (
    <g
      class={`cell ${kind}${isWritten ? '' : ' coming'}`}
      data-cell={isWritten ? `${at}:${epoch}${isControl ? '!' : ''}` : undefined}
    >
      <title>
        {`${isControl ? text : `record ${text}`} at ${at}, epoch ${epoch}${isCommitted ? ', committed' : ''}${isWritten ? '' : ', on its way to the disk'}`}
      </title>
      <rect x={x} y={y} width={width} height={height} rx={4} />
      <text x={x + 7} y={y + height / 2 + 4} class="offset">
        {end - at > 1 && !isNarrow ? `${at}–${end - 1}` : at}
      </text>
      <text x={x + width / 2} y={y + height / 2 + 4} text-anchor="middle" class="what">
        {name}
      </text>
      <text x={x + width - 7} y={y + height / 2 + 4} text-anchor="end" class="offset">
        e{epoch}
      </text>
    </g>
  );
}
