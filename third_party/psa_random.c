// SPDX-License-Identifier: Apache-2.0
/*
 * The random generator of Mbed TLS, and the entropy of the one that curl makes for itself: every
 * request goes to the kernel.
 *
 * Mbed TLS's own generator keeps its state in memory. We live in programs that fork: parent and
 * child would draw the same "random" numbers, and so the same TLS keys. getrandom() has no state
 * in the process and needs no file descriptor.
 */
#include <errno.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <mbedtls/entropy.h>
#include <psa/crypto.h>

static bool fill(uint8_t *output, size_t size)
{
	size_t filled = 0;

	while (filled < size) {
		long n = syscall(SYS_getrandom, output + filled, size - filled, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		filled += (size_t)n;
	}
	return true;
}

psa_status_t mbedtls_psa_external_get_random(mbedtls_psa_external_random_context_t *context,
					     uint8_t *output, size_t output_size,
					     size_t *output_length)
{
	(void)context;
	if (!fill(output, output_size))
		return PSA_ERROR_INSUFFICIENT_ENTROPY;
	*output_length = output_size;
	return PSA_SUCCESS;
}

/* Instead of Mbed TLS's own source, which falls back to a stream on /dev/urandom. */
int mbedtls_hardware_poll(void *data, unsigned char *output, size_t size, size_t *output_length)
{
	(void)data;
	*output_length = 0;
	if (!fill(output, size))
		return MBEDTLS_ERR_ENTROPY_SOURCE_FAILED;
	*output_length = size;
	return 0;
}
