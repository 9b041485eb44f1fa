/*
 * uring OP SETTING DEPTH BATCH [BS FILE] MS: operations a second of this machine's io_uring, one thread.
 *
 * OP: nop, read, write (READ_FIXED and WRITE_FIXED of BS bytes at random places of FILE, which has been read once, so
 * it is in the page cache; without O_DIRECT). The buffer is registered, always.
 * SETTING: same, the calls that ours makes (scenarios/src/bench-io.ts): file and ring by their descriptors, no flags.
 * Or with file and ring registered: plain (no flags), coop (COOP_TASKRUN), defer (SINGLE_ISSUER, DEFER_TASKRUN).
 *
 * The batch rule, the same in scenarios/src/bench-io.ts: at the start DEPTH operations are submitted; from then on
 * each turn waits for BATCH completions, takes no more than that, and submits as many again.
 */
#include <fcntl.h>
#include <liburing.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "turns.h"

#define EXIT_SKIP 77
/* Operations between looks at the clock. */
#define CLOCK_EVERY 1024

static struct io_uring ring;
static enum { NOP, READ, WRITE } op;
static unsigned depth, batch, bs;
/* Of FILE: its descriptor, or its slot in the ring's table. */
static int target;
static int registered;
static uint64_t blocks;
static char *buffer;

static void skip(const char *what, int error)
{
	fprintf(stderr, "%s: %s\n", what, strerror(-error));
	exit(EXIT_SKIP);
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void prep(unsigned slot)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
	if (op == NOP) {
		io_uring_prep_nop(sqe);
	} else {
		char *place = buffer + (size_t)slot * bs;
		uint64_t position = next_random() % blocks * bs;
		if (op == READ)
			io_uring_prep_read_fixed(sqe, target, place, bs, position, 0);
		else
			io_uring_prep_write_fixed(sqe, target, place, bs, position, 0);
		if (registered)
			io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
	}
	io_uring_sqe_set_data64(sqe, slot);
}

static unsigned turn(void)
{
	struct io_uring_cqe *cqe;
	unsigned head, taken = 0;
	int ret = io_uring_submit_and_wait(&ring, batch);
	if (ret < 0) {
		fprintf(stderr, "submit_and_wait: %s\n", strerror(-ret));
		exit(1);
	}
	io_uring_for_each_cqe(&ring, head, cqe) {
		if (taken == batch)
			break;
		if (cqe->res != (op == NOP ? 0 : (int)bs)) {
			fprintf(stderr, "an operation returned %d\n", cqe->res);
			exit(1);
		}
		prep((unsigned)cqe->user_data);
		taken++;
	}
	io_uring_cq_advance(&ring, taken);
	return taken;
}

static double run_for(double ms)
{
	double start = now_ms(), now, done = 0;
	do {
		unsigned some = 0;
		while (some < CLOCK_EVERY)
			some += turn();
		done += some;
		now = now_ms();
	} while (now < start + ms);
	return done / (now - start) * 1e3;
}

static void open_file(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDWR);
	if (fd < 0 || fstat(fd, &st) < 0)
		die(path);
	blocks = st.st_size / bs;
	if (blocks == 0 || posix_memalign((void **)&buffer, 4096, (size_t)depth * bs) != 0)
		die("memory");
	memset(buffer, 1, (size_t)depth * bs);
	static char chunk[1 << 20];
	while (read(fd, chunk, sizeof chunk) > 0)
		;
	struct iovec iov = {buffer, (size_t)depth * bs};
	int error = io_uring_register_buffers(&ring, &iov, 1);
	if (error == 0 && registered)
		error = io_uring_register_files(&ring, &fd, 1);
	if (error != 0)
		skip("io_uring_register", error);
	target = registered ? 0 : fd;
}

int main(int argc, char **argv)
{
	if (argc != 6 && argc != 8) {
		fprintf(stderr, "usage: uring nop|read|write same|plain|coop|defer DEPTH BATCH [BS FILE] MS\n");
		return 2;
	}
	op = strcmp(argv[1], "nop") == 0 ? NOP : strcmp(argv[1], "read") == 0 ? READ : WRITE;
	unsigned flags = strcmp(argv[2], "coop") == 0 ? IORING_SETUP_COOP_TASKRUN
		: strcmp(argv[2], "defer") == 0 ? IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN : 0;
	registered = strcmp(argv[2], "same") != 0;
	depth = atoi(argv[3]);
	batch = atoi(argv[4]);
	double ms = atof(argv[argc - 1]);
	int error = io_uring_queue_init(depth, &ring, flags);
	if (error != 0)
		skip("io_uring_queue_init", error);
	if (registered)
		io_uring_register_ring_fd(&ring);
	if (op != NOP) {
		bs = atoi(argv[5]);
		open_file(argv[6]);
	}
	for (unsigned slot = 0; slot < depth; slot++)
		prep(slot);
	run_for(ms / 5);
	printf("%f\n", run_for(ms));
	return 0;
}
