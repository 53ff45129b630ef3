// Lengths of frames, bytes, without FCS.

/** An Ethernet header: nothing shorter is a frame. */
export const MIN_FRAME = 14;
/** Ethernet header and one 802.1Q tag: how much longer than its packet a frame may be. */
export const FRAME_OVERHEAD = 18;
/** The longest frame any VDE program sends (plug4). */
export const MAX_RX_FRAME = 9234;
