// SPDX-License-Identifier: Apache-2.0
#include "pick/cursor.h"

#include "base/hash.h"
#include "table/keys.h"

uint64_t cursor_key_of_name(const char *namespace, const char *name, const struct table_port *port)
{
	return hash_mix(table_name_hash(namespace, name) ^ (uint64_t)port->family << 32 ^
			table_vip_key(port->port, port->protocol));
}
