// SPDX-License-Identifier: Apache-2.0
/*
 * What a server's certificate must be: AWS-LC's verdict, and where that is laxer than the one of
 * Go's crypto/tls, which client-go has, Go's. docs/security.md has both for each kind of defect;
 * tests/e2e/test_certificates.py compares them. That the certificate is for this host is curl's
 * question, asked before it sends anything.
 *
 * Two calls of curl's, SSL_CTX_set_verify() and X509_verify_cert_error_string(), become those of
 * the two functions at the end (build).
 */
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

/* Go's limits: crypto/rsa refuses smaller keys, crypto/tls larger ones. */
#define RSA_BITS_MIN 1024
#define RSA_BITS_MAX 8192

/* Beyond AWS-LC's own numbers, which go through curl as they are. */
enum {
	ERROR_NO_NAME = 1000,
	ERROR_SIGNATURE_ALGORITHM,
	ERROR_KEY,
	ERROR_SERIAL,
	ERROR_TWO_OF_AN_EXTENSION,
	ERROR_USAGE,
};

static const char *text_of(long error)
{
	switch (error) {
	case ERROR_NO_NAME:
		return "the certificate names its host in its common name only, not in "
		       "subjectAltName";
	case ERROR_SIGNATURE_ALGORITHM:
		return "signed with an algorithm that is not accepted (SHA-1 or a rare one)";
	case ERROR_KEY:
		return "a key that is not accepted (RSA below 1024 or above 8192 bits, or a rare "
		       "curve)";
	case ERROR_SERIAL:
		return "negative serial number";
	case ERROR_TWO_OF_AN_EXTENSION:
		return "the same extension twice";
	case ERROR_USAGE:
		return "a certificate that is not for servers (extended key usage)";
	default:
		return NULL;
	}
}

static bool is_one_of(int nid, const int *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (list[i] == nid)
			return true;
	}
	return false;
}

static bool signature_accepted(const X509 *cert)
{
	static const int accepted[] = {
		NID_sha256WithRSAEncryption, NID_sha384WithRSAEncryption,
		NID_sha512WithRSAEncryption, NID_rsassaPss,
		NID_ecdsa_with_SHA256,	     NID_ecdsa_with_SHA384,
		NID_ecdsa_with_SHA512,	     NID_ED25519,
	};

	return is_one_of(X509_get_signature_nid(cert), accepted,
			 sizeof(accepted) / sizeof(accepted[0]));
}

static bool key_accepted(const X509 *cert)
{
	static const int curves[] = {NID_secp224r1, NID_X9_62_prime256v1, NID_secp384r1,
				     NID_secp521r1};
	const EVP_PKEY *key = X509_get0_pubkey(cert);
	const EC_KEY *ec;

	if (!key)
		return false;
	switch (EVP_PKEY_id(key)) {
	case EVP_PKEY_RSA:
		return EVP_PKEY_bits(key) >= RSA_BITS_MIN && EVP_PKEY_bits(key) <= RSA_BITS_MAX;
	case EVP_PKEY_EC:
		ec = EVP_PKEY_get0_EC_KEY(key);
		return ec && is_one_of(EC_GROUP_get_curve_name(EC_KEY_get0_group(ec)), curves,
				       sizeof(curves) / sizeof(curves[0]));
	case EVP_PKEY_ED25519:
		return true;
	default:
		return false;
	}
}

static bool any_extension_twice(const X509 *cert)
{
	int count = X509_get_ext_count(cert);

	for (int i = 0; i < count; i++) {
		const ASN1_OBJECT *name = X509_EXTENSION_get_object(X509_get_ext(cert, i));

		if (X509_get_ext_by_OBJ(cert, name, i) >= 0)
			return true;
	}
	return false;
}

/* Whether subjectAltName has what a host can be compared with: else curl takes the common name. */
static bool names_a_host(const X509 *leaf)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	bool found = false;

	for (size_t i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
		int type = sk_GENERAL_NAME_value(names, i)->type;

		found = found || type == GEN_DNS || type == GEN_IPADD;
	}
	GENERAL_NAMES_free(names);
	return found;
}

/* AWS-LC's own check does not take "any" for an answer. */
static bool is_for_servers(X509 *cert)
{
	return X509_get_extended_key_usage(cert) & (XKU_SSL_SERVER | XKU_ANYEKU);
}

/* Of a chain that AWS-LC accepts: leaf first, trust anchor last. Returns X509_V_OK or an error. */
static int check_chain(STACK_OF(X509) * chain)
{
	size_t count = sk_X509_num(chain);

	/* Of the others AWS-LC has asked whether their extensions can be read at all. */
	if (!X509_check_purpose(sk_X509_value(chain, 0), -1, 0))
		return X509_V_ERR_INVALID_EXTENSION;
	for (size_t i = 0; i < count; i++) {
		X509 *cert = sk_X509_value(chain, i);
		long longest = X509_get_pathlen(cert);

		if (X509_get0_serialNumber(cert)->type == V_ASN1_NEG_INTEGER)
			return ERROR_SERIAL;
		if (any_extension_twice(cert))
			return ERROR_TWO_OF_AN_EXTENSION;
		if (!key_accepted(cert))
			return ERROR_KEY;
		if (!is_for_servers(cert))
			return ERROR_USAGE;
		/* An anchor is trusted for what it is, whoever signed it. */
		if (i + 1 < count && !signature_accepted(cert))
			return ERROR_SIGNATURE_ALGORITHM;
		/* AWS-LC does not count certificates that a CA issued to itself. */
		if (i > 0 && longest >= 0 && (long)i - 1 > longest)
			return X509_V_ERR_PATH_LENGTH_EXCEEDED;
	}
	return names_a_host(sk_X509_value(chain, 0)) ? X509_V_OK : ERROR_NO_NAME;
}

/* With the anchors of @anchors, NULL: all of the store. Returns X509_V_OK or an error. */
static int try_anchors(X509_STORE_CTX *given, STACK_OF(X509) * anchors)
{
	X509_STORE_CTX *attempt = X509_STORE_CTX_new();
	int error = X509_V_ERR_OUT_OF_MEM;

	if (attempt && X509_STORE_CTX_init(attempt, X509_STORE_CTX_get0_store(given),
					   X509_STORE_CTX_get0_cert(given),
					   X509_STORE_CTX_get0_untrusted(given))) {
		/* Policies are looked at only where that is asked for. */
		X509_STORE_CTX_set_flags(attempt, X509_V_FLAG_POLICY_CHECK);
		if (anchors)
			X509_STORE_CTX_set0_trusted_stack(attempt, anchors);
		if (X509_verify_cert(attempt) > 0)
			error = check_chain(X509_STORE_CTX_get0_chain(attempt));
		else
			error = X509_STORE_CTX_get_error(attempt);
	}
	X509_STORE_CTX_free(attempt);
	return error;
}

/* Whether any certificate that the server sent names @anchor as its issuer. */
static bool is_wanted(X509_STORE_CTX *given, const X509 *anchor)
{
	STACK_OF(X509) *sent = X509_STORE_CTX_get0_untrusted(given);

	for (size_t i = 0; i < sk_X509_num(sent); i++) {
		if (X509_NAME_cmp(X509_get_issuer_name(sk_X509_value(sent, i)),
				  X509_get_subject_name(anchor)) == 0)
			return true;
	}
	return false;
}

/*
 * AWS-LC tries one anchor, the first with the issuer's name. After a rotation a cluster may have
 * two CAs of one name, so each is tried alone. Returns X509_V_OK or @error.
 */
static int try_each_anchor(X509_STORE_CTX *given, int error)
{
	STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(X509_STORE_CTX_get0_store(given));

	for (size_t i = 0; error != X509_V_OK && i < sk_X509_OBJECT_num(objects); i++) {
		X509 *anchor = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));
		STACK_OF(X509) * alone;

		if (!anchor || !is_wanted(given, anchor))
			continue;
		alone = sk_X509_new_null();
		if (alone && sk_X509_push(alone, anchor) && try_anchors(given, alone) == X509_V_OK)
			error = X509_V_OK;
		sk_X509_free(alone);
	}
	return error;
}

static int verify(X509_STORE_CTX *given, void *ready)
{
	int error = ready ? try_anchors(given, NULL) : X509_V_ERR_OUT_OF_MEM;

	if (ready && error != X509_V_OK)
		error = try_each_anchor(given, error);
	X509_STORE_CTX_set_error(given, error);
	return error == X509_V_OK;
}

/*
 * In the place of curl's SSL_CTX_set_verify(), whose mode is "none": curl would look at the verdict
 * after the handshake. Here the handshake fails with it, and the server is told so by an alert.
 */
void k8slb_tls_set_verify(SSL_CTX *context, int mode, int (*callback)(int, X509_STORE_CTX *));

void k8slb_tls_set_verify(SSL_CTX *context, int mode, int (*callback)(int, X509_STORE_CTX *))
{
	/* What Go offers: P-521 and Ed25519 too, SHA-1 no longer. */
	static const uint16_t groups[] = {SSL_GROUP_X25519_MLKEM768, SSL_GROUP_X25519,
					  SSL_GROUP_SECP256R1, SSL_GROUP_SECP384R1,
					  SSL_GROUP_SECP521R1};
	static const uint16_t signatures[] = {
		SSL_SIGN_RSA_PSS_RSAE_SHA256,
		SSL_SIGN_ECDSA_SECP256R1_SHA256,
		SSL_SIGN_ED25519,
		SSL_SIGN_RSA_PSS_RSAE_SHA384,
		SSL_SIGN_RSA_PSS_RSAE_SHA512,
		SSL_SIGN_RSA_PKCS1_SHA256,
		SSL_SIGN_RSA_PKCS1_SHA384,
		SSL_SIGN_RSA_PKCS1_SHA512,
		SSL_SIGN_ECDSA_SECP384R1_SHA384,
		SSL_SIGN_ECDSA_SECP521R1_SHA512,
	};
	bool ready = SSL_CTX_set1_group_ids(context, groups, sizeof(groups) / sizeof(groups[0])) &&
		     SSL_CTX_set_verify_algorithm_prefs(context, signatures,
							sizeof(signatures) / sizeof(signatures[0]));

	(void)mode;
	(void)callback;
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	/* Without memory for the above nothing is accepted. */
	SSL_CTX_set_cert_verify_callback(context, verify, ready ? context : NULL);
}

/* In the place of curl's X509_verify_cert_error_string(). */
const char *k8slb_tls_verify_text(long error);

const char *k8slb_tls_verify_text(long error)
{
	const char *text = text_of(error);

	return text ? text : X509_verify_cert_error_string(error);
}
