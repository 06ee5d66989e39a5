// SPDX-License-Identifier: GPL-2.0-or-later
/* What a test guest does before it is dumped: memory of every kind that a filter must tell apart.
 *
 * Run by /init as: workload [spin=CPU] [offline=CPU] [pair=CPU] [tick=CPU]. Prints one line a secret, then READY, then obeys
 * lines on its standard input: "panic CPU" crashes the guest on that CPU, "grow MIB" fills as much as is plugged in,
 * "used MIB" does so with secrets and gives all of it back, "offline" takes what is movable offline, "isolate" begins to
 * and does not get to the end, "poison" tells the kernel of faulty pages, "hang" starts a watchdog that nobody feeds, "reboot"
 * and "poweroff" do so.
 *
 * A secret is a whole page of random words. Only its seed is printed ("SECRET kind seed pages"), so that the host
 * can make the same page and search dumps for it. Secrets are made in place: no stale copy stays in a free page.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/if_packet.h>
#include <linux/watchdog.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, SECRETS = 16 };
#define MIB (1024ul * 1024)

static void fail(const char *what)
{
	printf("FAILED %s: %s\n", what, strerror(errno));
	exit(1);
}

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		printf("note: %s: %s\n", path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void pin_to(int cpu)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof set, &set) != 0)
		fail("sched_setaffinity");
}

/* splitmix64; the host computes the same (secrets.py). */
static uint64_t word(uint64_t seed, uint64_t index)
{
	uint64_t z = seed + (index + 1) * 0x9e3779b97f4a7c15;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static void make_secret(void *page, uint64_t seed, uint64_t number)
{
	volatile uint64_t *words = page;
	for (uint64_t i = 0; i < PAGE / 8; i++)
		words[i] = word(seed, number * (PAGE / 8) + i);
}

static uint64_t announce(const char *kind)
{
	uint64_t seed;
	if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
		fail("getrandom");
	printf("SECRET %s %016llx %d\n", kind, (unsigned long long)seed, SECRETS);
	return seed;
}

/* Ordinary, compressible contents; every fourth page stays zero, as in life. */
static void fill(char *area, size_t size, const char *kind)
{
	for (size_t page = 0; page < size / PAGE; page++) {
		char line[64];
		int length = snprintf(line, sizeof line, "%s page %zu of a test guest; ", kind, page);
		char *at = area + page * PAGE;
		if (page % 4 == 3) {
			*(volatile char *)at = 0;
			continue;
		}
		for (size_t i = 0; i + length <= PAGE; i += length)
			memcpy(at + i, line, length);
	}
}

/* Secrets spread over the area. Never among its last pages: those may still wait in a per-CPU
 * batch for the LRU list, where no filter can know them as cache. */
static void plant(char *area, size_t size, const char *kind)
{
	uint64_t seed = announce(kind);
	size_t step = size / PAGE / (SECRETS + 4);
	for (int i = 0; i < SECRETS; i++)
		make_secret(area + (i * step + i % 4) * PAGE, seed, i);
}

static char *map(size_t size, int flags, int fd, const char *kind)
{
	char *area = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (area == MAP_FAILED)
		fail(kind);
	return area;
}

static void anonymous_memory(void)
{
	size_t size = 32 * MIB;
	char *area = map(size, MAP_PRIVATE | MAP_ANONYMOUS, -1, "anon");
	madvise(area, size, MADV_NOHUGEPAGE);
	fill(area, size, "anon");
	plant(area, size, "anon");
}

static void huge_anonymous_memory(void)
{
	size_t size = 8 * MIB;
	char *area = map(size + 2 * MIB, MAP_PRIVATE | MAP_ANONYMOUS, -1, "thp");
	area = (char *)(((uintptr_t)area + 2 * MIB - 1) & ~(2 * MIB - 1));
	if (madvise(area, size, MADV_HUGEPAGE) != 0)
		fail("thp");
	fill(area, size, "thp");
	plant(area, size, "thp");
}

static void hugetlb_memory(void)
{
	size_t size = 8 * MIB;  /* of 16 MiB in the pool: free huge pages exist too */
	char *area = map(size, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, "hugetlb");
	fill(area, size, "hugetlb");
	plant(area, size, "hugetlb");
}

static void shared_memory(void)
{
	size_t size = 16 * MIB;
	char *area = map(size, MAP_SHARED | MAP_ANONYMOUS, -1, "shmem");
	fill(area, size, "shmem");
	plant(area, size, "shmem");
}

static int new_file(const char *path, size_t size, int flags)
{
	int fd = open(path, O_RDWR | O_CREAT | flags, 0600);
	if (fd < 0 || ftruncate(fd, size) != 0)
		fail(path);
	return fd;
}

static void tmpfs_file(void)
{
	size_t size = 8 * MIB;
	char *area = map(size, MAP_SHARED, new_file("/tmp/file", size, 0), "tmpfs");
	fill(area, size, "tmpfs");
	plant(area, size, "tmpfs");
}

/* Written through a mapping: the page cache of ext4 keeps buffer heads (PG_private). */
static void written_file(void)
{
	size_t size = 16 * MIB;
	char *area = map(size, MAP_SHARED, new_file("/disk/written", size, 0), "cache-written");
	fill(area, size, "cache-written");
	plant(area, size, "cache-written");
}

/* Written past the page cache, then read into it: clean cache without buffer heads.
 * The buffer is erased before it is freed. */
static void read_file(void)
{
	size_t size = 16 * MIB, chunk = 256 * PAGE;
	int fd = new_file("/disk/read", size, O_DIRECT);
	char *buffer = map(chunk, MAP_PRIVATE | MAP_ANONYMOUS, -1, "buffer");
	madvise(buffer, chunk, MADV_NOHUGEPAGE);
	uint64_t seed = announce("cache-read");
	int secret = 0;
	for (size_t at = 0; at < size; at += chunk) {
		fill(buffer, chunk, "cache-read");
		if (at < size - chunk && secret < SECRETS)
			for (int i = 0; i < 2 && secret < SECRETS; i++, secret++)
				make_secret(buffer + (size_t)(5 + 64 * i) * PAGE, seed, secret);
		if (pwrite(fd, buffer, chunk, at) != (ssize_t)chunk)
			fail("/disk/read");
	}
	explicit_bzero(buffer, chunk);
	close(fd);
	fd = open("/disk/read", O_RDONLY);
	char *area = mmap(NULL, size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (area == MAP_FAILED)
		fail("/disk/read");
	for (size_t at = 0; at < size; at += PAGE)
		(void)*(volatile char *)(area + at);
}

/* Pages of a private file mapping become anonymous when they are written. */
static void private_file(void)
{
	size_t size = 4 * MIB;
	char *area = map(size, MAP_PRIVATE, new_file("/disk/private", size, 0), "private-file");
	fill(area, size, "private-file");
	plant(area, size, "private-file");
}

/* Given back a moment before the crash: most of it then waits on the lists of a CPU for freed pages. */
static char *short_lived;
enum { SHORT_LIVED = 128 * PAGE };

static void short_lived_memory(void)
{
	short_lived = map(SHORT_LIVED, MAP_PRIVATE | MAP_ANONYMOUS, -1, "freed");
	madvise(short_lived, SHORT_LIVED, MADV_NOHUGEPAGE);
	madvise(short_lived, SHORT_LIVED, MADV_DONTFORK);	/* a child would keep it */
	fill(short_lived, SHORT_LIVED, "freed");
	plant(short_lived, SHORT_LIVED, "freed");
}

/* Pushes what waits in this CPU's batches on to the LRU lists. */
static void drain_batches(void)
{
	size_t size = 2 * MIB;
	char *area = map(size, MAP_SHARED, new_file("/tmp/drain", size, 0), "drain");
	memset(area, 'd', size);
	area = map(size, MAP_PRIVATE | MAP_ANONYMOUS, -1, "drain");
	madvise(area, size, MADV_NOHUGEPAGE);
	memset(area, 'd', size);
}

/* Nothing may move a page once it holds a secret: the old frame would keep a copy. */
static void forbid_migration(void)
{
	write_text("/proc/sys/kernel/numa_balancing", "0");
	write_text("/sys/kernel/mm/transparent_hugepage/enabled", "madvise");
	write_text("/proc/sys/vm/compaction_proactiveness", "0");
}

static void sleeping_child(void)
{
	if (fork() == 0)
		for (;;)
			pause();
}

static void spinning_child(int cpu)
{
	if (fork() != 0)
		return;
	pin_to(cpu);
	for (;;)
		__asm__ volatile("" ::: "memory");
}

/* Two words that are equal whenever nobody holds the lock, in pages far apart: a dump of one moment
 * shows them so (test_dump_direct.py). "PAIR seed" names the pages: each begins with the seed and its
 * number. */
static void counting_child(int cpu)
{
	uint64_t seed;
	if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
		fail("getrandom");
	printf("PAIR %016llx\n", (unsigned long long)seed);
	size_t size = 48 * MIB;
	char *area = map(size, MAP_SHARED | MAP_ANONYMOUS, -1, "pair");
	fill(area, size, "pair");
	volatile uint64_t *first = (uint64_t *)area, *second = (uint64_t *)(area + size - PAGE);
	volatile uint64_t *lock = &first[3];
	*lock = first[2] = second[2] = 0;
	first[1] = 1;
	second[1] = 2;
	first[0] = second[0] = seed;
	if (fork() != 0) {
		while (first[2] == 0)
			usleep(1000);
		return;
	}
	pin_to(cpu);
	for (;;) {
		*lock = 1;
		first[2]++;
		second[2]++;
		*lock = 0;
	}
}

static uint64_t frame_of(volatile void *page)
{
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY);
	if (pread(fd, &entry, sizeof entry, (uintptr_t)page / PAGE * sizeof entry) != sizeof entry)
		fail("pagemap");
	close(fd);
	return entry & ((1ull << 55) - 1);
}

/* Counts for ever. "TICKS address" tells where in physical memory, so that the host can see it stand still. */
static void ticking_child(int cpu)
{
	volatile uint64_t *ticks = (uint64_t *)map(PAGE, MAP_SHARED | MAP_ANONYMOUS, -1, "ticks");
	*ticks = 1;
	printf("TICKS %llx\n", (unsigned long long)frame_of(ticks) * PAGE);
	if (fork() != 0)
		return;
	pin_to(cpu);
	for (;;)
		++*ticks;
}

static void take_offline(int cpu)
{
	char path[80];
	snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/online", cpu);
	write_text(path, "0");
}

static size_t total_mib(void)
{
	return (size_t)sysconf(_SC_PHYS_PAGES) / (MIB / PAGE);
}

/* Fills most of the memory that is plugged in, when it is there. Where it is movable, it is taken first. */
static void grow(size_t before, size_t mib)
{
	while (total_mib() < before + mib * 7 / 8)
		usleep(10000);
	fill(map(mib / 2 * MIB, MAP_PRIVATE | MAP_ANONYMOUS, -1, "grown"), mib / 2 * MIB, "grown");
	printf("GROWN\n");
}

/* A process that fills half of it with secrets, and ends. */
static void use(size_t before, size_t mib)
{
	while (total_mib() < before + mib * 7 / 8)
		usleep(10000);
	if (fork() == 0) {
		size_t size = mib / 2 * MIB, step = 16, secrets = size / PAGE / step;
		char *area = map(size, MAP_PRIVATE | MAP_ANONYMOUS, -1, "used");
		uint64_t seed;
		madvise(area, size, MADV_NOHUGEPAGE);
		if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
			fail("getrandom");
		fill(area, size, "used");
		printf("SECRET used %016llx %zu\n", (unsigned long long)seed, secrets);
		for (size_t i = 0; i < secrets; i++)
			make_secret(area + i * step * PAGE, seed, i);
		_exit(0);
	}
	wait(NULL);
	printf("USED\n");
}

static int starts_with(const char *path, const char *word)
{
	char text[64] = "";
	int fd = open(path, O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof text - 1) < 0)
		printf("note: %s: %s\n", path, strerror(errno));
	close(fd);
	return strncmp(text, word, strlen(word)) == 0;
}

/* Calls each(the file that takes a memory block offline) for those that are online and movable. */
static int movable_blocks(void (*each)(const char *))
{
	glob_t found;
	int count = 0;
	if (glob("/sys/devices/system/memory/memory*", 0, NULL, &found) != 0)
		fail("memory blocks");
	for (size_t i = 0; i < found.gl_pathc; i++) {
		char state[160], zones[160];
		snprintf(state, sizeof state, "%s/state", found.gl_pathv[i]);
		snprintf(zones, sizeof zones, "%s/valid_zones", found.gl_pathv[i]);
		if (starts_with(state, "online") && starts_with(zones, "Movable")) {
			each(state);
			count++;
		}
	}
	globfree(&found);
	return count;
}

static void take_block_offline(const char *state)
{
	write_text(state, "offline");
}

/* The kernel isolates the block and then tries for ever to move what cannot be moved. */
static void isolate_block(const char *state)
{
	if (fork() == 0) {
		write_text(state, "offline");
		printf("FAILED: the block went offline\n");
		_exit(1);
	}
}

/* A page in 16 MiB is in a pipe, too, and stays where it is. */
static void isolate(size_t before, size_t mib)
{
	int ends[2], pages = 0;
	while (total_mib() < before + mib * 7 / 8)
		usleep(10000);
	size_t size = mib * 7 / 8 * MIB;
	char *area = map(size, MAP_PRIVATE | MAP_ANONYMOUS, -1, "isolate");
	madvise(area, size, MADV_NOHUGEPAGE);
	for (size_t at = 0; at < size; at += PAGE)
		area[at] = 1;
	if (pipe(ends) != 0)
		fail("pipe");
	for (size_t at = 0; at < size && pages < 15; at += 16 * MIB, pages++) {
		struct iovec page = {area + at, PAGE};
		if (vmsplice(ends[1], &page, 1, 0) != PAGE)
			fail("vmsplice");
	}
	munmap(area, size);
	movable_blocks(isolate_block);
	sleep(3);
	printf("ISOLATED\n");
}

/* Pages in the midst of blocks that the kernel has, and then frees. "POISONED frame" names each. */
static void poison(void)
{
	enum { BLOCK = 16 * PAGE, BLOCKS = 16 };
	struct tpacket_req ring = {.tp_block_size = BLOCK, .tp_block_nr = BLOCKS, .tp_frame_size = 2048,
				   .tp_frame_nr = BLOCK / 2048 * BLOCKS};
	int line = socket(AF_PACKET, SOCK_RAW, 0);
	if (line < 0 || setsockopt(line, SOL_PACKET, PACKET_RX_RING, &ring, sizeof ring) != 0)
		fail("packet ring");
	char *area = map((size_t)BLOCK * BLOCKS, MAP_SHARED, line, "packet ring");
	for (int i = 0; i < BLOCKS; i += 4) {
		volatile char *page = area + (size_t)i * BLOCK + (5 + i) * PAGE % BLOCK;
		char address[32];
		(void)*page;
		uint64_t frame = frame_of(page);
		snprintf(address, sizeof address, "0x%llx", (unsigned long long)frame * PAGE);
		write_text("/sys/devices/system/memory/hard_offline_page", address);
		printf("POISONED %llx\n", (unsigned long long)frame);
	}
	munmap(area, (size_t)BLOCK * BLOCKS);
	close(line);
	sleep(1);
	printf("POISON DONE\n");
}

/* Starts a watchdog that nobody feeds. QEMU's stops when it has expired, which Linux does not know. */
static void hang(void)
{
	int seconds = 2, off = WDIOS_DISABLECARD, on = WDIOS_ENABLECARD, watchdog = open("/dev/watchdog", O_WRONLY);
	if (watchdog < 0 || ioctl(watchdog, WDIOC_SETOPTIONS, &off) != 0 || ioctl(watchdog, WDIOC_SETTIMEOUT, &seconds) != 0 ||
	    ioctl(watchdog, WDIOC_SETOPTIONS, &on) != 0)
		fail("/dev/watchdog");
	close(watchdog);
	printf("HUNG\n");
}

static void obey(void)
{
	char line[64];
	int cpu;
	size_t mib, total = total_mib();
	while (fgets(line, sizeof line, stdin)) {
		if (sscanf(line, "grow %zu", &mib) == 1)
			grow(total, mib);
		if (sscanf(line, "used %zu", &mib) == 1)
			use(total, mib);
		if (sscanf(line, "isolate %zu", &mib) == 1)
			isolate(total, mib);
		if (strncmp(line, "offline", 7) == 0)
			printf("OFFLINE %d\n", movable_blocks(take_block_offline));
		if (strncmp(line, "poison", 6) == 0)
			poison();
		if (strncmp(line, "hang", 4) == 0)
			hang();
		if (strncmp(line, "reboot", 6) == 0)
			reboot(RB_AUTOBOOT);
		if (strncmp(line, "poweroff", 8) == 0)
			reboot(RB_POWER_OFF);
		if (sscanf(line, "panic %d", &cpu) == 1) {
			int trigger = open("/proc/sysrq-trigger", O_WRONLY);
			pin_to(cpu);
			munmap(short_lived, SHORT_LIVED);
			if (write(trigger, "c", 1) < 0)
				fail("/proc/sysrq-trigger");
		}
	}
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	forbid_migration();
	write_text("/proc/sys/vm/nr_hugepages", "8");
	pin_to(0);
	anonymous_memory();
	huge_anonymous_memory();
	hugetlb_memory();
	shared_memory();
	tmpfs_file();
	written_file();
	read_file();
	private_file();
	short_lived_memory();
	sync();
	drain_batches();
	sleeping_child();
	for (int i = 1, cpu; i < argc; i++) {
		if (sscanf(argv[i], "spin=%d", &cpu) == 1)
			spinning_child(cpu);
		if (sscanf(argv[i], "offline=%d", &cpu) == 1)
			take_offline(cpu);
		if (sscanf(argv[i], "pair=%d", &cpu) == 1)
			counting_child(cpu);
		if (sscanf(argv[i], "tick=%d", &cpu) == 1)
			ticking_child(cpu);
	}
	printf("READY\n");
	obey();
	return 0;
}
