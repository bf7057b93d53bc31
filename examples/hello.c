/* Asks the pods of a Service in turn: next endpoint, HTTP GET, print. */
// SPDX-License-Identifier: Apache-2.0
#include <curl/curl.h>
#include <getopt.h>
#include <k8slb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t stopped;

static void stop(int signal_number)
{
	(void)signal_number;
	stopped = 1;
}

static void print_problem(void *ctx, const char *message)
{
	(void)ctx;
	fprintf(stderr, "k8slb: %s\n", message);
}

static int usage(const char *program, int status)
{
	fprintf(status ? stderr : stdout,
		"usage: %s [-a API] [-N NAMESPACE] [-p PORTNAME] [-n COUNT] SERVICE\n"
		"  -a API        HOST:PORT, a URL or \"" K8SLB_IN_CLUSTER
		"\" (default 127.0.0.1:8001)\n"
		"  -N NAMESPACE  of the Service (default \"default\")\n"
		"  -p PORTNAME   of the Service (default: its first port)\n"
		"  -n COUNT      requests to make, 0 for no end (default 0)\n",
		program);
	return status;
}

/* One request to one pod; prints its answer or why there is none. */
static int get(CURL *curl, const struct k8slb_endpoint *endpoint)
{
	char url[sizeof(endpoint->address) + 16];
	CURLcode rc;

	snprintf(url, sizeof(url), "http://%s/", endpoint->address);
	printf("%s: ", endpoint->address);
	fflush(stdout);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	rc = curl_easy_perform(curl);
	if (rc != CURLE_OK)
		printf("%s\n", curl_easy_strerror(rc));
	fflush(stdout);
	return rc == CURLE_OK ? 0 : -1;
}

static int run(struct k8slb *lb, long count)
{
	CURL *curl = curl_easy_init();
	int failed = 0;

	if (!curl)
		return EXIT_FAILURE;
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, 10L);
	/* A connection that is kept would keep its pod. */
	curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L);
	for (long i = 0; !stopped && (count == 0 || i < count); i++) {
		struct k8slb_endpoint endpoint;
		int rc = k8slb_next(lb, &endpoint);

		if (rc == 0) {
			failed += get(curl, &endpoint) != 0;
		} else {
			fprintf(stderr, "no endpoint: %s\n", strerror(-rc));
			failed++;
		}
		usleep(count ? 50 * 1000 : 500 * 1000);
	}
	curl_easy_cleanup(curl);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct k8slb_config config = {.error_callback = print_problem};
	char error[K8SLB_ERROR_SIZE];
	struct k8slb *lb;
	long count = 0;
	int option;
	int status;

	while ((option = getopt(argc, argv, "a:N:p:n:h")) != -1) {
		switch (option) {
		case 'a':
			config.api_addr = optarg;
			break;
		case 'N':
			config.k8s_namespace = optarg;
			break;
		case 'p':
			config.port_name = optarg;
			break;
		case 'n':
			count = strtol(optarg, NULL, 10);
			break;
		case 'h':
			return usage(argv[0], EXIT_SUCCESS);
		default:
			return usage(argv[0], 2);
		}
	}
	if (optind != argc - 1)
		return usage(argv[0], 2);
	config.service = argv[optind];
	signal(SIGINT, stop);
	signal(SIGTERM, stop);

	if (k8slb_new(&config, &lb, error, sizeof(error)) < 0) {
		fprintf(stderr, "%s: %s\n", argv[0], error);
		return 2;
	}
	/* A first failure is not the end: the background sync goes on trying. */
	if (k8slb_sync_endpoints(lb, error, sizeof(error)) < 0)
		fprintf(stderr, "%s: not in sync yet: %s\n", argv[0], error);
	if (k8slb_start_background_sync(lb) < 0) {
		fprintf(stderr, "%s: no background sync\n", argv[0]);
		k8slb_free(lb);
		return EXIT_FAILURE;
	}
	status = run(lb, count);
	k8slb_free(lb);
	return status;
}
