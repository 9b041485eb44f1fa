/** Words of fio's outputs that more than one of them writes. */
import { DDIR_READ, DDIR_WRITE, type Rw } from "../job/job.ts";

/**
 * What "fio version" says. Programs that read fio's output look at it, some at its number, to know the format; this
 * is the version whose output ours equals, not a claim to be it. The human output names ringside in a line of its own.
 */
export const FORMAT_VERSION = "fio-3.33";

export const DDIR_NAMES = ["read", "write", "trim"] as const;

/** fio's word for a job without an end that it can tell: INT_MAX. */
export const NO_ETA = 2147483647;

/** The rw value (ddir_str). */
export function rwName(rw: Rw): string {
  const [read, write] = [rw.ddirs[DDIR_READ], rw.ddirs[DDIR_WRITE]];
  const mode = rw.trimwrite ? "trimwrite" : read && write ? "rw" : read ? "read" : write ? "write" : "trim";
  return rw.random ? `rand${mode}` : mode;
}

const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"] as const;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"] as const;

/** ctime(3), without its newline. Local time. */
export function ctime(ms: number): string {
  const date = new Date(ms);
  const two = (value: number): string => String(value).padStart(2, "0");
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  const day = String(date.getDate()).padStart(2);
  return `${DAYS[date.getDay()]} ${MONTHS[date.getMonth()]} ${day} ${clock} ${date.getFullYear()}`;
}

const ERRORS: Readonly<Record<number, string>> = {
  0: "Success",
  5: "Input/output error",
  11: "Resource temporarily unavailable",
  12: "Cannot allocate memory",
  14: "Bad address",
  19: "No such device",
  22: "Invalid argument",
  28: "No space left on device",
  61: "No data available",
  62: "Timer expired",
  84: "Invalid or incomplete multibyte or wide character",
  95: "Operation not supported",
  110: "Connection timed out",
  116: "Stale file handle",
  121: "Remote I/O error",
  125: "Operation canceled",
};

/** strerror(3), for the errors that an I/O can end with. */
export function errorWords(errno: number): string {
  return ERRORS[errno] ?? `Unknown error ${errno}`;
}
