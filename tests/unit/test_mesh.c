/* Which listeners are taken for the proxy of a service mesh. */
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/mesh.h"

static bool is_listed(const void *ctx, uint16_t port)
{
	for (const uint16_t *listed = ctx; *listed; listed++) {
		if (*listed == port)
			return true;
	}
	return false;
}

static const char *with(const uint16_t *ports)
{
	const char *name = mesh_by_ports(is_listed, ports);

	return name ? name : "none";
}

static void both_ports_of_a_mesh_are_needed(void **state)
{
	(void)state;
	assert_string_equal(with((uint16_t[]){15001, 15006, 0}), "Istio");
	assert_string_equal(with((uint16_t[]){4143, 80, 4140, 0}), "Linkerd");
	assert_string_equal(with((uint16_t[]){20000, 15001, 0}), "Consul");
}

static void anything_else_is_no_mesh(void **state)
{
	(void)state;
	assert_string_equal(with((uint16_t[]){0}), "none");
	assert_string_equal(with((uint16_t[]){15001, 0}), "none");
	assert_string_equal(with((uint16_t[]){15006, 0}), "none");
	assert_string_equal(with((uint16_t[]){20000, 15006, 4140, 0}), "none");
	assert_string_equal(with((uint16_t[]){80, 443, 8080, 0}), "none");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ports_of_a_mesh_are_needed),
		cmocka_unit_test(anything_else_is_no_mesh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
