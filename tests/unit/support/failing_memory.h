/* Memory that fails at the n-th allocation, of the code under test only. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_TESTS_FAILING_MEMORY_H
#define K8SLB_TESTS_FAILING_MEMORY_H

#include <stdbool.h>

/*
 * For the programs tests/unit/test_no_memory_*: they are linked against a copy of the library, of
 * libcurl and of cJSON in which the allocating calls have the names of failing_memory.syms. The
 * test and its support allocate as ever.
 *
 * Runs @scenario with all its allocations served; then for each n with the n-th one failing; then
 * for each n with the n-th one and all after it failing, until failing_memory_end(). Fails the test
 * when a run leaves more or less memory than it found. Prints how many allocations of @module were
 * tried.
 */
void failing_memory_try(const char *module, void (*scenario)(void));

/* Teardown of a test: after a failed one, tells which allocation it was. */
int failing_memory_teardown(void **state);

/* An allocation has failed in this run. */
bool failing_memory_has_failed(void);

/* Memory serves again in this run: what becomes of those who were refused? */
void failing_memory_end(void);

/* Frees what the code under test allocated and gave away. */
void failing_free(void *memory);

#endif
