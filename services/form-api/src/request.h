/* One HTTP/1.1 request, read piece by piece (RFC 9112). */
#ifndef REQUEST_H
#define REQUEST_H

#include <stddef.h>

enum { HEAD_MAX = 8192 };

struct request {
    char head[HEAD_MAX + 1];
    size_t have; /* bytes in head, of the body's beginning as well */
    size_t head_length; /* up to and with the empty line; 0: not there yet */
    char *method, *target;
    char *body; /* allocated when the head is complete and announces one */
    size_t body_length, body_have;
    int expects_continue;
};

/* Looks at what is in head. Returns 0 when more is needed, 1 when the head is complete, or the status of the refusal. */
int request_parse(struct request *request, size_t body_max);

#endif
