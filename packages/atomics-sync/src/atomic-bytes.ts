/** Generated from atomic.wat by scripts/assemble.ts: the module's bytes in base64. Do not edit. */
export const ATOMIC_BYTES: string = [
  "AGFzbQEAAAABGARgAX8Bf2ACf38AYAJ/fwF/YAN/f38BfwISAQNlbnYGbWVtb3J5AgMBgIAEAwkIAAECAgICAgMHRAgEbG9hZAAA",
  "BXN0b3JlAAEDYWRkAAIDc3ViAAMDYW5kAAQCb3IABQhleGNoYW5nZQAGD2NvbXBhcmVFeGNoYW5nZQAHClkICAAgAP4QAgALCgAg",
  "ACAB/hcCAAsKACAAIAH+HgIACwoAIAAgAf4lAgALCgAgACAB/iwCAAsKACAAIAH+MwIACwoAIAAgAf5BAgALDAAgACABIAL+SAIA",
  "Cw==",
].join("");
