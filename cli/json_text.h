/* Strings of the commands' JSON (RFC 8259), to standard output. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CLI_JSON_TEXT_H
#define K8SLB_CLI_JSON_TEXT_H

/* With its quotes. The texts are printable ASCII by the decoder's care (json_printable()), and
 * lines; bytes above that go out as they are. */
void json_put_string(const char *text);

#endif
