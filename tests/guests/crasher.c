// SPDX-License-Identifier: GPL-2.0-or-later
/* A module that crashes the kernel as it is told: insmod crasher.ko how=null|softlockup|timer */
#include <linux/module.h>
#include <linux/preempt.h>
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

static int __init crasher_init(void)
{
	if (!strcmp(how, "null"))
		write_to_null();
	else if (!strcmp(how, "softlockup"))
		spin_for_ever();
	else if (!strcmp(how, "timer"))
		mod_timer(&timer, jiffies + 1);
	else
		return -EINVAL;
	return 0;
}
module_init(crasher_init);

MODULE_LICENSE("GPL");
