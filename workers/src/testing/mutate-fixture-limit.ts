/** Second module of the mutant loader's fixture: a mutant may edit several files. */
export const LIMIT: number = 10;
