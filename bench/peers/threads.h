/*
 * Threads that run one loop, all at once, for some milliseconds; the mean of their nanoseconds a turn.
 *
 * Interface: a program defines `void slice(int thread)`, which makes TURNS turns, and calls
 * `run_threads(threads, ms)`, which prints the figure.
 */
#ifndef THREADS_H
#define THREADS_H

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define TURNS 10000
#define MAX_THREADS 64
/* Two lines of 64: the neighbour is fetched along. */
#define LINE 128

/* What the compiler must not move memory accesses across. */
#define barrier() __asm__ volatile("" ::: "memory")

static double now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static void (*slice)(int thread);

struct thread_run {
	pthread_t thread;
	int id;
	double ms;
	double ns_per_turn;
};

static pthread_barrier_t start_together;

static void *thread_main(void *argument)
{
	struct thread_run *run = argument;
	pthread_barrier_wait(&start_together);
	double start = now_ns(), now, turns = 0;
	do {
		slice(run->id);
		turns += TURNS;
		now = now_ns();
	} while (now < start + run->ms * 1e6);
	run->ns_per_turn = (now - start) / turns;
	return NULL;
}

static int run_threads(int threads, double ms)
{
	static struct thread_run runs[MAX_THREADS];
	double sum = 0;

	if (threads < 1 || threads > MAX_THREADS || !(ms > 0)) {
		fprintf(stderr, "expected 1 to %d threads and milliseconds above 0\n", MAX_THREADS);
		return 2;
	}
	pthread_barrier_init(&start_together, NULL, threads);
	for (int i = 0; i < threads; i++) {
		runs[i].id = i;
		runs[i].ms = ms;
		if (pthread_create(&runs[i].thread, NULL, thread_main, &runs[i]) != 0) {
			fprintf(stderr, "cannot start thread %d\n", i);
			return 1;
		}
	}
	for (int i = 0; i < threads; i++) {
		pthread_join(runs[i].thread, NULL);
		sum += runs[i].ns_per_turn;
	}
	printf("%.4f\n", sum / threads);
	return 0;
}

#endif
