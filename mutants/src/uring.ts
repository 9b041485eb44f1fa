/** Mutants of uring-emu. */
import type { Mutant } from "./mutant.ts";

export const URING_MUTANTS: readonly Mutant[] = [
  {
    name: "completion-keeps-map",
    edits: [
      {
        file: "packages/uring-emu/src/ring/complete.ts",
        find: "    io_dmabuf_map_drop(cpu, mem.read(req + REQ_DMABUF_MAP) as IoDmabufMapPtr);\n",
        replace: "",
      },
    ],
    breaks: "A completed request keeps its reference: the map never drains, its fence never signals.",
    caughtBy: ["hung"],
    stress: {},
  },
  {
    name: "completion-drops-map-twice",
    edits: [
      {
        file: "packages/uring-emu/src/ring/complete.ts",
        find: "    mem.write(req + REQ_DMABUF_MAP, 0);\n",
        replace: `    io_dmabuf_map_drop(cpu, mem.read(req + REQ_DMABUF_MAP) as IoDmabufMapPtr);
    mem.write(req + REQ_DMABUF_MAP, 0);
`,
      },
    ],
    breaks: "A completed request drops its map twice: the map goes while others use it.",
    caughtBy: ["after switching to atomic", "io-after-fence", "iommu-fault"],
    stress: {},
  },
];
