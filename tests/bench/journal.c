// SPDX-License-Identifier: Apache-2.0
/*
 * The writer's journal: what an event costs, how long a rewrite stops the writer, and how soon the
 * next one has everything.
 *
 *	journal FOLDER SERVICES ENDPOINTS EVENTS	endpoints of each Service; one slice each
 *
 * An event changes one slice and is flushed by itself, which is the worst case: rounds of a busy
 * writer have many.
 */
#include <fcntl.h>
#include <malloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"
#include "pipeline/journal_file.h"

#define NAME	      "bench-journal"
#define MAX_ENDPOINTS 1000
#define MAX_EVENTS    1000000

static uint64_t event_ns[MAX_EVENTS];

/* As a cluster has them: with node, zone, pod and a hint of a zone. */
static const char *const zone = "eu-central-1a";
static const char node[] = "ip-10-12-34-56.eu-central-1.compute.internal";
static struct slice_endpoint endpoints[MAX_ENDPOINTS];
static char pods[MAX_ENDPOINTS][64];

struct writer {
	struct journal_file *file;
	struct journal *journal;
	struct store *store;
	struct store_scope *scopes[2];
	struct journal_collection collections[2];
};

static void make_slice(struct object *object, unsigned service, unsigned count, unsigned version)
{
	struct endpoint_slice *slice = calloc(1, sizeof(*slice));
	size_t size = count * sizeof(endpoints[0]);
	char *memory = malloc(size + sizeof(struct slice_port));

	if (!slice || !memory)
		bench_die("out of memory");
	*object = (struct object){.kind = OBJECT_ENDPOINT_SLICE, .namespace = "bench"};
	snprintf(object->name, sizeof(object->name), "service-%05u-x7k2p", service);
	snprintf(object->resource_version, sizeof(object->resource_version), "%u", version);
	object->slices = slice;
	object->slice_count = 1;
	slice->memory = memory;
	slice->family = IP_FAMILY_4;
	snprintf(slice->service_name, sizeof(slice->service_name), "service-%05u", service);
	slice->endpoints = memcpy(memory, endpoints, size);
	slice->endpoint_count = count;
	slice->ports = (struct slice_port *)(void *)(memory + size);
	slice->ports[0] =
		(struct slice_port){.name = "http", .protocol = PROTOCOL_TCP, .port = 8080};
	slice->port_count = 1;
	for (unsigned i = 0; i < count; i++) {
		uint32_t address = htonl(0x0b000000u + service * count + i);

		slice->endpoints[i].address = ip_from_v4(&address);
	}
}

static void make_service(struct object *object, unsigned number)
{
	struct service *service = calloc(1, sizeof(*service));
	uint32_t vip = htonl(0x0a600100u + number);

	if (!service)
		bench_die("out of memory");
	service->ports = calloc(1, sizeof(service->ports[0]));
	if (!service->ports)
		bench_die("out of memory");
	*object = (struct object){.kind = OBJECT_SERVICE, .namespace = "bench", .service = service};
	snprintf(object->name, sizeof(object->name), "service-%05u", number);
	strcpy(object->resource_version, "1");
	strcpy(service->namespace, object->namespace);
	memcpy(service->name, object->name, sizeof(service->name));
	service->cluster_ips[0] = ip_from_v4(&vip);
	service->cluster_ip_count = 1;
	service->port_count = 1;
	service->ports[0].protocol = PROTOCOL_TCP;
	service->ports[0].port = 80;
}

static void ignore_denied(void *owner)
{
	(void)owner;
}

/* Returns what was restored. */
static int start(struct writer *writer, int folder)
{
	static const char *const keys[] = {"services", "slices"};
	static const struct logger silent;
	struct journal_file_options file_options = {.directory_fd = folder, .name = NAME};
	struct journal_options options = {.config_hash = 1};
	uint64_t heard_s;

	memset(writer, 0, sizeof(*writer));
	if (journal_file_new(&file_options, &writer->file) < 0)
		bench_die("journal_file_new failed");
	options.io = journal_file_io(writer->file);
	if (journal_new(&options, bench_now_ns(), &silent, &writer->journal) < 0 ||
	    store_new(&writer->store) < 0)
		bench_die("out of memory");
	for (unsigned i = 0; i < 2; i++) {
		if (store_scope_open(writer->store, NULL, NULL, &writer->scopes[i]) < 0 ||
		    journal_join(writer->journal, &writer->collections[i],
				 i ? OBJECT_ENDPOINT_SLICE : OBJECT_SERVICE, keys[i],
				 writer->scopes[i], NULL) < 0)
			bench_die("out of memory");
	}
	return journal_restore(writer->journal, ignore_denied, &heard_s);
}

static void stop(struct writer *writer)
{
	journal_leave(&writer->collections[0]);
	journal_leave(&writer->collections[1]);
	journal_free(writer->journal);
	journal_file_free(writer->file);
	store_free(writer->store);
}

static void list_all(struct writer *writer, unsigned services, unsigned count)
{
	for (unsigned which = 0; which < 2; which++) {
		struct reflector_sink sink = journal_sink(&writer->collections[which]);

		sink.replace_begin(sink.ctx);
		for (unsigned i = 0; i < services; i++) {
			struct object object;

			if (which)
				make_slice(&object, i, count, 1);
			else
				make_service(&object, i);
			if (sink.replace_item(sink.ctx, &object) < 0)
				bench_die("out of memory");
		}
		sink.replace_commit(sink.ctx);
		sink.advance(sink.ctx, "1");
	}
}

/* Only what the journal adds is timed: the store takes the object without it just the same. */
static void change(struct writer *writer, unsigned service, unsigned count, unsigned version,
		   uint64_t *ret_ns)
{
	struct reflector_sink sink = journal_sink(&writer->collections[1]);
	struct object object;
	char text[16];
	uint64_t from;

	snprintf(text, sizeof(text), "%u", version);
	make_slice(&object, service, count, version);
	if (sink.upsert(sink.ctx, &object) < 0)
		bench_die("out of memory");
	from = bench_now_ns();
	sink.advance(sink.ctx, text);
	journal_flush(writer->journal);
	*ret_ns = bench_now_ns() - from;
}

static off_t file_size(int folder)
{
	struct stat status;

	if (fstatat(folder, NAME, &status, 0) < 0)
		bench_die("the journal was given up");
	return status.st_size;
}

int main(int argc, char **argv)
{
	unsigned services, count, events, rewrites = 0;
	uint64_t total_ns = 0, rewrite_ns = 0, from, first_ns, restore_ns;
	off_t first_size, size, largest = 0;
	struct writer writer, next;
	size_t heap;
	int folder;

	if (argc != 5)
		bench_die("usage: journal FOLDER SERVICES ENDPOINTS EVENTS");
	folder = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	services = (unsigned)atoi(argv[2]);
	count = (unsigned)atoi(argv[3]);
	events = (unsigned)atoi(argv[4]);
	if (folder < 0 || !services || count > MAX_ENDPOINTS || !events || events > MAX_EVENTS)
		bench_die("no journal of this size");
	for (unsigned i = 0; i < MAX_ENDPOINTS; i++) {
		snprintf(pods[i], sizeof(pods[i]), "service-5d9c7b8f6-%05u", i);
		endpoints[i] = (struct slice_endpoint){
			.ready = true,
			.serving = true,
			.hostname = "",
			.node_name = node,
			.zone = zone,
			.target_namespace = "bench",
			.target_name = pods[i],
			.target_uid_hash = i + 1,
			.zone_hints = &zone,
			.zone_hint_count = 1,
		};
	}
	bench_pin(0);
	unlinkat(folder, NAME, 0);
	start(&writer, folder);
	list_all(&writer, services, count);
	heap = mallinfo2().uordblks;
	from = bench_now_ns();
	journal_flush(writer.journal);
	first_ns = bench_now_ns() - from;
	heap = mallinfo2().uordblks - heap;
	first_size = size = file_size(folder);
	for (unsigned i = 0; i < events; i++) {
		off_t now;

		change(&writer, (i * 7919u) % services, count, 2 + i, &event_ns[i]);
		total_ns += event_ns[i];
		now = file_size(folder);
		if (now < size) {
			rewrites++;
			rewrite_ns += event_ns[i];
		}
		size = now;
		largest = size > largest ? size : largest;
	}
	from = bench_now_ns();
	if (start(&next, folder) != 2)
		bench_die("not restored");
	restore_ns = bench_now_ns() - from;
	printf("{\"first_bytes\": %lld, \"largest_bytes\": %lld, \"first_write_ns\": %llu, "
	       "\"restore_ns\": %llu, \"restored_bytes\": %lld, \"rewrites\": %u, "
	       "\"rewrite_ns\": %llu, \"mean_event_ns\": %llu, \"buffer_bytes\": %zu, ",
	       (long long)first_size, (long long)largest, (unsigned long long)first_ns,
	       (unsigned long long)restore_ns, (long long)size, rewrites,
	       (unsigned long long)(rewrites ? rewrite_ns / rewrites : 0),
	       (unsigned long long)(total_ns / events), heap);
	bench_print_percentiles("event_ns", event_ns, events);
	printf("}\n");
	stop(&writer);
	stop(&next);
	unlinkat(folder, NAME, 0);
	close(folder);
	return 0;
}
