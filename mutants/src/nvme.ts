/** Mutants of the NVMe driver, its controller and the IOMMU. */
import type { Mutant } from "./mutant.ts";

const SUBMIT = "packages/nvme-emu/src/driver/submit.ts";

export const NVME_MUTANTS: readonly Mutant[] = [
  {
    name: "prp-chain-slot",
    edits: [
      {
        file: "packages/nvme-emu/src/driver/prp.ts",
        find: "  write_prp(cpu, next, cpu.mem.read(last));\n",
        replace: "  write_prp(cpu, next + PRP_SIZE, cpu.mem.read(last));\n",
      },
    ],
    breaks: "The page that makes room for the chain pointer goes to the wrong slot of the next PRP list.",
    caughtBy: ["data-mismatch", "iommu-fault", "io-error"],
    stress: { bs: 4 << 20, depth: 2 },
  },
  {
    name: "cq-phase-stuck",
    edits: [
      {
        file: "packages/nvme-emu/src/controller/completion.ts",
        find: "    cq.tail = 0;\n    cq.phase ^= 1;",
        replace: "    cq.tail = 0;",
      },
    ],
    breaks: "The controller does not flip the phase when its completion queue wraps.",
    caughtBy: ["hung"],
    stress: {},
  },
  {
    name: "doorbell-before-entry",
    edits: [
      {
        file: SUBMIT,
        find: "  let tail = nvmeq_sq_tail(cpu, nvmeq);\n",
        replace: `  let tail = nvmeq_sq_tail(cpu, nvmeq);
  let ahead = tail;
  for (let rq = batch; rq !== 0; rq = rq_next(cpu, rq)) if (++ahead === depth) ahead = 0;
  nvmeq_set_sq_tail(cpu, nvmeq, ahead);
  if (nvme_write_sq_db(cpu, nvmeq, true)) nvme_ring_device(cpu);
  for (let i = 0; i < 200; i++) cpu.mem.pause();
`,
      },
    ],
    breaks: "The tail doorbell is rung before the entry is written: the controller executes a stale command.",
    caughtBy: ["nvme", "hung", "data-mismatch", "io-error", "imbalance"],
    stress: {},
  },
  {
    name: "iotlb-flush-skipped",
    edits: [
      {
        file: "packages/core/src/dma/iommu-domain.ts",
        find: "  iommu_flush_wait(cpu, domain + FLUSH, iommu_flush_post(cpu, domain + FLUSH));\n",
        replace: "",
      },
    ],
    breaks: "Strict unmap does not flush the device's IOTLB: reused I/O addresses reach the old pages.",
    caughtBy: ["data-mismatch", "io-error", "hung"],
    stress: { iommu: "strict" },
  },
];
