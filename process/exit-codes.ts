/** How a broker process ends. Supervisors branch on these. */

/** An orderly stop. */
export const EXIT_OK = 0;
/**
 * Something that another start does not cure: wrong options, wrong cluster, another incarnation in
 * its place.
 */
export const EXIT_FAULT = 1;
/**
 * EX_TEMPFAIL of sysexits: the disk failed or the data was damaged; start it again and it comes
 * back as what it now is.
 */
export const EXIT_COMES_BACK = 75;
