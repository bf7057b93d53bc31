// SPDX-License-Identifier: Apache-2.0
#include "base/libc_compat.h"
#include "base/raw_calls.h"
#include "base/raw_syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

/* On the 64-bit machines that we build for, the kernel's struct stat is that of every libc. */
int k8slb_stat(const char *path, struct stat *ret_status)
{
	return (int)raw_syscall(SYS_newfstatat, AT_FDCWD, path, ret_status, 0);
}

int k8slb_fstat(int fd, struct stat *ret_status)
{
	return (int)raw_syscall(SYS_fstat, fd, ret_status);
}

void k8slb_explicit_bzero(void *memory, size_t size)
{
	memset(memory, 0, size);
	/* The compiler must believe that somebody looks. */
	__asm__ volatile("" : : "r"(memory) : "memory");
}

ssize_t k8slb_getrandom(void *data, size_t size, unsigned flags)
{
	ssize_t n = raw_syscall(SYS_getrandom, data, size, flags);

	if (n < 0 && errno != EINTR)
		errno = ENOSYS;
	return n;
}

char *k8slb_strerror_r(int number, char *text, size_t size)
{
	(void)text;
	(void)size;
	return strerror(number);
}

/* Civil date of a day count (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms"). */
struct tm *k8slb_gmtime_r(const time_t *time, struct tm *ret_time)
{
	int64_t days = *time / 86400;
	int seconds = (int)(*time % 86400);
	int64_t shifted = days + 719468; /* days since 0000-03-01 */
	int64_t era = shifted / 146097;
	int day_of_era = (int)(shifted % 146097);
	int year_of_era =
		(day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int shifted_month = (5 * day_of_year + 2) / 153;
	int month = shifted_month < 10 ? shifted_month + 2 : shifted_month - 10; /* 0: January */
	int64_t year = era * 400 + year_of_era + (month < 2);

	if (*time < 0 || year > INT_MAX)
		return NULL;
	*ret_time = (struct tm){
		.tm_sec = seconds % 60,
		.tm_min = seconds / 60 % 60,
		.tm_hour = seconds / 3600,
		.tm_mday = day_of_year - (153 * shifted_month + 2) / 5 + 1,
		.tm_mon = month,
		.tm_year = (int)(year - 1900),
		.tm_wday = (int)((days + 4) % 7),
		/* From March on: the days of January and February come before. */
		.tm_yday = month < 2 ? day_of_year - 306
				     : day_of_year + 59 +
					       (year % 4 == 0 && (year % 100 || year % 400 == 0)),
	};
	return ret_time;
}

FILE *k8slb_no_stdin, *k8slb_no_stdout, *k8slb_no_stderr;

FILE *k8slb_no_fopen(const char *path, const char *mode)
{
	(void)path;
	(void)mode;
	errno = ENOSYS;
	return NULL;
}

int k8slb_no_fclose(FILE *stream)
{
	(void)stream;
	errno = EBADF;
	return EOF;
}

size_t k8slb_no_fread(void *data, size_t size, size_t count, FILE *stream)
{
	(void)data;
	(void)size;
	(void)count;
	(void)stream;
	errno = EBADF;
	return 0;
}

size_t k8slb_no_fwrite(const void *data, size_t size, size_t count, FILE *stream)
{
	(void)data;
	(void)size;
	(void)count;
	(void)stream;
	errno = EBADF;
	return 0;
}

int k8slb_no_fseek(FILE *stream, long offset, int whence)
{
	(void)stream;
	(void)offset;
	(void)whence;
	errno = EBADF;
	return -1;
}

long k8slb_no_ftell(FILE *stream)
{
	(void)stream;
	errno = EBADF;
	return -1;
}

int k8slb_no_fputc(int c, FILE *stream)
{
	(void)c;
	(void)stream;
	errno = EBADF;
	return EOF;
}

int k8slb_no_fprintf(FILE *stream, const char *format, ...)
{
	(void)stream;
	(void)format;
	errno = EBADF;
	return -1;
}

int k8slb_no_setvbuf(FILE *stream, char *memory, int mode, size_t size)
{
	(void)stream;
	(void)memory;
	(void)mode;
	(void)size;
	errno = EBADF;
	return EOF;
}

struct servent *k8slb_no_getservbyname(const char *name, const char *protocol)
{
	(void)name;
	(void)protocol;
	return NULL;
}

struct servent *k8slb_no_getservbyport(int port, const char *protocol)
{
	(void)port;
	(void)protocol;
	return NULL;
}

int k8slb_no_rand(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int)now.tv_nsec;
}

void k8slb_no_srand(unsigned seed)
{
	(void)seed;
}

char *k8slb_no_getenv(const char *name)
{
	(void)name;
	return NULL;
}

void k8slb_no_abort(void)
{
	for (;;)
		k8slb_raw_poll(NULL, 0, -1);
}
