// SPDX-License-Identifier: Apache-2.0
/* Nothing: what any preloaded object costs at the start of a program. */
extern const int bench_empty;
const int bench_empty = 0;
