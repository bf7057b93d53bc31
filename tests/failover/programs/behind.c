// SPDX-License-Identifier: Apache-2.0
/*
 * behind FILTER COMMAND...: runs the command behind a filter of system calls, a file as
 * seccomp_export_bpf(3) writes it.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static struct sock_filter steps[BPF_MAXINSNS];
	FILE *file = argc > 2 ? fopen(argv[1], "rbe") : NULL;
	struct sock_fprog filter = {.filter = steps};

	if (file) {
		filter.len = (unsigned short)fread(steps, sizeof(steps[0]), BPF_MAXINSNS, file);
		fclose(file);
	}
	/* As in a container: root's programs may still get rights by their files. */
	if (file && (geteuid() == 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) &&
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0)
		execvp(argv[2], argv + 2);
	perror("behind");
	return 2;
}
