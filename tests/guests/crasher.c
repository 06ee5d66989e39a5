// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A module that crashes the kernel as it is told: insmod crasher.ko how=null|softlockup|timer
 * or makes insmod wait for ever for a mutex or rw_semaphore that the thread crasher_owner holds: how=mutex|rwsem
 */
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

static noinline void panic_in_timer(struct timer_list *unused)
{
	panic("crasher: in a timer");
}

static DEFINE_TIMER(timer, panic_in_timer);

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

static void wait_for_owner(void)
{
	kthread_run(owner, NULL, "crasher_owner");
	wait_for_completion(&held);
}

static int __init crasher_init(void)
{
	if (!strcmp(how, "null"))
		write_to_null();
	else if (!strcmp(how, "softlockup"))
		spin_for_ever();
	else if (!strcmp(how, "timer"))
		mod_timer(&timer, jiffies + 1);
	else if (!strcmp(how, "mutex")) {
		wait_for_owner();
		mutex_lock(&mutex);
	} else if (!strcmp(how, "rwsem")) {
		wait_for_owner();
		down_read(&rwsem);
	} else
		return -EINVAL;
	return 0;
}
module_init(crasher_init);

MODULE_LICENSE("GPL");
