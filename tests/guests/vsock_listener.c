// SPDX-License-Identifier: GPL-2.0-or-later
/* vsock_listener PORT: returns when it listens. Takes one connection and prints what comes by it, up to the end of a
 * guest's stream; then it hangs up. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

int main(int argc, char **argv)
{
	struct sockaddr_vm address = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY };
	static char bytes[64 << 10];
	size_t kept = 0;
	int listener, line;

	if (argc != 2)
		return 2;
	address.svm_port = (unsigned)atoi(argv[1]);
	listener = socket(AF_VSOCK, SOCK_STREAM, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 1) != 0 ||
	    daemon(1, 1) != 0)
		return 1;
	line = accept(listener, NULL, NULL);
	if (line < 0)
		return 1;
	for (;;) {
		/* The last 64 bytes stay, for an end that comes in two pieces. */
		ssize_t got = read(line, bytes + kept, sizeof bytes - kept);
		if (got <= 0)
			return got < 0;
		for (ssize_t done = 0; done < got;) {
			ssize_t written = write(STDOUT_FILENO, bytes + kept + done, (size_t)(got - done));
			if (written <= 0)
				return 1;
			done += written;
		}
		size_t all = kept + (size_t)got;
		kept = all < 64 ? all : 64;
		memmove(bytes, bytes + all - kept, kept);
		if (memmem(bytes, kept, "PAGES=", 6))
			return 0;
	}
}
