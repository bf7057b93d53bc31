// SPDX-License-Identifier: Apache-2.0
/*
 * The certificates of a CA bundle, as Go's AppendCertsFromPEM() finds them: what is no whole
 * certificate is passed over. AWS-LC's reader gives up at the first such block, and with it the
 * certificates before and behind.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/base64.h>
#include <openssl/bio.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#define BEGIN "-----BEGIN CERTIFICATE-----"
#define END   "-----END CERTIFICATE-----"

/* Adds the certificate in the base64 text; whether there is one and memory for it. */
static bool add(STACK_OF(X509_INFO) * list, const char *text, size_t size)
{
	uint8_t *der = malloc(size + 1);
	X509_INFO *entry = OPENSSL_zalloc(sizeof(*entry));
	EVP_ENCODE_CTX decoder;
	int length = 0, rest = 0;
	bool added = false;

	EVP_DecodeInit(&decoder);
	if (der && entry &&
	    EVP_DecodeUpdate(&decoder, der, &length, (const uint8_t *)text, size) >= 0 &&
	    EVP_DecodeFinal(&decoder, der + length, &rest) >= 0) {
		const uint8_t *at = der;

		entry->x509 = d2i_X509(NULL, &at, length + rest);
		added = entry->x509 && at == der + length + rest && sk_X509_INFO_push(list, entry);
	}
	if (!added)
		X509_INFO_free(entry);
	free(der);
	return added;
}

/* In the place of curl's PEM_X509_INFO_read_bio(): @bio is one over memory. NULL: no certificate.
 */
STACK_OF(X509_INFO) * k8slb_tls_read_bundle(BIO *bio, STACK_OF(X509_INFO) * list,
					    pem_password_cb *callback, void *context);

STACK_OF(X509_INFO) * k8slb_tls_read_bundle(BIO *bio, STACK_OF(X509_INFO) * list,
					    pem_password_cb *callback, void *context)
{
	const uint8_t *data = NULL;
	const char *at, *end, *limit;
	size_t size = 0;

	(void)callback;
	(void)context;
	list = sk_X509_INFO_new_null();
	if (!list || !BIO_mem_contents(bio, &data, &size))
		size = 0;
	at = (const char *)data;
	limit = at + size;
	while (size && (at = memmem(at, (size_t)(limit - at), BEGIN, strlen(BEGIN)))) {
		at += strlen(BEGIN);
		end = memmem(at, (size_t)(limit - at), END, strlen(END));
		if (!end)
			break;
		if (add(list, at, (size_t)(end - at)))
			at = end;
	}
	if (sk_X509_INFO_num(list) > 0)
		return list;
	sk_X509_INFO_free(list);
	return NULL;
}
