/* A child's copies of curl's and AWS-LC's variables: half done, and then as in the file. */
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <curl/curl.h>

#include "engine/fork_state.h"

extern char __start_k8slb_tls_data[], __stop_k8slb_tls_data[];
extern char __start_k8slb_tls_bss[], __stop_k8slb_tls_bss[];

static size_t zeros(const char *from, const char *to)
{
	size_t count = 0;

	while (from < to)
		count += *from++ == 0;
	return count;
}

/* Both libraries, as the engine's first request begins with them. */
static void use(void)
{
	CURLM *multi;

	assert_int_equal(curl_global_init(CURL_GLOBAL_DEFAULT), CURLE_OK);
	multi = curl_multi_init();
	assert_non_null(multi);
	curl_multi_cleanup(multi);
	curl_global_cleanup();
}

static void all_is_put_back_whatever_was_there(void **state)
{
	size_t data_size = (size_t)(__stop_k8slb_tls_data - __start_k8slb_tls_data);
	size_t bss_size = (size_t)(__stop_k8slb_tls_bss - __start_k8slb_tls_bss);
	char *first = malloc(data_size);

	(void)state;
	assert_non_null(first);
	assert_true(data_size > 100 && bss_size > 1000);
	memcpy(first, __start_k8slb_tls_data, data_size);
	assert_int_equal(fork_state_forget(), 0);
	use();
	assert_true(zeros(__start_k8slb_tls_bss, __stop_k8slb_tls_bss) < bss_size);

	/* Locks taken, marks set: a call of curl's would wait for ever. */
	memset(__start_k8slb_tls_data, 0x5a, data_size);
	memset(__start_k8slb_tls_bss, 1, bss_size);
	assert_int_equal(fork_state_forget(), 0);

	assert_memory_equal(__start_k8slb_tls_data, first, data_size);
	assert_int_equal(zeros(__start_k8slb_tls_bss, __stop_k8slb_tls_bss), bss_size);
	use();
	free(first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_is_put_back_whatever_was_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
