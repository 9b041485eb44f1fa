/** Info of an access, as the shadow keeps it: site << 8 | MUTED | kind. */

/** The site is one that races on purpose. */
export const MUTED = 0x80;
const KIND = 0x1f;

export function infoOf(site: number, kind: number, muted: boolean): number {
  return (site << 8) | (muted ? MUTED : 0) | kind;
}
export function siteOfInfo(info: number): number {
  return info >>> 8;
}
export function kindOfInfo(info: number): number {
  return info & KIND;
}
