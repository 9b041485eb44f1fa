/*
 * memcpy read|write BYTES BS SLOTS MS: copies a second of BS bytes between random blocks of a region of BYTES and
 * SLOTS blocks taken in turn: what I/O against memory costs when nothing but the copy is left. One thread.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "turns.h"

#define CLOCK_EVERY 1024

static char *region, *slots;
static uint64_t blocks;
static unsigned bs, nr_slots, slot;
static int writing;

static double run_for(double ms)
{
	double start = now_ms(), now, done = 0;
	do {
		for (int i = 0; i < CLOCK_EVERY; i++) {
			char *block = region + next_random() % blocks * bs;
			char *place = slots + (size_t)slot * bs;
			if (++slot == nr_slots)
				slot = 0;
			memcpy(writing ? block : place, writing ? place : block, bs);
			__asm__ volatile("" ::: "memory");
		}
		done += CLOCK_EVERY;
		now = now_ms();
	} while (now < start + ms);
	return done / (now - start) * 1e3;
}

int main(int argc, char **argv)
{
	if (argc != 6) {
		fprintf(stderr, "usage: memcpy read|write BYTES BS SLOTS MS\n");
		return 2;
	}
	writing = strcmp(argv[1], "write") == 0;
	size_t bytes = strtoull(argv[2], NULL, 10);
	bs = atoi(argv[3]);
	nr_slots = atoi(argv[4]);
	double ms = atof(argv[5]);
	blocks = bytes / bs;
	if (posix_memalign((void **)&region, 4096, bytes) != 0 ||
	    posix_memalign((void **)&slots, 4096, (size_t)nr_slots * bs) != 0) {
		perror("memory");
		return 1;
	}
	memset(region, 1, bytes);
	memset(slots, 2, (size_t)nr_slots * bs);
	run_for(ms / 5);
	printf("%f\n", run_for(ms));
	return 0;
}
