/** Rules of metadata that whoever answers calls looks things up by. */
export { isCompacted } from '../metadata/config.ts';
export {
  LEVEL_OF_MEMBERS,
  LEVEL_OF_QUEUES,
  requireLevel,
  requireLevelOfConfig,
} from '../metadata/features.ts';
