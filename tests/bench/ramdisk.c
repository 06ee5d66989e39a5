// SPDX-License-Identifier: GPL-2.0-or-later
/* Fills a brd ramdisk: its pages are the kernel's own, so that dump level 31 keeps them.
 *
 * Run as: ramdisk DEVICE MIB FILE...
 *
 * Of sixteen pages nine hold the next page of the FILEs (code and data of the kernel's modules), four look like slab
 * objects, two like text, one stays zero. No page is like another: each has words of its own. The contents are the
 * same in every run.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096, CHUNK = 256 };	/* pages written at a time */

static void fail(const char *what)
{
	printf("FAILED ramdisk: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* splitmix64 */
static uint64_t next_word(void)
{
	static uint64_t state;
	uint64_t z = state += 0x9e3779b97f4a7c15;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

/* The next whole page of the files, taken round and round. */
static const char *next_file_page(int count, char **names)
{
	static const char *bytes;
	static size_t at, size;
	static int file;
	while (at + PAGE > size) {
		const char *name = names[file++ % count];
		int fd = open(name, O_RDONLY);
		struct stat status;
		if (fd < 0 || fstat(fd, &status) != 0)
			fail(name);
		if (bytes)
			munmap((void *)bytes, size);
		size = status.st_size;
		at = 0;
		bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (bytes == MAP_FAILED)
			fail(name);
		close(fd);
	}
	at += PAGE;
	return bytes + at - PAGE;
}

static void file_page(char *page, int count, char **names)
{
	memcpy(page, next_file_page(count, names), PAGE);
	for (size_t i = 0; i < PAGE; i += 512) {
		uint64_t word = next_word();
		memcpy(page + i + word % 64 * 8, &word, sizeof word);
	}
}

/* Objects of 256 bytes: pointers into the direct map, small numbers, a name, zeros. */
static void slab_page(uint64_t *page)
{
	memset(page, 0, PAGE);
	for (uint64_t *object = page; object < page + PAGE / 8; object += 32) {
		uint64_t word = next_word();
		if (word % 4 == 0)
			continue;	/* a free object */
		for (int i = 0; i < 10; i++)
			object[i * 2] = 0xffff888000000000 | (next_word() & 0xffffffc0);
		object[1] = word % 8;
		object[3] = object[5] = (uint64_t)(object + 4 - page) * 8;
		object[7] = word >> 48;
		snprintf((char *)(object + 24), 32, "object-%u", (unsigned)(word >> 40));
	}
}

static void text_page(char *page)
{
	static const char *const events[] = {"link is up", "new connection from", "I/O scheduler registered",
					     "task started on CPU", "writing to sector", "checksum verified"};
	for (int at = 0; at < PAGE;) {
		uint64_t word = next_word();
		char line[128];
		int length = snprintf(line, sizeof line, "[%8u.%06u] device%u: %s %u\n", (unsigned)(word >> 52),
				      (unsigned)(word >> 20) % 1000000, (unsigned)(word >> 8) % 16, events[word % 6],
				      (unsigned)(word >> 32) % 100000);
		int part = length < PAGE - at ? length : PAGE - at;
		memcpy(page + at, line, part);
		at += part;
	}
}

static void make_page(char *page, size_t number, int count, char **names)
{
	switch (number % 16) {
	case 3: case 7: case 11: case 14:
		slab_page((uint64_t *)page);
		break;
	case 5: case 13:
		text_page(page);
		break;
	case 15:
		memset(page, 0, PAGE);
		break;
	default:
		file_page(page, count, names);
	}
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	size_t pages = strtoul(argv[2], NULL, 10) * 256;
	int fd = open(argv[1], O_WRONLY | O_DIRECT);	/* buffered, it would fill the page cache as well */
	char *chunk = mmap(NULL, CHUNK * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fd < 0 || chunk == MAP_FAILED)
		fail(argv[1]);
	for (size_t number = 0; number < pages; number += CHUNK) {
		for (size_t i = 0; i < CHUNK; i++)
			make_page(chunk + i * PAGE, number + i, argc - 3, argv + 3);
		if (write(fd, chunk, CHUNK * PAGE) != CHUNK * PAGE)
			fail(argv[1]);
	}
	return 0;
}
