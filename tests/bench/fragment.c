// SPDX-License-Identifier: GPL-2.0-or-later
/* A module that fragments a guest's memory down to single pages, page cache and free ones in turn, as a file server's is
 * after months: insmod fragment.ko percent=90. It writes to no page, so that the host need not have that memory: boot with
 * init_on_alloc=0. */
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/sched.h>

static unsigned int percent = 90;	/* of all memory */
module_param(percent, uint, 0);

static int add_to_cache(struct address_space *cache, struct folio *folio, pgoff_t index)
{
	int error = filemap_add_folio(cache, folio, index, GFP_KERNEL);

	if (!error)
		folio_unlock(folio);
	folio_put(folio);	/* the cache has its own reference */
	return error;
}

static int __init fragment_init(void)
{
	unsigned long pages = totalram_pages() / 100 * min(percent, 95u), index;
	struct file *file = filp_open("/disk/cached", O_RDWR | O_CREAT, 0600);
	struct page *page, *next;
	LIST_HEAD(others);
	int error = 0;

	if (IS_ERR(file))
		return PTR_ERR(file);
	for (index = 0; index < pages / 2 && !error; index++) {
		struct folio *cached = filemap_alloc_folio(GFP_HIGHUSER_MOVABLE, 0);

		page = alloc_page(GFP_HIGHUSER_MOVABLE);
		if (page)
			list_add(&page->lru, &others);
		error = cached ? add_to_cache(file->f_mapping, cached, index) : -ENOMEM;
		cond_resched();
	}
	list_for_each_entry_safe(page, next, &others, lru) {
		list_del(&page->lru);
		__free_page(page);
		cond_resched();
	}
	/* The file stays open: its cache stays. */
	return error;
}

static void __exit fragment_exit(void)
{
}

module_init(fragment_init);
module_exit(fragment_exit);
MODULE_LICENSE("GPL");
