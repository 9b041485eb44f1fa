/* For the tests of bench/src/peers.ts: a peer that this machine cannot run. */
#include <stdio.h>

int main(void)
{
	fprintf(stderr, "this machine forbids it\n");
	return 77;
}
