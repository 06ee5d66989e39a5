// SPDX-License-Identifier: GPL-2.0-or-later
/* A process whose memory is nobody else's business: run set-uid, it tells where its secret lies, and waits. With an
   argument it gives up its privilege first, as many such programs do: its memory is still guarded. */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SIZE = 1 << 20 };

int main(int argc, char **argv)
{
	char *secret = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)argv;
	if (secret == MAP_FAILED)
		return 1;
	for (int i = 0; i < SIZE; i += 16)
		snprintf(secret + i, 16, "SECRET %08x", i);
	if (argc > 1 && setresuid(getuid(), getuid(), getuid()) != 0)
		return 1;
	printf("%lx\n", (unsigned long)secret);
	fflush(stdout);
	pause();
	return 0;
}
