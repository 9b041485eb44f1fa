/*
 * A ring of 16-byte records from one thread to another, in C11: `spsc BATCH MS` prints messages per second.
 *
 * The same design as ours: free-running counters, a private copy of the other side's, published after each
 * BATCH records, lines of their own. A side that cannot go on spins for a while, then yields.
 */
#include <stdatomic.h>
#include <sched.h>
#include "threads.h"

#define CAPACITY 4096u
#define STOP (-1)
#define SPINS 1000

struct record {
	int32_t op, id, address, length;
};

static struct {
	_Alignas(LINE) _Atomic uint32_t tail;
	_Alignas(LINE) _Atomic uint32_t head;
	_Alignas(LINE) struct record records[CAPACITY];
} ring;

static uint32_t batch;
static double milliseconds;

static void relax(int *spins)
{
	if (++*spins % SPINS == 0)
		sched_yield();
	else
		barrier();
}

static void *send(void *argument)
{
	uint32_t tail = 0, seen_head = 0, staged = 0, end = 0;
	double deadline = now_ns() + milliseconds * 1e6;
	int more = 1;

	(void)argument;
	while (more) {
		struct record *record;
		int spins = 0;
		while (tail - seen_head == CAPACITY) {
			/* What is staged must be seen, or the receiver would make no room. */
			atomic_store_explicit(&ring.tail, tail, memory_order_release);
			seen_head = atomic_load_explicit(&ring.head, memory_order_acquire);
			if (tail - seen_head == CAPACITY)
				relax(&spins);
		}
		if (tail == end) {
			more = now_ns() < deadline;
			end += CAPACITY;
		}
		record = &ring.records[tail % CAPACITY];
		record->op = more ? 1 : STOP;
		record->id = tail;
		record->address = tail + 1;
		record->length = tail + 2;
		tail++;
		if (++staged == batch || !more) {
			atomic_store_explicit(&ring.tail, tail, memory_order_release);
			staged = 0;
		}
	}
	return NULL;
}

/* Messages a second, or 0 when one was wrong. */
static double receive(void)
{
	uint32_t head = 0, seen_tail = 0, taken = 0, wrong = 0;
	double start = 0;

	for (;;) {
		const struct record *record;
		int spins = 0;
		while (head == seen_tail) {
			atomic_store_explicit(&ring.head, head, memory_order_release);
			taken = 0;
			seen_tail = atomic_load_explicit(&ring.tail, memory_order_acquire);
			if (head == seen_tail)
				relax(&spins);
		}
		if (head == 0 && start == 0)
			start = now_ns();
		record = &ring.records[head % CAPACITY];
		wrong += (uint32_t)record->id != head || (uint32_t)record->address != head + 1;
		wrong += (uint32_t)record->length != head + 2;
		if (record->op == STOP)
			return wrong ? 0 : head / ((now_ns() - start) / 1e9);
		head++;
		if (++taken == batch) {
			atomic_store_explicit(&ring.head, head, memory_order_release);
			taken = 0;
		}
	}
}

int main(int argc, char **argv)
{
	pthread_t sender;
	double rate;

	batch = argc == 3 ? atoi(argv[1]) : 0;
	milliseconds = argc == 3 ? atof(argv[2]) : 0;
	if (batch < 1 || batch > CAPACITY || !(milliseconds > 0)) {
		fprintf(stderr, "usage: spsc BATCH MS\n");
		return 2;
	}
	if (pthread_create(&sender, NULL, send, NULL) != 0) {
		fprintf(stderr, "cannot start a thread\n");
		return 1;
	}
	rate = receive();
	pthread_join(sender, NULL);
	if (rate == 0) {
		fprintf(stderr, "a record came torn or out of order\n");
		return 1;
	}
	printf("%.0f\n", rate);
	return 0;
}
