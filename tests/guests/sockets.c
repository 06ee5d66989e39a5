// SPDX-License-Identifier: GPL-2.0-or-later
/* Opens a socket of each common kind, lists them in the file that it is given, as its own system calls
 * tell them (number, family, type, state, local and remote address, with tabs between them), and crashes the guest. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
};

static FILE *list;

static int checked(int result, const char *what)
{
	if (result < 0) {
		perror(what);
		exit(1);
	}
	return result;
}

static void print_address(const union address *address, socklen_t length)
{
	char text[INET6_ADDRSTRLEN];

	if (address->any.sa_family == AF_INET)
		fprintf(list, "\t%s:%d", inet_ntop(AF_INET, &address->in.sin_addr, text, sizeof text),
			ntohs(address->in.sin_port));
	else if (address->any.sa_family == AF_INET6)
		fprintf(list, "\t[%s]:%d", inet_ntop(AF_INET6, &address->in6.sin6_addr, text, sizeof text),
			ntohs(address->in6.sin6_port));
	else if (address->any.sa_family != AF_UNIX || length <= offsetof(struct sockaddr_un, sun_path))
		fprintf(list, "\t-");
	else if (address->un.sun_path[0])
		fprintf(list, "\t%s", address->un.sun_path);
	else
		fprintf(list, "\t@%.*s", (int)(length - offsetof(struct sockaddr_un, sun_path) - 1), address->un.sun_path + 1);
}

static void tell(int fd, const char *family, const char *type, const char *state)
{
	union address address;
	socklen_t length = sizeof address;

	fprintf(list, "%d\t%s\t%s\t%s", fd, family, type, state);
	if (getsockname(fd, &address.any, &length) == 0)
		print_address(&address, length);
	length = sizeof address;
	if (getpeername(fd, &address.any, &length) == 0)
		print_address(&address, length);
	else
		fprintf(list, "\t-");
	fprintf(list, "\n");
}

static int bound(int family, int type, const union address *address, socklen_t length)
{
	int fd = checked(socket(family, type, 0), "socket");

	checked(bind(fd, &address->any, length), "bind");
	return fd;
}

static void of_inet(const char *family, const union address *address, socklen_t length)
{
	int server = bound(address->any.sa_family, SOCK_STREAM, address, length);
	int client = checked(socket(address->any.sa_family, SOCK_STREAM, 0), "socket");
	int udp = bound(address->any.sa_family, SOCK_DGRAM, address, length);

	checked(listen(server, 4), "listen");
	checked(connect(client, &address->any, length), "connect");
	tell(server, family, "stream", "LISTEN");
	tell(client, family, "stream", "ESTABLISHED");
	tell(checked(accept(server, NULL, NULL), "accept"), family, "stream", "ESTABLISHED");
	tell(udp, family, "dgram", "UNCONNECTED");
}

static void of_unix(void)
{
	union address path = { .un = { .sun_family = AF_UNIX, .sun_path = "/tmp/a.sock" } };
	union address name = { .un = { .sun_family = AF_UNIX, .sun_path = "\0a name" } };
	int server = bound(AF_UNIX, SOCK_STREAM, &path, sizeof path.un);
	int client = checked(socket(AF_UNIX, SOCK_STREAM, 0), "socket");
	int pair[2];

	checked(listen(server, 4), "listen");
	checked(connect(client, &path.any, sizeof path.un), "connect");
	checked(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), "socketpair");
	tell(server, "unix", "stream", "LISTEN");
	tell(client, "unix", "stream", "ESTABLISHED");
	tell(bound(AF_UNIX, SOCK_DGRAM, &name, offsetof(struct sockaddr_un, sun_path) + 7), "unix", "dgram", "UNCONNECTED");
	tell(pair[0], "unix", "seqpacket", "ESTABLISHED");
}

static void raise_loopback(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };

	checked(ioctl(checked(socket(AF_INET, SOCK_DGRAM, 0), "socket"), SIOCSIFFLAGS, &request), "lo");
}

/* A task of SCHED_FIFO on CPU 1. */
static void burn_in_real_time(void)
{
	struct sched_param priority = { .sched_priority = 1 };
	cpu_set_t second;

	if (checked(fork(), "fork"))
		return;
	CPU_ZERO(&second);
	CPU_SET(1, &second);
	prctl(PR_SET_NAME, "burn4");
	checked(sched_setaffinity(0, sizeof second, &second), "affinity");
	checked(sched_setscheduler(0, SCHED_FIFO, &priority), "priority");
	for (;;)
		;
}

int main(int count, char **arguments)
{
	union address v4 = { .in = { .sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
	union address v6 = { .in6 = { .sin6_family = AF_INET6, .sin6_port = htons(8080), .sin6_addr = IN6ADDR_LOOPBACK_INIT } };

	list = count == 2 ? fopen(arguments[1], "w") : NULL;
	if (!list)
		return 1;
	raise_loopback();
	of_inet("inet", &v4, sizeof v4.in);
	of_inet("inet6", &v6, sizeof v6.in6);
	of_unix();
	tell(checked(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), "netlink"), "netlink", "raw", "-");
	fclose(list);
	sync();
	burn_in_real_time();
	sleep(1);
	checked(write(checked(open("/proc/sysrq-trigger", O_WRONLY), "sysrq"), "c", 1), "crash");
	return 0;
}
