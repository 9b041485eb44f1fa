/** Options of verification, of errors that are survived, and of random offsets. */
import { readDistribution } from "./distribution.ts";
import { choice, complain, flag, integer, missing, named, type OptionSpec } from "./option.ts";
import { PATTERN_MAX, readPattern } from "./pattern.ts";

/** fio: 2 * sizeof(struct verify_header). */
const VERIFY_INTERVAL_MIN = 80;

const OTHER_CHECKSUMS =
  "crc64 crc32 crc16 crc7 sha1 sha256 sha512 sha3-224 sha3-256 sha3-384 sha3-512 xxhash null".split(" ");

const pattern: OptionSpec = {
  ...named("verify_pattern"),
  apply(draft, value) {
    const expected = `0x... bytes, 32-bit numbers, "text" or %o, up to ${PATTERN_MAX} bytes in all`;
    if (value === undefined) return missing("verify_pattern", expected);
    const read = readPattern(value);
    if (read === undefined) return complain(expected);
    draft.options.verifyPattern = read.bytes;
    if (read.offsets.length > 0) draft.options.verifyPatternOffsets = read.offsets;
    else delete draft.options.verifyPatternOffsets;
    if (!draft.verifyGiven) draft.options.verify = "pattern";
    return undefined;
  },
};

const distribution: OptionSpec = {
  ...named("random_distribution"),
  apply(draft, value) {
    const result = readDistribution(value ?? "");
    if ("expected" in result) return result;
    draft.options.distribution = result;
    return undefined;
  },
};

export const VERIFY_OPTIONS: readonly OptionSpec[] = [
  choice(
    "verify",
    {
      "0": "none",
      crc32c: "crc32c",
      "crc32c-intel": "crc32c",
      md5: "md5",
      pattern: "pattern",
      meta: "meta",
    } as const,
    (draft, verify) => {
      draft.options.verify = verify;
      draft.verifyGiven = true;
    },
    OTHER_CHECKSUMS,
  ),
  flag("do_verify", "value", (draft, on) => {
    draft.options.doVerify = on;
  }),
  flag("verify_fatal", "value", (draft, on) => {
    draft.options.verifyFatal = on;
  }),
  pattern,
  integer("verify_interval", { min: VERIFY_INTERVAL_MIN }, (draft, bytes) => {
    draft.options.verifyInterval = bytes;
  }),
  integer("verify_backlog", { max: Number.MAX_SAFE_INTEGER }, (draft, blocks) => {
    draft.options.verifyBacklog = blocks;
  }),
  choice(
    "continue_on_error",
    {
      none: "none",
      read: "read",
      write: "write",
      io: "io",
      verify: "verify",
      all: "all",
      "0": "none",
      "1": "all",
    } as const,
    (draft, errors) => {
      draft.options.continueOnError = errors;
    },
  ),
  flag("norandommap", "bare", (draft, on) => {
    draft.options.norandommap = on;
  }),
  flag("randrepeat", "value", (draft, on) => {
    draft.options.randrepeat = on;
  }),
  integer("randseed", { max: Number.MAX_SAFE_INTEGER }, (draft, seed) => {
    draft.options.randseed = seed;
    draft.randseedGiven = true;
  }),
  distribution,
];
