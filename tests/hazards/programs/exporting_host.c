// SPDX-License-Identifier: Apache-2.0
/*
 * exporting_host VIP PORT COUNT: connects, and is itself what programs with a linked-in curl,
 * OpenSSL, Mbed TLS or cJSON are: linked with -rdynamic, so that these names of its own come before
 * those of every library. Whoever calls one of them is told on standard error, and the program ends
 * with status 99.
 */
#include <stdlib.h>

#include "dial.h"

#define TRAP(name)                                 \
	__attribute__((noreturn)) void name(void); \
	void name(void)                            \
	{                                          \
		trap(#name "() was called\n");     \
	}

static _Noreturn void trap(const char *text)
{
	ssize_t written = write(STDERR_FILENO, text, strlen(text));

	_exit(written < 0 ? 98 : 99);
}

TRAP(curl_global_init)
TRAP(curl_global_init_mem)
TRAP(curl_global_cleanup)
TRAP(curl_easy_init)
TRAP(curl_easy_setopt)
TRAP(curl_easy_perform)
TRAP(curl_easy_getinfo)
TRAP(curl_easy_reset)
TRAP(curl_easy_cleanup)
TRAP(curl_easy_strerror)
TRAP(curl_multi_init)
TRAP(curl_multi_setopt)
TRAP(curl_multi_add_handle)
TRAP(curl_multi_remove_handle)
TRAP(curl_multi_perform)
TRAP(curl_multi_poll)
TRAP(curl_multi_wait)
TRAP(curl_multi_wakeup)
TRAP(curl_multi_fdset)
TRAP(curl_multi_info_read)
TRAP(curl_multi_cleanup)
TRAP(curl_slist_append)
TRAP(curl_slist_free_all)
TRAP(curl_url)
TRAP(curl_url_get)
TRAP(curl_url_set)
TRAP(curl_getenv)
TRAP(curl_free)
TRAP(curl_version)
TRAP(curl_version_info)
TRAP(OPENSSL_init_ssl)
TRAP(OPENSSL_init_crypto)
TRAP(SSL_CTX_new)
TRAP(SSL_CTX_free)
TRAP(SSL_new)
TRAP(SSL_connect)
TRAP(SSL_read)
TRAP(SSL_write)
TRAP(SSL_free)
TRAP(TLS_client_method)
TRAP(X509_verify_cert)
TRAP(EVP_DigestInit_ex)
TRAP(RAND_bytes)
TRAP(mbedtls_ssl_init)
TRAP(mbedtls_ssl_setup)
TRAP(mbedtls_ssl_config_defaults)
TRAP(mbedtls_ssl_handshake)
TRAP(mbedtls_ssl_read)
TRAP(mbedtls_ssl_write)
TRAP(mbedtls_ssl_free)
TRAP(mbedtls_x509_crt_parse)
TRAP(mbedtls_x509_crt_verify)
TRAP(mbedtls_entropy_init)
TRAP(mbedtls_entropy_func)
TRAP(mbedtls_ctr_drbg_random)
TRAP(mbedtls_sha256)
TRAP(mbedtls_calloc)
TRAP(mbedtls_free)
TRAP(psa_crypto_init)
TRAP(psa_generate_random)
TRAP(psa_import_key)
TRAP(psa_hash_setup)
TRAP(psa_hash_update)
TRAP(psa_aead_encrypt)
TRAP(psa_raw_key_agreement)
TRAP(psa_destroy_key)
TRAP(cJSON_InitHooks)
TRAP(cJSON_Parse)
TRAP(cJSON_ParseWithLength)
TRAP(cJSON_ParseWithLengthOpts)
TRAP(cJSON_GetObjectItem)
TRAP(cJSON_GetObjectItemCaseSensitive)
TRAP(cJSON_GetStringValue)
TRAP(cJSON_IsString)
TRAP(cJSON_IsNumber)
TRAP(cJSON_IsTrue)
TRAP(cJSON_Delete)

int main(int argc, char **argv)
{
	struct sockaddr_in vip;

	if (argc < 4)
		return 2;
	vip = dial_address(argv[1], argv[2]);
	for (int i = atoi(argv[3]); i > 0; i--)
		dial_and_tell("main", &vip);
	return 0;
}
