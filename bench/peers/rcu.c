/*
 * Following one pointer as a reader, in C11: `rcu MODE THREADS MS` prints nanoseconds per read section.
 *
 *   nested   the section keeps a nesting count of its thread
 *   qsbr     the section is a compiler barrier, as in liburcu's qsbr flavour
 *   shared   the section counts its readers in one word for all threads, as a reader-writer lock does
 */
#include <stdatomic.h>
#include <string.h>
#include "threads.h"

static int object = 7;
static _Alignas(LINE) _Atomic(int *) pointer = &object;
static _Alignas(LINE) atomic_int readers;
static _Thread_local volatile int nesting;
/* Keeps what was read alive. */
static _Thread_local volatile int seen;

static inline int follow(void)
{
	/* rcu_dereference: consume, which compilers give as acquire; on x86 both are a plain load. */
	return *(volatile int *)atomic_load_explicit(&pointer, memory_order_acquire);
}

static void nested_slice(int thread)
{
	int sum = 0;
	(void)thread;
	for (int i = 0; i < TURNS; i++) {
		nesting++;
		barrier();
		sum += follow();
		barrier();
		nesting--;
	}
	seen = sum;
}

static void qsbr_slice(int thread)
{
	int sum = 0;
	(void)thread;
	for (int i = 0; i < TURNS; i++) {
		barrier();
		sum += follow();
		barrier();
	}
	seen = sum;
}

static void shared_slice(int thread)
{
	int sum = 0;
	(void)thread;
	for (int i = 0; i < TURNS; i++) {
		atomic_fetch_add_explicit(&readers, 1, memory_order_acquire);
		sum += follow();
		atomic_fetch_sub_explicit(&readers, 1, memory_order_release);
	}
	seen = sum;
}

static const struct {
	const char *name;
	void (*slice)(int thread);
} modes[] = {
	{ "nested", nested_slice },
	{ "qsbr", qsbr_slice },
	{ "shared", shared_slice },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc == 4 && i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(argv[1], modes[i].name) != 0)
			continue;
		slice = modes[i].slice;
		return run_threads(atoi(argv[2]), atof(argv[3]));
	}
	fprintf(stderr, "usage: rcu nested|qsbr|shared THREADS MS\n");
	return 2;
}
