#define _GNU_SOURCE
#include "request.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Cuts the first word off `line`. Returns what follows, NULL when nothing does. */
static char *cut(char *line)
{
    char *blank = strchr(line, ' ');

    if (blank == NULL || blank == line)
        return NULL;
    *blank = '\0';
    return blank + 1;
}

static int header_parse(struct request *request, const char *line, int *has_length, size_t body_max)
{
    if (strncasecmp(line, "transfer-encoding:", 18) == 0)
        return 411;
    if (strncasecmp(line, "expect:", 7) == 0)
        request->expects_continue = strcasestr(line + 7, "100-continue") != NULL;
    if (strncasecmp(line, "content-length:", 15) != 0)
        return 0;
    const char *digits = line + 15 + strspn(line + 15, " \t");
    size_t count = strspn(digits, "0123456789"), length = 0;
    if (count == 0 || digits[count + strspn(digits + count, " \t")] != '\0')
        return 400;
    for (size_t i = 0; i < count; i++) {
        length = length * 10 + (size_t)(digits[i] - '0');
        if (length > body_max)
            return 413;
    }
    /* Two lengths that differ are how requests are smuggled past a proxy. */
    if (*has_length && length != request->body_length)
        return 400;
    *has_length = 1;
    request->body_length = length;
    return 0;
}

int request_parse(struct request *request, size_t body_max)
{
    request->head[request->have] = '\0';
    char *end = memmem(request->head, request->have, "\r\n\r\n", 4);
    if (end == NULL)
        return request->have == HEAD_MAX ? 431 : 0;
    if (memchr(request->head, '\0', (size_t)(end - request->head)) != NULL)
        return 400;
    request->head_length = (size_t)(end - request->head) + 4;
    *end = '\0';

    char *line = request->head, *next = strstr(line, "\r\n");
    int has_length = 0, status;
    if (next != NULL) {
        *next = '\0';
        next += 2;
    }
    request->method = line;
    request->target = cut(line);
    char *version = request->target == NULL ? NULL : cut(request->target);
    if (version == NULL || request->target[0] != '/' || strspn(line, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != strlen(line)) {
        request->target = NULL;
        return 400;
    }
    if (strncmp(version, "HTTP/1.", 7) != 0)
        return 505;
    while (next != NULL) {
        line = next;
        next = strstr(line, "\r\n");
        if (next != NULL) {
            *next = '\0';
            next += 2;
        }
        if ((status = header_parse(request, line, &has_length, body_max)) != 0)
            return status;
    }
    if (!has_length && strcmp(request->method, "PUT") == 0)
        return 411;
    if (request->body_length > 0 && (request->body = malloc(request->body_length)) == NULL)
        return 503;
    /* What came with the head belongs to the body; a second request is not read, because each has its connection. */
    size_t extra = request->have - request->head_length;
    request->body_have = extra < request->body_length ? extra : request->body_length;
    if (request->body_have > 0)
        memcpy(request->body, request->head + request->head_length, request->body_have);
    return 1;
}
