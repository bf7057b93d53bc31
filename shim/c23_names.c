// SPDX-License-Identifier: Apache-2.0
/*
 * The headers of glibc 2.38 and newer turn calls of strtol(), strtoul() and sscanf() into these,
 * for C23's binary digits. A shim built there must run with libcs that have no such functions. Here
 * and not in lib/: a program that is linked with our endpoints library keeps those of its own libc.
 */
#include <stdarg.h>

/* The functions under the names that every libc has, whatever the headers say. */
long old_strtol(const char *text, char **ret_end, int base) __asm__("strtol");
unsigned long old_strtoul(const char *text, char **ret_end, int base) __asm__("strtoul");
int old_vsscanf(const char *text, const char *format,
		va_list arguments) __asm__("__isoc99_vsscanf");

long __isoc23_strtol(const char *text, char **ret_end, int base);
unsigned long __isoc23_strtoul(const char *text, char **ret_end, int base);
int __isoc23_sscanf(const char *text, const char *format, ...);

long __isoc23_strtol(const char *text, char **ret_end, int base)
{
	return old_strtol(text, ret_end, base);
}

unsigned long __isoc23_strtoul(const char *text, char **ret_end, int base)
{
	return old_strtoul(text, ret_end, base);
}

int __isoc23_sscanf(const char *text, const char *format, ...)
{
	va_list arguments;
	int count;

	va_start(arguments, format);
	count = old_vsscanf(text, format, arguments);
	va_end(arguments);
	return count;
}
