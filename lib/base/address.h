/* IPv4 and IPv6 addresses in one form, from and to text and socket addresses. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_BASE_ADDRESS_H
#define K8SLB_BASE_ADDRESS_H

#include <endian.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

/*
 * 16 bytes in network order. IPv4 is kept in its v4-mapped form ::ffff:a.b.c.d (RFC 4291
 * 2.5.5.2): a Java program's v4-mapped socket and a plain IPv4 one then look up the same key.
 */
struct ip_address {
	uint8_t bytes[16];
};

enum ip_family {
	IP_FAMILY_4 = 4,
	IP_FAMILY_6 = 6,
};

/* INET6_ADDRSTRLEN is 46; brackets, colon and port make 54. */
#define IP_TEXT_SIZE 64

static inline bool ip_equal(const struct ip_address *a, const struct ip_address *b)
{
	uint64_t left[2], right[2];

	memcpy(left, a->bytes, sizeof(left));
	memcpy(right, b->bytes, sizeof(right));
	return ((left[0] ^ right[0]) | (left[1] ^ right[1])) == 0;
}

/* All zero: how structs and tables of ours say that there is no address. */
static inline bool ip_is_unset(const struct ip_address *ip)
{
	static const struct ip_address unset;

	return ip_equal(ip, &unset);
}

static inline enum ip_family ip_family_of(const struct ip_address *ip)
{
	uint64_t first;
	uint32_t third;

	memcpy(&first, ip->bytes, sizeof(first));
	memcpy(&third, ip->bytes + 8, sizeof(third));
	return first == 0 && third == htonl(0xffff) ? IP_FAMILY_4 : IP_FAMILY_6;
}

/*
 * From 4 bytes in network order. In whole words, as lookups read it: a processor cannot forward
 * two narrow stores to one wider load and waits until both are done.
 */
static inline struct ip_address ip_from_v4(const void *four_bytes)
{
	uint64_t words[2] = {0, 0};
	struct ip_address ip;
	uint32_t v4;

	memcpy(&v4, four_bytes, sizeof(v4));
	words[1] = htobe64(0x0000ffff00000000ULL | ntohl(v4));
	memcpy(ip.bytes, words, sizeof(ip.bytes));
	return ip;
}

/*
 * Reads a numeric address (no brackets, no zone, no port). IPv4 in dotted quad as inet_pton(3)
 * takes it: leading zeros are refused, as the API server does.
 * Returns 0 or -EINVAL.
 */
int ip_parse(const char *text, struct ip_address *ret_ip);

/*
 * As ip_parse(), but takes IPv4 with leading zeros, which are decimal then. Clusters store such
 * addresses from before the API server refused them, and every component reads them so
 * (k8s.io/utils/net, ParseIPSloppy).
 */
int ip_parse_sloppy(const char *text, struct ip_address *ret_ip);

/* Writes the canonical text (RFC 5952; IPv4 dotted quad); @size >= INET6_ADDRSTRLEN. */
void ip_format(const struct ip_address *ip, char *text, size_t size);

/* Writes "10.0.0.1:80" or "[fd00::1]:80"; @size >= IP_TEXT_SIZE. */
void ip_port_format(const struct ip_address *ip, uint16_t port, char *text, size_t size);

/* No destination of a Service or a pod: unspecified, loopback, link-local, multicast, broadcast.
 * The API server refuses them too; a file, or another server, may not. 240.0.0.0/4 is some clouds'
 * pod network. */
bool ip_never_cluster(const struct ip_address *ip);

/*
 * Reads address and port (host order) of an AF_INET or AF_INET6 socket address.
 * Returns 0, or -EINVAL when @addr is NULL, too short for its family or of another family.
 */
int sockaddr_read(const struct sockaddr *addr, socklen_t len, struct ip_address *ret_ip,
		  uint16_t *ret_port);

/*
 * Overwrites address and port of @addr, keeping its family and all other fields: IPv4 goes into
 * AF_INET as it is and into AF_INET6 v4-mapped.
 * Returns 0, or -EAFNOSUPPORT when an IPv6 address was to go into AF_INET.
 */
int sockaddr_rewrite(struct sockaddr_storage *addr, const struct ip_address *ip, uint16_t port);

/* A socket address in the family of @ip. Returns its length. */
socklen_t sockaddr_make(struct sockaddr_storage *ret_addr, const struct ip_address *ip,
			uint16_t port);

#endif
