/* A static zone: what form-dns answers with. */
#ifndef ZONE_H
#define ZONE_H

#include <stddef.h>
#include <stdint.h>

enum { NAME_MAX_WIRE = 255, RECORDS_MAX = 4096, RDATA_MAX = 600 };
enum { TYPE_A = 1, TYPE_NS = 2, TYPE_CNAME = 5, TYPE_SOA = 6, TYPE_MX = 15, TYPE_TXT = 16, TYPE_AAAA = 28, TYPE_ANY = 255 };

struct name {
    uint8_t wire[NAME_MAX_WIRE]; /* labels in lower case, the root label last */
    size_t length;
};

struct record {
    struct name owner;
    uint16_t type;
    uint16_t rdata_length;
    uint8_t rdata[RDATA_MAX];
};

struct zone {
    struct name origin;
    uint32_t ttl;
    uint16_t port;
    char log[256];
    struct record *records;
    size_t count;
    const struct record *soa;
};

/* Reads the configuration file. Returns 0, or -1 after a message with file and line on stderr. */
int zone_read(struct zone *zone, const char *path);

/* Whether both names are the same. */
int name_equal(const struct name *one, const struct name *other);

/* Whether `name` is `origin` or below it. */
int name_below(const struct name *name, const struct name *origin);

#endif
