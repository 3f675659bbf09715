/** Rules of cursors that whoever answers calls looks things up by. */
export { cursorAt, goneCursors, goneError, judgeSeek } from '../../groups/cursors.ts';
