/* Comparisons that show the expression and both values when they fail. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_TESTS_ASSERT_OP_H
#define K8SLB_TESTS_ASSERT_OP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/*
 * assert_op(length, <, limit): where cmocka's assert_true() says no more than that it failed. For
 * equality of integers there is assert_int_equal(). Both sides are of one signedness; each is
 * evaluated once.
 */
#define assert_op(left, op, right)                                                        \
	do {                                                                              \
		__auto_type op_left = (left);                                             \
		__auto_type op_right = (right);                                           \
                                                                                          \
		if (!(op_left op op_right)) {                                             \
			_Generic(op_left, double                                          \
				 : op_show_double, default                                \
				 : op_show)(#left " " #op " " #right, op_left, op_right); \
			fail();                                                           \
		}                                                                         \
	} while (0)

static inline void op_show(const char *expression, long long left, long long right)
{
	print_error("%s: %lld, %lld\n", expression, left, right);
}

static inline void op_show_double(const char *expression, double left, double right)
{
	print_error("%s: %g, %g\n", expression, left, right);
}

#endif
