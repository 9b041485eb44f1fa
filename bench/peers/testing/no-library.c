/* For the tests of bench/src/peers.ts: a peer whose library is not installed. */
#include <no-such-library.h>

int main(void)
{
	return 0;
}
