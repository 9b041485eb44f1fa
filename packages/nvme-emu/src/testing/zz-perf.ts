import { run_machine } from "@ringside/core/testing/threads";
const module = new URL("./driver-bodies.ts", import.meta.url);
for (const [completion, percpu, dmabuf, bytes, batch, iommu] of [
  ["poll","atomic",true,512,32,"strict"],["poll","owner",true,512,32,"strict"],["poll","owner",true,4096,32,"strict"],["poll","atomic",true,4096,32,"strict"],["irq","atomic",true,4096,32,"strict"],
  ["poll","owner",false,4096,32,"strict"],["poll","owner",false,4096,32,"lazy"],["poll","owner",false,4096,32,"passthrough"],["poll","owner",true,4096,1,"strict"],["poll","owner",true,4096,128,"strict"]] as any) {
  const r = await run_machine({ module, cpus: ["batched_reads"], args: [1500, batch, bytes, dmabuf], boot: "boot_nvme", finish: "tear_down", devices: ["controller"], config: { ram: 32<<20, media: 64<<20, completion, percpu, iommu } });
  const v = r.values[0] as any;
  console.log(completion, percpu, dmabuf?"dmabuf":"bvec", bytes, batch, iommu, (v.ios/v.ms/1000).toFixed(3)+" M/s", v.failed, r.log.length);
}
