// SPDX-License-Identifier: GPL-2.0-or-later
// What kernels print when they crash: short consoles in the words and forms of the kernel's source,
// one for each class and each architecture.
#pragma once

#include <string>
#include <string_view>

namespace vmcore::testing {

struct LogSample {
  std::string_view name;
  std::string_view text;
};

inline constexpr LogSample kLogSamples[] = {
    {"null",
     R"([    0.000000] Linux version 6.1.0-18-amd64 (debian-kernel@lists.debian.org) (gcc-12)
[   12.345678] BUG: kernel NULL pointer dereference, address: 0000000000000010
[   12.345679] #PF: supervisor write access in kernel mode
[   12.345680] #PF: error_code(0x0002) - not-present page
[   12.345681] PGD 0 P4D 0
[   12.345682] Oops: 0002 [#1] PREEMPT SMP PTI
[   12.345683] CPU: 1 PID: 89 Comm: insmod Tainted: G           OE      6.1.0-18-amd64 #1  Debian 6.1.76-1
[   12.345684] Hardware name: QEMU Standard PC (Q35 + ICH9, 2009), BIOS 1.16.2 04/01/2014
[   12.345685] RIP: 0010:write_to_null+0x5/0x20 [crasher]
[   12.345686] Code: 00 00 00 <c7> 04 25 00 00 00 00 01
[   12.345687] RSP: 0018:ffffb1c0003dbb48 EFLAGS: 00010246
[   12.345688] RAX: 0000000000000000 RBX: 00000000000000aa RCX: 0000000000000000
[   12.345689] FS:  000000003b9553c0(0000) GS:ffff8c2a1f400000(0000) knlGS:0000000000000000
[   12.345690] CS:  0010 DS: 0000 ES: 0000 CR0: 0000000080050033
[   12.345691] CR2: 0000000000000010 CR3: 00000000018f4000 CR4: 0000000000750ef0
[   12.345692] Call Trace:
[   12.345693]  <TASK>
[   12.345694]  ? __die_body.cold+0x1a/0x1f
[   12.345695]  crasher_init+0x41/0x1000 [crasher]
[   12.345696]  ? 0xffffffffc04ba000
[   12.345697]  do_one_initcall+0x59/0x220
[   12.345698]  entry_SYSCALL_64_after_hwframe+0x6e/0xd8
[   12.345699] RIP: 0033:0x47fbe9
[   12.345700] RSP: 002b:00007fffe508bd68 EFLAGS: 00000246 ORIG_RAX: 0000000000000139
[   12.345701] RAX: ffffffffffffffda RBX: 000000000e3928f0 RCX: 000000000047fbe9
[   12.345702]  </TASK>
[   12.345703] Modules linked in: crasher(OE+) virtio_blk [last unloaded: other]
[   12.345704] CR2: 0000000000000010
[   12.345705] ---[ end trace 0000000000000000 ]---
[   12.345706] RIP: 0010:write_to_null+0x5/0x20 [crasher]
[   12.345707] RSP: 0018:ffffb1c0003dbb48 EFLAGS: 00010246
[   12.345708] Kernel panic - not syncing: Fatal exception
[   12.345709] Kernel Offset: 0x1fe00000 from 0xffffffff81000000 (relocation range: 0xffffffff80000000-0xffffffffbfffffff)
[   12.345710] ---[ end Kernel panic - not syncing: Fatal exception ]---
)"},
    {"protection", R"([   40.1] x
[   40.000001] Oops: general protection fault, probably for non-canonical address 0xdead000000000100: 0000 [#1] SMP
[   40.000002] CPU: 0 UID: 0 PID: 7 Comm: kworker/0:1 Not tainted 7.2.1-amd64 #1 PREEMPT(lazy)  Debian 7.2.1-1
[   40.000003] RIP: 0010:__list_del_entry_valid_or_report+0x33/0xd0
[   40.000004] Call Trace:
[   40.000005]  <TASK>
[   40.000006]  release_thing+0x1b/0x90 [thing]
[   40.000007]  process_one_work+0x1a1/0x3f0
[   40.000008]  worker_thread+0x4d/0x3b0
[   40.000009]  ret_from_fork_asm+0x1a/0x30
[   40.000010]  </TASK>
[   40.000011] ---[ end trace 0000000000000000 ]---
)"},
    {"divide", R"([   40.000001] divide error: 0000 [#1] SMP
[   40.000002] CPU: 0 PID: 7 Comm: a b Not tainted 5.10.0-28-amd64 #1 Debian 5.10.209-2
[   40.000003] RIP: 0010:average+0x13/0x20
[   40.000004] Call Trace:
[   40.000005]  report_average+0x1b/0x90
[   40.000006] ---[ end trace 1234567890abcdef ]---
)"},
    {"bug", R"([   40.000001] ------------[ cut here ]------------
[   40.000002] kernel BUG at fs/ext4/inode.c:1234!
[   40.000003] invalid opcode: 0000 [#1] PREEMPT SMP
[   40.000004] CPU: 0 PID: 7 Comm: touch Kdump: loaded Tainted: G    B   W          6.1.0 #5
[   40.000005] RIP: 0010:ext4_writepages.cold+0x13/0x20 [ext4]
[   40.000006] Call Trace:
[   40.000007]  <TASK>
[   40.000008]  do_writepages+0x1b/0x90
[   40.000009]  </TASK>
)"},
    {"warning", R"([   40.000001] ------------[ cut here ]------------
[   40.000002] WARNING: CPU: 3 PID: 77 at net/core/dev.c:100 dev_open+0x13/0x20 [net_x]
[   40.000003] Modules linked in: net_x
[   40.000004] CPU: 3 PID: 77 Comm: ip Not tainted 6.1.0 #5
[   40.000005] RIP: 0010:dev_open+0x13/0x20 [net_x]
[   40.000006] Call Trace:
[   40.000007]  <TASK>
[   40.000008]  dev_change_flags+0x1b/0x90
[   40.000009]  </TASK>
[   40.000010] Kernel panic - not syncing: kernel: panic_on_warn set ...
[   40.000011] CPU: 3 PID: 77 Comm: ip Not tainted 6.1.0 #5
[   40.000012] Call Trace:
[   40.000013]  <TASK>
[   40.000014]  dump_stack_lvl+0x44/0x5c
[   40.000015]  panic+0x118/0x2f4
)"},
    {"new_warning",
     R"([   40.000002] WARNING: net/core/dev.c:100 at dev_open+0x13/0x20 [net_x], CPU#3: ip/77
[   40.000004] CPU: 3 UID: 0 PID: 77 Comm: ip Tainted: G           O        7.2.1 #5 PREEMPT(full)
[   40.000005] Tainted: [O]=OOT_MODULE
[   40.000006] RIP: 0010:dev_open+0x13/0x20 [net_x]
[   40.000007] Call Trace:
[   40.000008]  <TASK>
[   40.000009]  dev_change_flags+0x1b/0x90
[   40.000010]  </TASK>
[   40.000011] ---[ end trace 0000000000000000 ]---
)"},
    {"kasan", R"([   40.000001] ==================================================================
[   40.000002] BUG: KASAN: slab-use-after-free in foo_work+0x63/0x110 [foo]
[   40.000003] Read of size 8 at addr ffff88800e3c1a00 by task kworker/1:0/21
[   40.000004] CPU: 1 PID: 21 Comm: kworker/1:0 Not tainted 6.6.0 #1
[   40.000005] Call Trace:
[   40.000006]  <TASK>
[   40.000007]  dump_stack_lvl+0x44/0x5c
[   40.000008]  kasan_report+0xc4/0x100
[   40.000009]  foo_work+0x63/0x110 [foo]
[   40.000010]  process_one_work+0x1a1/0x3f0
[   40.000011]  </TASK>
[   40.000012] Kernel panic - not syncing: KASAN: panic_on_warn set ...
)"},
    {"overflow",
     R"([   40.000001] BUG: TASK stack guard page was hit at 0000000011ba48cd (stack is 000000000707a3e8..000000000db2ba92)
[   40.000002] stack guard page: 0000 [#1] PREEMPT SMP
[   40.000003] CPU: 1 PID: 88 Comm: insmod Not tainted 6.1.0 #1
[   40.000004] RIP: 0010:fill_stack.isra.0+0x2c/0x70 [crasher]
[   40.000005] Call Trace:
[   40.000006]  <TASK>
[   40.000007]  fill_stack.isra.0+0x5d/0x70 [crasher]
[   40.000008]  fill_stack.isra.0+0x5d/0x70 [crasher]
[   40.000009]  crasher_init+0x41/0x1000 [crasher]
[   40.000010]  </TASK>
[   40.000011] ---[ end trace 0000000000000000 ]---
[   40.000012] Kernel panic - not syncing: Fatal exception in interrupt
)"},
    {"old_overflow",
     R"([   40.000001] BUG: stack guard page was hit at 00000000e1b9a2d0 (stack is 00000000707a3e80..0000000db2ba9200)
[   40.000002] kernel stack overflow (double-fault): 0000 [#1] SMP PTI
[   40.000003] CPU: 1 PID: 88 Comm: insmod Not tainted 5.10.0 #1
[   40.000004] RIP: 0010:fill_stack+0x2c/0x70 [crasher]
)"},
    {"double_fault", R"([   40.000001] traps: PANIC: double fault, error_code: 0x0
[   40.000002] double fault: 0000 [#1] PREEMPT SMP NOPTI
[   40.000003] CPU: 1 PID: 88 Comm: x Not tainted 6.1.0 #1
[   40.000004] RIP: 0010:switch_stacks+0x2c/0x70
[   40.000005] Call Trace:
[   40.000006]  <#DF>
[   40.000007]  ? die+0x31/0x50
[   40.000008]  </#DF>
[   40.000009]  <TASK>
[   40.000010]  caller+0x2c/0x70
[   40.000011]  </TASK>
[   40.000012] ---[ end trace 0000000000000000 ]---
[   40.000013] Kernel panic - not syncing: Fatal exception in interrupt
)"},
    {"hung", R"([  243.000001] INFO: task my:task:451 blocked for more than 120 seconds.
[  243.000002]       Tainted: G           OE      6.1.0-18-amd64 #1 Debian 6.1.76-1
[  243.000003] "echo 0 > /proc/sys/kernel/hung_task_timeout_secs" disables this message.
[  243.000004] task:my:task         state:D stack:0     pid:451   ppid:1      flags:0x00000002
[  243.000005] Call Trace:
[  243.000006]  <TASK>
[  243.000007]  __schedule+0x34d/0xa00
[  243.000008]  schedule+0x5a/0xd0
[  243.000009]  hang_for_ever+0x41/0x1000 [crasher]
[  243.000010]  </TASK>
[  243.000011] INFO: task other:452 blocked for more than 120 seconds.
[  243.000012]       Tainted: G           OE      6.1.0-18-amd64 #1 Debian 6.1.76-1
[  243.000013] Call Trace:
[  243.000014]  <TASK>
[  243.000015]  __schedule+0x34d/0xa00
[  243.000016]  wait_for_first+0x41/0x1000 [crasher]
[  243.000017]  </TASK>
[  243.000018] Kernel panic - not syncing: hung_task: blocked tasks
[  243.000019] CPU: 1 PID: 29 Comm: khungtaskd Tainted: G           OE      6.1.0-18-amd64 #1 Debian 6.1.76-1
[  243.000020] Call Trace:
[  243.000021]  <TASK>
[  243.000022]  panic+0x118/0x2f4
[  243.000023]  watchdog.cold+0xc/0xbb
[  243.000024]  </TASK>
)"},
    {"soft_lockup", R"([   11.000001] watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [insmod:88]
[   11.000002] Modules linked in: crasher(OE+)
[   11.000003] CPU: 1 PID: 88 Comm: insmod Tainted: G           OE      6.1.0-18-amd64 #1
[   11.000004] RIP: 0010:spin_for_ever+0xe/0x10 [crasher]
[   11.000005] Call Trace:
[   11.000006]  <TASK>
[   11.000007]  crasher_init+0x41/0x1000 [crasher]
[   11.000008]  </TASK>
[   11.000009] Kernel panic - not syncing: softlockup: hung tasks
[   11.000010] CPU: 1 PID: 88 Comm: insmod Tainted: G           OEL     6.1.0-18-amd64 #1
[   11.000011] Call Trace:
[   11.000012]  <IRQ>
[   11.000013]  dump_stack_lvl+0x44/0x5c
[   11.000014]  panic+0x118/0x2f4
[   11.000015]  watchdog_timer_fn.cold+0xc/0x16
[   11.000016]  </IRQ>
[   11.000017]  <TASK>
[   11.000018]  asm_sysvec_apic_timer_interrupt+0x16/0x20
[   11.000019] RIP: 0010:spin_for_ever+0xe/0x10 [crasher]
[   11.000020] RSP: 0018:ffffd388403dbcb0 EFLAGS: 00000282
[   11.000021]  crasher_init+0x41/0x1000 [crasher]
[   11.000022]  </TASK>
)"},
    {"hard_lockup", R"([   11.000001] watchdog: Watchdog detected hard LOCKUP on cpu 1
[   11.000002] Modules linked in: crasher
[   11.000003] Sending NMI from CPU 0 to CPUs 1:
[   11.000004] NMI backtrace for cpu 1
[   11.000005] CPU: 1 PID: 88 Comm: insmod Not tainted 6.6.0 #1
[   11.000006] RIP: 0010:spin_for_ever+0xe/0x10 [crasher]
[   11.000007] Call Trace:
[   11.000008]  <NMI>
[   11.000009]  ? nmi_cpu_backtrace+0x99/0x110
[   11.000010]  </NMI>
[   11.000011]  <TASK>
[   11.000012]  crasher_init+0x41/0x1000 [crasher]
[   11.000013]  </TASK>
[   11.000014] Kernel panic - not syncing: Hard LOCKUP
)"},
    {"rcu", R"([   26.000001] rcu: INFO: rcu_preempt self-detected stall on CPU
[   26.000002] rcu: 	0-....: (5250 ticks this GP) idle=b52/1/0x4000000000000000 softirq=123/123 fqs=2000
[   26.000003] 	(t=5250 jiffies g=-1171 q=2 ncpus=2)
[   26.000004] CPU: 0 PID: 88 Comm: insmod Not tainted 6.1.0 #1
[   26.000005] RIP: 0010:spin_for_ever+0xe/0x10 [crasher]
[   26.000006] Call Trace:
[   26.000007]  <TASK>
[   26.000008]  crasher_init+0x41/0x1000 [crasher]
[   26.000009]  </TASK>
[   26.000010] Kernel panic - not syncing: RCU Stall
)"},
    {"oom",
     R"([    9.000001] dd invoked oom-killer: gfp_mask=0x140dca(GFP_HIGHUSER_MOVABLE), order=0, oom_score_adj=0
[    9.000002] CPU: 0 PID: 90 Comm: dd Not tainted 6.1.0 #1
[    9.000003] Call Trace:
[    9.000004]  <TASK>
[    9.000005]  dump_header+0x4a/0x211
[    9.000006]  out_of_memory.cold+0x1b/0x5c
[    9.000007]  </TASK>
[    9.000008] Mem-Info:
[    9.000009] Kernel panic - not syncing: Out of memory: compulsory panic_on_oom is enabled
[    9.000010] CPU: 0 PID: 90 Comm: dd Not tainted 6.1.0 #1
)"},
    {"machine_check",
     R"([    9.000001] mce: [Hardware Error]: CPU 0: Machine Check Exception: 5 Bank 1: be00000000000005
[    9.000002] mce: [Hardware Error]: RIP !INEXACT! 10:<ffffffff81b2d5ae> {native_safe_halt+0xe/0x10}
[    9.000003] mce: [Hardware Error]: Machine check: Processor context corrupt
[    9.000004] Kernel panic - not syncing: Fatal local machine check
)"},
    {"nmi", R"([    9.000001] Uhhuh. NMI received for unknown reason 30 on CPU 0.
[    9.000002] Do you have a strange power saving mode enabled?
[    9.000003] Kernel panic - not syncing: NMI: Not continuing
[    9.000004] CPU: 0 PID: 0 Comm: swapper/0 Not tainted 6.1.0 #1
[    9.000005] Call Trace:
[    9.000006]  <NMI>
[    9.000007]  dump_stack_lvl+0x44/0x5c
[    9.000008]  panic+0x118/0x2f4
[    9.000009]  nmi_panic.cold+0xc/0xc
[    9.000010]  end_repeat_nmi+0x16/0x67
[    9.000011] RIP: 0010:native_safe_halt+0xe/0x10
[    9.000012]  </NMI>
[    9.000013]  <TASK>
[    9.000014]  default_idle+0xa/0x10
[    9.000015]  </TASK>
)"},
    {"sysrq", R"(/ # [    9.000001] sysrq: Trigger a crash
[    9.000002] Kernel panic - not syncing: sysrq triggered crash
[    9.000003] CPU: 0 PID: 1 Comm: sh Not tainted 6.1.0 #1
[    9.000004] Call Trace:
[    9.000005]  <TASK>
[    9.000006]  dump_stack_lvl+0x44/0x5c
[    9.000007]  panic+0x118/0x2f4
[    9.000008]  sysrq_handle_crash+0x16/0x20
[    9.000009]  </TASK>
)"},
    {"init_killed",
     R"([    9.000001] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000300
[    9.000002] CPU: 0 PID: 1 Comm: sh Not tainted 6.1.0 #1
)"},
    {"no_init",
     R"([    9.000001] Kernel panic - not syncing: No working init found.  Try passing init= option to kernel. See Linux Documentation/admin-guide/init.rst for guidance.
)"},
    {"no_root",
     R"([    9.000001] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)
)"},
    {"stack_protector",
     R"([    9.000001] Kernel panic - not syncing: stack-protector: Kernel stack is corrupted in: parse_name+0x1f/0x30
)"},
    {"arm64",
     R"([    5.000001] Unable to handle kernel NULL pointer dereference at virtual address 0000000000000008
[    5.000002] Mem abort info:
[    5.000003]   ESR = 0x0000000096000045
[    5.000004] [0000000000000008] user address but active_mm is swapper
[    5.000005] Internal error: Oops: 0000000096000045 [#1] SMP
[    5.000006] Modules linked in: foo(O)
[    5.000007] CPU: 2 UID: 0 PID: 31 Comm: kworker/2:1 Tainted: G           O        6.14.0 #2
[    5.000008] Tainted: [O]=OOT_MODULE
[    5.000009] Hardware name: linux,dummy-virt (DT)
[    5.000010] pstate: 60400005 (nZCv daif +PAN -UAO -TCO -DIT -SSBS BTYPE=--)
[    5.000011] pc : foo_write+0x20/0x30 [foo]
[    5.000012] lr : foo_work+0x18/0x28 [foo]
[    5.000013] sp : ffff800083a93d80
[    5.000014] x29: ffff800083a93d80 x28: 0000000000000000 x27: ffff0000c0a1b2c4
[    5.000015] x0 : 0000000000000000
[    5.000016] Call trace:
[    5.000017]  foo_write+0x20/0x30 [foo] (P)
[    5.000018]  foo_work+0x18/0x28 [foo] (L)
[    5.000019]  process_one_work+0x150/0x294
[    5.000020] Code: d2800001 d2800020 (b9000820)
[    5.000021] ---[ end trace 0000000000000000 ]---
[    5.000022] Kernel panic - not syncing: Oops: Fatal exception
[    5.000023] SMP: stopping secondary CPUs
[    5.000024] Kernel Offset: 0x5a0b00000000 from 0xffff800080000000
[    5.000025] ---[ end Kernel panic - not syncing: Oops: Fatal exception ]---
)"},
    {"arm64_overflow", R"([    5.000001] Insufficient stack space to handle exception!
[    5.000002] ESR: 0x0000000096000047 -- DABT (current EL)
[    5.000003] Task stack:     [0xffff800083a90000..0xffff800083a94000]
[    5.000004] CPU: 2 PID: 31 Comm: sh Not tainted 6.1.0 #2
[    5.000005] pc : recurse+0x4/0x30
[    5.000006] Kernel panic - not syncing: kernel stack overflow
[    5.000007] CPU: 2 PID: 31 Comm: sh Not tainted 6.1.0 #2
[    5.000008] Call trace:
[    5.000009]  dump_backtrace.part.0+0xdc/0xf0
[    5.000010]  panic+0x1a0/0x360
[    5.000011]  recurse+0x4/0x30
)"},
    {"riscv",
     R"([    5.000001] Unable to handle kernel paging request at virtual address ff60000012345000
[    5.000002] Oops [#1]
[    5.000003] Modules linked in:
[    5.000004] CPU: 1 PID: 1 Comm: sh Not tainted 6.1.0 #3
[    5.000005] Hardware name: riscv-virtio,qemu (DT)
[    5.000006] epc : foo_write+0x10/0x20
[    5.000007]  ra : vfs_write+0xd4/0x3a0
[    5.000008] epc : ffffffff8047c3b2 ra : ffffffff80185f9e sp : ff20000000013d60
[    5.000009]  gp : ffffffff814fd838 tp : ff60000001ad0000 t0 : 0000000000000000
[    5.000010] status: 0000000200000120 badaddr: ff60000012345000 cause: 000000000000000f
[    5.000011] [<ffffffff8047c3b2>] foo_write+0x10/0x20
[    5.000012] Call Trace:
[    5.000013] [<ffffffff8047c3b2>] foo_write+0x10/0x20
[    5.000014] [<ffffffff80185f9e>] vfs_write+0xd4/0x3a0
[    5.000015] ---[ end trace 0000000000000000 ]---
[    5.000016] Kernel panic - not syncing: Fatal exception
)"},
    {"s390x",
     R"([    5.000001] Unable to handle kernel pointer dereference in virtual kernel address space
[    5.000002] Failing address: 0000000000000000 TEID: 0000000000000483
[    5.000003] Fault in home space mode while using kernel ASCE.
[    5.000004] Oops: 0004 ilc:2 [#1] SMP
[    5.000005] Modules linked in: foo
[    5.000006] CPU: 0 PID: 1 Comm: sh Not tainted 6.1.0 #4
[    5.000007] Hardware name: IBM 3931 A01 703 (KVM/Linux)
[    5.000008] Krnl PSW : 0704c00180000000 000003ff7fe0a3e0 (foo_write+0x2e/0x40 [foo])
[    5.000009]            R:0 T:1 IO:1 EX:1 Key:0 M:1 W:0 P:0 AS:3 CC:0 PM:0 RI:0 EA:3
[    5.000010] Krnl GPRS: 0000000000000001 0000000000000002 0000000000000003 0000000000000004
[    5.000011]            0000000000000005 0000000000000006 0000000000000007 0000000000000008
[    5.000012] Call Trace:
[    5.000013]  [<000003ff7fe0a3e0>] foo_write+0x2e/0x40 [foo]
[    5.000014] ([<000000013f2b5a36>] do_something+0x26/0x40)
[    5.000015]  [<000000013f2b5a3e>] vfs_write+0xd4/0x3a0
[    5.000016] Last Breaking-Event-Address:
[    5.000017]  [<000000013f2b5000>] elsewhere+0x0/0x40
[    5.000018] Kernel panic - not syncing: Fatal exception: panic_on_oops
)"},
    {"powerpc", R"([    5.000001] BUG: Kernel NULL pointer dereference on write at 0x00000000
[    5.000002] Faulting instruction address: 0xc0000000008a2b3c
[    5.000003] Oops: Kernel access of bad area, sig: 11 [#1]
[    5.000004] LE PAGE_SIZE=64K MMU=Radix SMP NR_CPUS=2048 NUMA pSeries
[    5.000005] Modules linked in:
[    5.000006] CPU: 4 PID: 1 Comm: sh Not tainted 6.1.0 #4
[    5.000007] Hardware name: IBM pSeries (emulated by qemu) POWER9 (raw) 0x4e1202 hv:linux,kvm pSeries
[    5.000008] NIP:  c0000000008a2b3c LR: c0000000008a3504 CTR: c0000000008a2b14
[    5.000009] REGS: c00000000a1b3a00 TRAP: 0300   Not tainted  (6.1.0)
[    5.000010] MSR:  8000000000009033 <SF,EE,ME,IR,DR,RI,LE>  CR: 28222222  XER: 00000000
[    5.000011] GPR00: c0000000008a3504 c00000000a1b3ca0 c000000001a5f800 0000000000000063
[    5.000012] NIP [c0000000008a2b3c] foo_write+0x28/0x30
[    5.000013] LR [c0000000008a3504] handle_it+0xc4/0x290
[    5.000014] Call Trace:
[    5.000015] [c00000000a1b3ca0] [c0000000008a3500] handle_it+0xc0/0x290 (unreliable)
[    5.000016] [c00000000a1b3d40] [c0000000004f2e90] vfs_write+0xd4/0x3a0
[    5.000017] --- interrupt: c00 at 0x7fff8a1b2c44
[    5.000018] ---[ end trace 0000000000000000 ]---
[    5.000019] Kernel panic - not syncing: Fatal exception
)"},
    {"loongarch",
     R"([    5.000001] CPU 0 Unable to handle kernel paging request at virtual address 0000000000001000, era == 900000000a2b3c, ra == 900000000a3504
[    5.000002] Oops[#1]:
[    5.000003] CPU: 0 PID: 1 Comm: sh Not tainted 6.6.0 #4
[    5.000004]    ra: 90000000008a3504 handle_it+0xc4/0x290
[    5.000005]   ERA: 90000000008a2b3c foo_write+0x28/0x30
[    5.000006] Call Trace:
[    5.000007] [<90000000008a2b3c>] foo_write+0x28/0x30
[    5.000008] [<90000000004f2e90>] vfs_write+0xd4/0x3a0
[    5.000009] ---[ end trace 0000000000000000 ]---
)"},
};

inline std::string_view log_sample(std::string_view name) {
  for (const LogSample& sample : kLogSamples) {
    if (sample.name == name) {
      return sample.text;
    }
  }
  return {};
}

}  // namespace vmcore::testing
