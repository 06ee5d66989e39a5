// SPDX-License-Identifier: GPL-2.0-or-later
/* A module that crashes the kernel, or hangs, as it is told: insmod crasher.ko how=NAME, one of kWays */
#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/timer.h>

static char *how = "";
module_param(how, charp, 0);

static noinline void write_to_null(void)
{
	*(volatile int *)NULL = 1;
}

static noinline void spin_for_ever(void)
{
	preempt_disable();
	for (;;)
		cpu_relax();
}

static noinline void spin_without_interrupts(void)
{
	local_irq_disable();
	for (;;)
		cpu_relax();
}

static noinline void panic_in_timer(struct timer_list *unused)
{
	panic("crasher: in a timer");
}

static DEFINE_TIMER(timer, panic_in_timer);

static noinline void start_timer(void)
{
	mod_timer(&timer, jiffies + 1);
}

static noinline void read_far_away(void)
{
	READ_ONCE(*(int *)0xfffff00012345678);
}

static noinline void read_nowhere(void)
{
	READ_ONCE(*(int *)0xdead000000000000);	/* no canonical address of x86-64 */
}

static int zero;

static noinline void divide_by_zero(void)
{
	WRITE_ONCE(zero, 1000 / READ_ONCE(zero));
}

static noinline void hit_bug(void)
{
	BUG();
}

static noinline void hit_warning(void)
{
	WARN(1, "crasher: a warning\n");
}

static noinline int fill_stack(int depth)
{
	volatile char block[512];

	block[0] = depth;
	return depth ? fill_stack(depth - 1) + block[0] : 0;
}

static noinline void overflow_stack(void)
{
	fill_stack(1 << 20);
}

static noinline void call_null(void)
{
	void (*volatile function)(void) = NULL;

	function();
	barrier();	/* no jump */
}

static noinline void hang_for_ever(void)
{
	for (;;) {
		set_current_state(TASK_UNINTERRUPTIBLE);
		schedule();
	}
}

static DEFINE_MUTEX(mutex);
static DECLARE_RWSEM(rwsem);
static DECLARE_COMPLETION(held);

static int owner(void *unused)
{
	mutex_lock(&mutex);
	down_write(&rwsem);
	complete(&held);
	for (;;)
		schedule_timeout_idle(HZ);
	return 0;
}

static void let_owner_hold(void)
{
	kthread_run(owner, NULL, "crasher_owner");
	wait_for_completion(&held);
}

static noinline void wait_for_mutex(void)
{
	let_owner_hold();
	mutex_lock(&mutex);
}

static noinline void wait_for_rwsem(void)
{
	let_owner_hold();
	down_read(&rwsem);
}

/* Faults while it still needs all of its arguments but the last one. */
static noinline unsigned long fill(volatile unsigned long *where, unsigned long count,
				   unsigned long step, int tag)
{
	unsigned long i;

	WRITE_ONCE(zero, tag);
	for (i = 0; i < count; i += step)
		where[i] = count;
	return count / step + (unsigned long)where;
}

static unsigned long *nowhere = (unsigned long *)0x18;
static unsigned long many = 0x5eed;
static unsigned long three = 3;

/* No compiler knows the values. */
static noinline void fill_nowhere(void)
{
	WRITE_ONCE(many, fill(READ_ONCE(nowhere), READ_ONCE(many), READ_ONCE(three), READ_ONCE(zero)));
}

static const struct {
	const char *name;
	void (*crash)(void);
} kWays[] = {
	{ "null", write_to_null },	{ "paging", read_far_away },	{ "gpf", read_nowhere },
	{ "divide", divide_by_zero },	{ "bug", hit_bug },		{ "warn", hit_warning },
	{ "overflow", overflow_stack },	{ "call", call_null },		{ "hung", hang_for_ever },
	{ "softlockup", spin_for_ever }, { "timer", start_timer },	{ "irqsoff", spin_without_interrupts },
	{ "mutex", wait_for_mutex },	{ "rwsem", wait_for_rwsem },
	{ "arguments", fill_nowhere },
};

static int __init crasher_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(kWays); i++) {
		if (!strcmp(how, kWays[i].name)) {
			kWays[i].crash();
			return 0;
		}
	}
	return -EINVAL;
}
module_init(crasher_init);

MODULE_LICENSE("GPL");
