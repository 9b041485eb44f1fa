/** What a body of a check scenario claims: if it does not hold, the execution ends with the failure "assertion". */

class AssertionError extends Error {
  override readonly name: string = "AssertionError";
}

/** Fails the execution unless `condition`. */
export function claim(condition: boolean, message: string): void {
  if (!condition) throw new AssertionError(message);
}
