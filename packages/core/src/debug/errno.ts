/** Error numbers (include/uapi/asm-generic/errno*.h, include/linux/errno.h). Verbs return them negated. */
export const EPERM = 1;
export const ENOENT = 2;
export const EINTR = 4;
export const EIO = 5;
export const ENXIO = 6;
export const EBADF = 9;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EACCES = 13;
export const EFAULT = 14;
export const EBUSY = 16;
export const EEXIST = 17;
export const ENODEV = 19;
export const EINVAL = 22;
export const ENFILE = 23;
export const EMFILE = 24;
export const ENOTTY = 25;
export const EFBIG = 27;
export const ENOSPC = 28;
export const ESPIPE = 29;
export const EDEADLK = 35;
export const ENODATA = 61;
export const ETIME = 62;
export const ENOLINK = 67;
export const EOVERFLOW = 75;
export const EBADFD = 77;
export const EILSEQ = 84;
export const ERESTARTSYS = 512;
export const EOPNOTSUPP = 95;
export const ETIMEDOUT = 110;
export const EALREADY = 114;
export const ECANCELED = 125;
export const EOWNERDEAD = 130;
export const EIOCBQUEUED = 529;
export const EREMOTEIO = 121;
export const EBADE = 52;
export const EBADR = 53;

/** Largest error number an error pointer can carry (include/linux/err.h MAX_ERRNO). */
const MAX_ERRNO = 4095;

/** A pointer that is really a negative errno: addresses are never negative, so the sign tells. */
export function IS_ERR(p: number): boolean {
  return p < 0 && p >= -MAX_ERRNO;
}
export function ERR_PTR(error: number): number {
  return error;
}
export function PTR_ERR(p: number): number {
  return p;
}

const NAMES: Readonly<Record<number, string>> = {
  1: "EPERM",
  2: "ENOENT",
  4: "EINTR",
  5: "EIO",
  6: "ENXIO",
  9: "EBADF",
  11: "EAGAIN",
  12: "ENOMEM",
  13: "EACCES",
  14: "EFAULT",
  16: "EBUSY",
  17: "EEXIST",
  19: "ENODEV",
  22: "EINVAL",
  28: "ENOSPC",
  35: "EDEADLK",
  53: "EBADR",
  62: "ETIME",
  75: "EOVERFLOW",
  77: "EBADFD",
  95: "EOPNOTSUPP",
  110: "ETIMEDOUT",
  114: "EALREADY",
  121: "EREMOTEIO",
  125: "ECANCELED",
  512: "ERESTARTSYS",
  529: "EIOCBQUEUED",
};

/** "-EAGAIN" for -11; the number itself when it has no name here. */
export function errname(error: number): string {
  const name = NAMES[-error];
  return name === undefined ? String(error) : `-${name}`;
}
