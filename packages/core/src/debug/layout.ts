/**
 * Struct layouts as data, for debuggers, reports and the test that checks them. Cold: the verbs use their
 * own module-local offsets.
 */
export type LayoutField = readonly [name: string, offset: number, bytes: number];
export interface StructLayout {
  readonly name: string;
  readonly size: number;
  readonly fields: readonly LayoutField[];
}

const layouts: StructLayout[] = [];

/** Registers a layout; fields in C declaration order. Module level only. */
export function struct_layout(name: string, size: number, fields: readonly LayoutField[]): StructLayout {
  const layout = { name, size, fields };
  layouts.push(layout);
  return layout;
}

export function struct_layouts(): readonly StructLayout[] {
  return layouts;
}

/** Says what is wrong with a layout: overlap, misalignment, past the end. Empty when sound. */
export function layout_faults(layout: StructLayout): string[] {
  const faults: string[] = [];
  let end = 0;
  let previous = "start";
  for (const [name, offset, bytes] of [...layout.fields].sort((a, b) => a[1] - b[1])) {
    // A 32-bit kernel: a u64 or a list_head is two words and needs no more than a word does.
    const align = bytes === 2 || bytes === 1 ? bytes : 4;
    if (offset % align !== 0) faults.push(`${layout.name}.${name} at ${offset} is not ${align}-aligned`);
    if (offset < end) faults.push(`${layout.name}.${name} overlaps ${previous}`);
    end = offset + bytes;
    previous = name;
  }
  if (end > layout.size) faults.push(`${layout.name}.${previous} ends at ${end}, past ${layout.size}`);
  return faults;
}
