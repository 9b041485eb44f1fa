/**
 * blk_status_t (include/linux/blk_types.h): what became of a request, and the errno it means to a file.
 */
import {
  EAGAIN,
  EBADE,
  EBUSY,
  EILSEQ,
  EINVAL,
  EIO,
  ENODATA,
  ENODEV,
  ENOLINK,
  ENOMEM,
  ENOSPC,
  EOPNOTSUPP,
  EREMOTEIO,
  ETIMEDOUT,
} from "../debug/errno.ts";

export const BLK_STS_OK = 0;
export const BLK_STS_NOTSUPP = 1;
export const BLK_STS_TIMEOUT = 2;
export const BLK_STS_NOSPC = 3;
export const BLK_STS_TRANSPORT = 4;
export const BLK_STS_TARGET = 5;
export const BLK_STS_RESV_CONFLICT = 6;
export const BLK_STS_MEDIUM = 7;
export const BLK_STS_PROTECTION = 8;
/** Out of memory or the like; try again when a request has completed. */
export const BLK_STS_RESOURCE = 9;
export const BLK_STS_IOERR = 10;
/** The caller did not want to wait. */
export const BLK_STS_AGAIN = 12;
/** As RESOURCE, and a request of this queue that is in flight will free it. */
export const BLK_STS_DEV_RESOURCE = 13;
export const BLK_STS_OFFLINE = 16;
export const BLK_STS_INVAL = 19;

const ERRNO: readonly number[] = [
  0,
  -EOPNOTSUPP,
  -ETIMEDOUT,
  -ENOSPC,
  -ENOLINK,
  -EREMOTEIO,
  -EBADE,
  -ENODATA,
  -EILSEQ,
  -ENOMEM,
  -EIO,
  -EIO,
  -EAGAIN,
  -EBUSY,
  -EIO,
  -EIO,
  -ENODEV,
  -EIO,
  -EIO,
  -EINVAL,
];

export function blk_status_to_errno(status: number): number {
  return ERRNO[status] ?? -EIO;
}
