/* From a query to its answer. */
#ifndef ANSWER_H
#define ANSWER_H

#include "zone.h"

enum { QUERY_MAX = 512, UDP_MAX = 1232, ANSWER_MAX = 16384 };

/* The answer to the `length` bytes of `query`, in `reply` of ANSWER_MAX bytes. `is_udp` limits its size to what the
 * client takes. Returns its length; 0 when there is nothing to answer. */
size_t answer(const struct zone *zone, const uint8_t *query, size_t length, uint8_t *reply, int is_udp);

#endif
