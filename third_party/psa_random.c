// SPDX-License-Identifier: Apache-2.0
/*
 * The random generator of Mbed TLS: every request goes to the kernel.
 *
 * Mbed TLS's own generator keeps its state in memory. We live in programs that fork: parent and
 * child would draw the same "random" numbers, and so the same TLS keys. getrandom() has no state
 * in the process and needs no file descriptor.
 */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <psa/crypto.h>

psa_status_t mbedtls_psa_external_get_random(mbedtls_psa_external_random_context_t *context,
					     uint8_t *output, size_t output_size,
					     size_t *output_length)
{
	size_t filled = 0;

	(void)context;
	while (filled < output_size) {
		long n = syscall(SYS_getrandom, output + filled, output_size - filled, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return PSA_ERROR_INSUFFICIENT_ENTROPY;
		filled += (size_t)n;
	}
	*output_length = filled;
	return PSA_SUCCESS;
}
