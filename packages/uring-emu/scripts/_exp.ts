import { run_machine } from "@ringside/core/testing/threads";
const kthreads = Number(process.argv[2]);
for (const percpu of ["owner", "atomic"] as const) {
  try {
    const r = await run_machine({
      module: new URL("../src/testing/uring-bodies.ts", import.meta.url),
      cpus: ["read_dmabuf", "read_dmabuf", "invalidate_often"],
      args: [2, 1500],
      boot: "boot_uring",
      finish: "finish_uring",
      config: { kasan: true, percpu, kthreads },
      timeout: 20000,
    });
    console.log(kthreads, percpu, "ok", r.kworkers, r.log.length, JSON.stringify((r.finished as { leaks: unknown[] }).leaks));
  } catch (e) {
    console.log(kthreads, percpu, String(e).slice(0, 220));
  }
}
