/** Where the tests' shared words lie. Zeroed memory is the start of every test. */

/** Threads ready to start. */
export const GATE = 128;
/** A word that stays 0, to sleep on. */
export const NEVER = 256;
/** Nonzero (or a count): enough. */
export const STOP = 384;
export const COUNTER = 512;
/** Threads inside a section now, and the most that ever were. */
export const INSIDE = 640;
export const MOST_INSIDE = 644;
/** The primitive under test, and a second one for answers. */
export const PRIMITIVE = 1024;
export const REPLY = 4096;
/** One word per thread, 128 bytes apart. */
export const SLOTS = 8192;
/** What a seqlock guards. */
export const PAYLOAD = 16384;
export const PAYLOAD_WORDS = 8;
