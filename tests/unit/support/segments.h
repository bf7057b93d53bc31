/* The System V segments that a test made: found, looked at and removed. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_TESTS_SEGMENTS_H
#define K8SLB_TESTS_SEGMENTS_H

#include <stdint.h>
#include <sys/types.h>

struct segment {
	key_t key;
	int id;
};

/* The number of an identity that no other test has. */
uint64_t segments_identity(void);

/* Makes the table's segment of this class and tells which one it is; it holds nothing yet. */
struct segment segments_make(uint64_t identity, unsigned class);

/* Removes what there is of all classes, whatever it holds. */
void segments_remove(uint64_t identity);

/* The lock file of the table, and its folder when it was the last. */
void segments_remove_lock(uint64_t identity);

#endif
