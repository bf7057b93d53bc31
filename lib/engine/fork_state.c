// SPDX-License-Identifier: Apache-2.0
#include "engine/fork_state.h"

/* Static variables of curl's lib/easy.c, renamed and made visible by third_party/build. */
extern unsigned int k8slb_curl_initialized;
extern int k8slb_curl_s_lock; /* an atomic_int; no other thread of this process knows it yet */

void fork_state_forget(void)
{
	k8slb_curl_initialized = 0;
	k8slb_curl_s_lock = 0;
}
