/** Rules of groups that whoever answers calls looks things up by. */
export { cursorAt, goneCursors, goneError, judgeSeek } from '../../groups/cursors.ts';
export { emptyGroups } from '../../groups/fold.ts';
export { subscriptionFault } from '../../groups/membership/requests.ts';
