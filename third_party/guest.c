// SPDX-License-Identifier: Apache-2.0
/*
 * What stands in the place of parts of AWS-LC, c-ares and curl that a guest in somebody else's
 * process must not have: a random generator with a state, files and streams, questions at a
 * terminal, a file of TLS secrets. AWS-LC's and c-ares' functions of these names are weak (guest.h,
 * build); curl's are taken out of its archive (build).
 */
#include <ares.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

/*
 * Every request goes to the kernel. A generator with a state in memory lives badly in programs that
 * fork: parent and child would draw the same "random" numbers, and so the same TLS keys.
 * getrandom() has no state in the process and needs no file descriptor. Where it fails so does the
 * handshake: its first request, for the ClientHello, is one whose answer AWS-LC looks at.
 */
int RAND_bytes(uint8_t *out, size_t size)
{
	while (size) {
		long n = syscall(SYS_getrandom, out, size, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return 0;
		out += n;
		size -= (size_t)n;
	}
	return 1;
}

int RAND_priv_bytes(uint8_t *out, size_t size)
{
	return RAND_bytes(out, size);
}

int RAND_public_bytes(uint8_t *out, size_t size)
{
	return RAND_bytes(out, size);
}

int RAND_pseudo_bytes(uint8_t *out, size_t size)
{
	return RAND_bytes(out, size);
}

/* The caller's @extra would only add to a generator that could be predicted. */
int RAND_bytes_with_user_prediction_resistance(uint8_t *out, size_t size, const uint8_t extra[32])
{
	(void)extra;
	return RAND_bytes(out, size);
}

/* An encrypted key: AWS-LC would ask for its password on the program's terminal. */
int PEM_def_callback(char *password, int size, int writing, void *context)
{
	(void)password;
	(void)size;
	(void)writing;
	(void)context;
	return -1;
}

/* Certificates and keys come as text in memory; curl's ways to name files are not used. */
BIO *BIO_new_file(const char *path, const char *mode)
{
	(void)path;
	(void)mode;
	return NULL;
}

/* One that refuses to be led to a file. */
const BIO_METHOD *BIO_s_file(void)
{
	return BIO_s_mem();
}

/* c-ares' src/lib/include/ares_buf.h, and lib/base/read_file.h. */
struct ares_buf;
ares_status_t ares_buf_append(struct ares_buf *buffer, const unsigned char *data, size_t size);
ares_status_t ares_buf_load_file(const char *path, struct ares_buf *buffer);
int file_open(const char *path);
ssize_t file_fill(int fd, void *data, size_t size);

/* A hosts file that blocks thousands of names has about this size. */
#define CONFIGURATION_LIMIT (4 * 1024 * 1024)

/*
 * /etc/resolv.conf and /etc/hosts, without a stream, and without a wait where a FIFO or a device
 * stands in their place. A file beyond the limit is one that cannot be read: a part of a name must
 * not be taken for a name. nsswitch.conf counts as absent, so that /etc/hosts is asked first: c-ares
 * takes the module "resolve" for DNS, and where no nameserver answers it asks nothing else.
 */
ares_status_t ares_buf_load_file(const char *path, struct ares_buf *buffer)
{
	ares_status_t status = ARES_SUCCESS;
	int fd = strcmp(path, "/etc/nsswitch.conf") == 0 ? -ENOENT : file_open(path);
	unsigned char part[4096];
	size_t total = 0;
	ssize_t size;

	if (fd < 0)
		return fd == -ENOENT ? ARES_ENOTFOUND : ARES_EFILE;
	do {
		size = file_fill(fd, part, sizeof(part));
		total += size > 0 ? (size_t)size : 0;
		if (size < 0 || total > CONFIGURATION_LIMIT)
			status = ARES_EFILE;
		else if (size > 0)
			status = ares_buf_append(buffer, part, (size_t)size);
	} while (status == ARES_SUCCESS && size == sizeof(part));
	close(fd);
	return status;
}

/* curl's lib/vtls/keylog.h: SSLKEYLOGFILE of the program's environment is not for our secrets. */
void Curl_tls_keylog_open(void);
void Curl_tls_keylog_close(void);
bool Curl_tls_keylog_enabled(void);
const char *Curl_tls_keylog_file_name(void);
bool Curl_tls_keylog_write_line(const char *line);

void Curl_tls_keylog_open(void)
{
}

void Curl_tls_keylog_close(void)
{
}

bool Curl_tls_keylog_enabled(void)
{
	return false;
}

const char *Curl_tls_keylog_file_name(void)
{
	return NULL;
}

bool Curl_tls_keylog_write_line(const char *line)
{
	(void)line;
	return false;
}
