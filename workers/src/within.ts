/** A promise with a time limit. */

/** As `promise`, but rejects when that takes more than `timeout` ms; the error says `text` and the limit. */
export async function within<T>(promise: Promise<T>, timeout: number, text: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${text} within ${timeout} ms`)), timeout);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
