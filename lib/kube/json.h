/* Kubernetes JSON to structs: objects, watch events, list envelopes and Status errors. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_KUBE_JSON_H
#define K8SLB_KUBE_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "base/object.h"

/*
 * Every function: @text need not be NUL-terminated; returns 0, -EBADMSG with the reason in @error
 * (which names the object when its name could be read, and the field), -E2BIG with more than
 * LIMIT_OBJECT_VALUES (base/limits.h), of which not even the name is read, or -ENOMEM; outputs are
 * untouched on failure. @error is never NULL. Unknown fields are ignored. null is as absent. A
 * wrong type of a field that decides anything is an error. Of a member that comes twice the first
 * one counts. An escaped NUL is another control character, which no name and no address has. The
 * limits of kube/json_stream.h hold here too, so that a thread with 256 KiB of stack may call.
 */

/* What of an object is left out, the rest of which can be used. */
struct json_gaps {
	unsigned count;	 /* ports, addresses, texts; of what is too many only the first one */
	char first[128]; /* what the first one is, in words */
};

/*
 * One object of @kind. Checked: metadata.name and namespace are legal names. Ports that are no
 * integer of 1..65535, with an unknown protocol or an illegal name, addresses that do not parse or
 * belong to the wrong family, and what is beyond a limit of base/limits.h, cost only themselves
 * (@ret_gaps, which may be NULL). An EndpointSlice of an address type that is neither IPv4 nor IPv6
 * has no endpoints and counts as fqdn. Endpoints make one slice of each subset and family; their
 * service_name is the object's name, "" when that has dots. "kind" and "apiVersion" may be missing
 * (items of a list have none); when there, kind must be @kind's.
 */
int json_decode_object(enum object_kind kind, const char *text, size_t size,
		       struct object *ret_object, struct json_gaps *ret_gaps, char *error,
		       size_t error_size);

/*
 * Only metadata.namespace and metadata.name, of an object that json_decode_object() refused: its
 * owner can then keep the last good version of just that one. @namespace has DNS_LABEL_SIZE bytes,
 * @name OBJECT_NAME_SIZE. Returns 0, -EBADMSG when it does not even name itself, or -ENOMEM.
 */
int json_decode_identity(const char *text, size_t size, char *namespace, char *name);

/* meta/v1 Status, as far as a client acts on it. */
struct kube_status {
	int code; /* 0 when absent */
	char reason[64];
	char message[256];
	long retry_after_s;		 /* details.retryAfterSeconds; -1 when absent */
	bool resource_version_too_large; /* details.causes[] has ResourceVersionTooLarge */
};

enum watch_event_type {
	WATCH_ADDED,
	WATCH_MODIFIED,
	WATCH_DELETED,
	WATCH_BOOKMARK, /* only resource_version is set, and object.kind, the kind asked for */
	WATCH_ERROR,	/* status is set */
	WATCH_UNKNOWN,	/* a type of the future: to be ignored */
};

struct watch_event {
	enum watch_event_type type;
	struct object object; /* the caller's: object_clear() */
	/* metadata.resourceVersion of the object, opaque and of any length, never ""; the caller's
	 * to free(). NULL for the last two types. */
	char *resource_version;
	struct kube_status status;
};

int json_decode_watch_event(enum object_kind kind, const char *text, size_t size,
			    struct watch_event *ret_event, struct json_gaps *ret_gaps, char *error,
			    size_t error_size);

/* What stands beside the items of a list. */
struct list_envelope {
	char *resource_version; /* never NULL or "" */
	char *continue_token;	/* NULL on the last page */
};

/* Frees both. Takes a zeroed struct. */
void list_envelope_free(struct list_envelope *envelope);

/* @kind's list kind ("ServiceList") is checked when "kind" is there. */
int json_decode_list_envelope(enum object_kind kind, const char *text, size_t size,
			      struct list_envelope *ret_envelope, char *error, size_t error_size);

/* The body of an HTTP error. Text that is no Status is -EBADMSG: proxies and the API server itself
 * send plain text too. */
int json_decode_status(const char *text, size_t size, struct kube_status *ret_status, char *error,
		       size_t error_size);

/*
 * An item of a `kubectl get services,endpointslices -o json` document, which goes through
 * json_stream as a LIST: as json_decode_object(), but of the kind that it names itself. -ENOTSUP:
 * it names none of ours. @ret_kind is set on -EBADMSG too.
 */
int json_decode_item(const char *text, size_t size, enum object_kind *ret_kind,
		     struct object *ret_object, struct json_gaps *ret_gaps, char *error,
		     size_t error_size);

#endif
