// SPDX-License-Identifier: Apache-2.0
#include "engine/fork_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The ends of the two sections that third_party/build gathers curl's, c-ares' and AWS-LC's
 * variables in: the linker gives them these names. */
extern char __start_k8slb_tls_data[], __stop_k8slb_tls_data[];
extern char __start_k8slb_tls_bss[], __stop_k8slb_tls_bss[];

int fork_state_forget(void)
{
	/* What was in the first of them when this process, or one that it was forked from, began.
	 */
	static char *first_data;
	size_t size = (size_t)(__stop_k8slb_tls_data - __start_k8slb_tls_data);

	if (!first_data) {
		char *copy = malloc(size);

		if (!copy)
			return -ENOMEM;
		memcpy(copy, __start_k8slb_tls_data, size);
		first_data = copy;
		return 0;
	}
	memcpy(__start_k8slb_tls_data, first_data, size);
	memset(__start_k8slb_tls_bss, 0, (size_t)(__stop_k8slb_tls_bss - __start_k8slb_tls_bss));
	return 0;
}
