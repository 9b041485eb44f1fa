/**
 * The whole kernel, loaded in one order: what a linker script is to Linux. Symbols and static data are
 * numbered as modules load, so every thread and the host import this before any other kernel module.
 */
import "@ringside/core/rcu/rcu";
import "@ringside/core/sched/workqueue";
import "@ringside/core/dma/token";
import "@ringside/core/dma/exporters/udmabuf";
import "@ringside/core/dma/exporters/vram";
import "@ringside/core/dma/exporters/vram-async";
import "@ringside/nvme-emu/controller/thread";
import "@ringside/nvme-emu/driver/probe";
import "@ringside/uring-emu/liburing";
