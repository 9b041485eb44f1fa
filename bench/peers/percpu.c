/*
 * A reference taken and dropped, in C11: `percpu MODE THREADS MS` prints nanoseconds per get and put.
 *
 *   atomic   a shard per thread, changed by atomic_fetch_add (relaxed); the mode word is looked at first
 *   owner    the same with a plain add by the shard's only writer, as this_cpu_add
 *   atomic-counted, owner-counted   the same inside a read section that counts its nesting
 *   shared   one counter for all threads, atomic_fetch_add
 *
 * A get is percpu_ref_get of include/linux/percpu-refcount.h: a look at the mode word, an add to the shard it leads
 * to, and after each add a compiler barrier, so that the next one starts from memory. Without a count its read section
 * is nothing else, as in a kernel without preemption; with one it is preempt_disable and preempt_enable of a kernel
 * with CONFIG_PREEMPT_COUNT, and what our rcu_read_lock keeps too.
 *
 * What an owner's pair costs depends on the processor more than on the code. Two adds to one word wait for each other
 * through memory, some 5 cycles each: about 4 ns a pair. Recent processors rename memory, so that they need not: 1 ns,
 * with the very same instructions, in most runs of this program but not in all (in one of ten it is 4 ns), and as a rule
 * not for a counter whose address is relative to the instruction. A shard is reached through a pointer in a register,
 * here as in the kernel, so the low figure is the peer, and the spread shows the other one.
 */
#include <stdatomic.h>
#include <string.h>
#include "threads.h"

#define ATOMIC_DEAD 3ul

struct shard {
	_Alignas(LINE) atomic_int count;
};

/* Shard pointer | flags; readers look at it each time. */
static _Alignas(LINE) atomic_uintptr_t mode_word;
static struct shard shards[MAX_THREADS];
static _Alignas(LINE) atomic_int shared_count;
static _Thread_local volatile int nesting;

static inline int is_percpu(uintptr_t word)
{
	return __builtin_expect((word & ATOMIC_DEAD) == 0, 1);
}

static inline void add_atomic(int thread, int n)
{
	uintptr_t word = atomic_load_explicit(&mode_word, memory_order_relaxed);
	if (is_percpu(word))
		atomic_fetch_add_explicit(&((struct shard *)word)[thread].count, n, memory_order_relaxed);
	else
		atomic_fetch_add_explicit(&shared_count, n, memory_order_relaxed);
	barrier();
}

static inline void add_owner(int thread, int n)
{
	uintptr_t word = atomic_load_explicit(&mode_word, memory_order_relaxed);
	if (is_percpu(word)) {
		atomic_int *count = &((struct shard *)word)[thread].count;
		int before = atomic_load_explicit(count, memory_order_relaxed);
		atomic_store_explicit(count, before + n, memory_order_relaxed);
	} else {
		atomic_fetch_add_explicit(&shared_count, n, memory_order_relaxed);
	}
	barrier();
}

static void atomic_slice(int thread)
{
	for (int i = 0; i < TURNS; i++) {
		add_atomic(thread, 1);
		add_atomic(thread, -1);
	}
}

static void owner_slice(int thread)
{
	for (int i = 0; i < TURNS; i++) {
		add_owner(thread, 1);
		add_owner(thread, -1);
	}
}

static void atomic_counted_slice(int thread)
{
	for (int i = 0; i < TURNS; i++) {
		nesting++;
		add_atomic(thread, 1);
		nesting--;
		nesting++;
		add_atomic(thread, -1);
		nesting--;
	}
}

static void owner_counted_slice(int thread)
{
	for (int i = 0; i < TURNS; i++) {
		nesting++;
		add_owner(thread, 1);
		nesting--;
		nesting++;
		add_owner(thread, -1);
		nesting--;
	}
}

static void shared_slice(int thread)
{
	(void)thread;
	for (int i = 0; i < TURNS; i++) {
		atomic_fetch_add_explicit(&shared_count, 1, memory_order_relaxed);
		atomic_fetch_sub_explicit(&shared_count, 1, memory_order_relaxed);
	}
}

static const struct {
	const char *name;
	void (*slice)(int thread);
} modes[] = {
	{ "atomic", atomic_slice },
	{ "owner", owner_slice },
	{ "atomic-counted", atomic_counted_slice },
	{ "owner-counted", owner_counted_slice },
	{ "shared", shared_slice },
};

int main(int argc, char **argv)
{
	atomic_init(&mode_word, (uintptr_t)shards);
	for (size_t i = 0; argc == 4 && i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(argv[1], modes[i].name) != 0)
			continue;
		slice = modes[i].slice;
		return run_threads(atoi(argv[2]), atof(argv[3]));
	}
	fprintf(stderr, "usage: percpu atomic|owner|atomic-counted|owner-counted|shared THREADS MS\n");
	return 2;
}
