/** Readiness as a kubelet asks for it; for the program that answers and the operator. */

/**
 * Asked with this, a program waits before it says no: a kubelet makes a warning of every no, and
 * most are over in a moment.
 */
export const READY_PAGE_OF_PODS = '/readyz?pod';
