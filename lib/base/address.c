// SPDX-License-Identifier: Apache-2.0
#include "base/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#define V4_AT 12 /* of the IPv4 address in its v4-mapped form */

int ip_parse(const char *text, struct ip_address *ret_ip)
{
	uint8_t bytes[16];

	if (inet_pton(AF_INET, text, bytes) == 1) {
		*ret_ip = ip_from_v4(bytes);
		return 0;
	}
	if (inet_pton(AF_INET6, text, bytes) == 1) {
		memcpy(ret_ip->bytes, bytes, sizeof(bytes));
		return 0;
	}
	return -EINVAL;
}

int ip_parse_sloppy(const char *text, struct ip_address *ret_ip)
{
	char plain[INET6_ADDRSTRLEN];
	size_t length = 0;
	bool in_number = false;

	if (strchr(text, ':'))
		return ip_parse(text, ret_ip);
	for (const char *c = text; *c; c++) {
		bool leading_zero = *c == '0' && !in_number && c[1] >= '0' && c[1] <= '9';

		if (leading_zero)
			continue;
		in_number = *c >= '0' && *c <= '9';
		if (length + 1 >= sizeof(plain))
			return -EINVAL;
		plain[length++] = *c;
	}
	plain[length] = '\0';
	return ip_parse(plain, ret_ip);
}

void ip_format(const struct ip_address *ip, char *text, size_t size)
{
	if (ip_family_of(ip) == IP_FAMILY_4)
		inet_ntop(AF_INET, ip->bytes + V4_AT, text, (socklen_t)size);
	else
		inet_ntop(AF_INET6, ip->bytes, text, (socklen_t)size);
}

void ip_port_format(const struct ip_address *ip, uint16_t port, char *text, size_t size)
{
	char address[INET6_ADDRSTRLEN];

	ip_format(ip, address, sizeof(address));
	snprintf(text, size, ip_family_of(ip) == IP_FAMILY_4 ? "%s:%u" : "[%s]:%u", address, port);
}

bool ip_never_cluster(const struct ip_address *ip)
{
	static const uint8_t broadcast[4] = {255, 255, 255, 255};
	const uint8_t *b = ip->bytes;

	if (ip_family_of(ip) == IP_FAMILY_4) {
		const uint8_t *v4 = b + V4_AT;

		return v4[0] == 0 || v4[0] == 127 || (v4[0] >= 224 && v4[0] < 240) ||
		       (v4[0] == 169 && v4[1] == 254) || memcmp(v4, broadcast, 4) == 0;
	}
	if (b[0] == 0xff || (b[0] == 0xfe && (b[1] & 0xc0) == 0x80))
		return true;
	for (int i = 0; i < 15; i++) {
		if (b[i] != 0)
			return false;
	}
	return b[15] <= 1;
}

int sockaddr_read(const struct sockaddr *addr, socklen_t len, struct ip_address *ret_ip,
		  uint16_t *ret_port)
{
	sa_family_t family;

	if (!addr || len < sizeof(family))
		return -EINVAL;
	/* memcpy: a caller's buffer may be of any alignment. */
	memcpy(&family, addr, sizeof(family));
	if (family == AF_INET && len >= sizeof(struct sockaddr_in)) {
		struct sockaddr_in in;

		memcpy(&in, addr, sizeof(in));
		*ret_ip = ip_from_v4(&in.sin_addr);
		*ret_port = ntohs(in.sin_port);
		return 0;
	}
	if (family == AF_INET6 && len >= sizeof(struct sockaddr_in6)) {
		struct sockaddr_in6 in6;

		memcpy(&in6, addr, sizeof(in6));
		memcpy(ret_ip->bytes, &in6.sin6_addr, sizeof(ret_ip->bytes));
		*ret_port = ntohs(in6.sin6_port);
		return 0;
	}
	return -EINVAL;
}

int sockaddr_rewrite(struct sockaddr_storage *addr, const struct ip_address *ip, uint16_t port)
{
	if (addr->ss_family == AF_INET) {
		struct sockaddr_in *in = (struct sockaddr_in *)addr;

		if (ip_family_of(ip) != IP_FAMILY_4)
			return -EAFNOSUPPORT;
		memcpy(&in->sin_addr, ip->bytes + V4_AT, sizeof(in->sin_addr));
		in->sin_port = htons(port);
		return 0;
	}
	if (addr->ss_family == AF_INET6) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)addr;

		memcpy(&in6->sin6_addr, ip->bytes, sizeof(ip->bytes));
		in6->sin6_port = htons(port);
		return 0;
	}
	return -EAFNOSUPPORT;
}

socklen_t sockaddr_make(struct sockaddr_storage *ret_addr, const struct ip_address *ip,
			uint16_t port)
{
	bool is_four = ip_family_of(ip) == IP_FAMILY_4;

	*ret_addr = (struct sockaddr_storage){.ss_family = is_four ? AF_INET : AF_INET6};
	sockaddr_rewrite(ret_addr, ip, port); /* its own family fits */
	return is_four ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}
