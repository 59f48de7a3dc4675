/* The configuration file: one directive or record a line.
 *
 *     origin example.com.          the zone; first
 *     ttl 300                      seconds, of all records
 *     port 53
 *     log /var/log/formation/dns.log
 *     @    SOA ns1 hostmaster 1    primary server, mailbox, serial
 *     www  A   192.0.2.10          A, AAAA, NS, CNAME, MX, TXT
 *
 * Names without a dot at the end are below the origin; @ is the origin itself. # begins a comment.
 */
#define _POSIX_C_SOURCE 200809L
#include "zone.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = 1024, WORDS_MAX = 8 };

int name_equal(const struct name *one, const struct name *other)
{
    return one->length == other->length && memcmp(one->wire, other->wire, one->length) == 0;
}

int name_below(const struct name *name, const struct name *origin)
{
    for (size_t at = 0; at < name->length; at += name->wire[at] + 1u) {
        if (name->length - at == origin->length)
            return memcmp(name->wire + at, origin->wire, origin->length) == 0;
        if (name->wire[at] == 0)
            break;
    }
    return 0;
}

/* The wire form of `text`. Returns 0, or -1 when it is no name. */
static int name_parse(struct name *name, const char *text, const struct name *origin)
{
    size_t length = 0;

    if (strcmp(text, "@") == 0) {
        *name = *origin;
        return origin->length ? 0 : -1;
    }
    while (*text != '\0' && strcmp(text, ".") != 0) {
        size_t label = strcspn(text, ".");
        if (label == 0 || label > 63 || length + label + 2 > NAME_MAX_WIRE)
            return -1;
        name->wire[length++] = (uint8_t)label;
        for (size_t i = 0; i < label; i++)
            name->wire[length++] = (uint8_t)tolower((unsigned char)text[i]);
        text += label;
        if (*text == '.' && text[1] != '\0')
            text++;
    }
    if (*text == '.') {
        name->wire[length++] = 0;
    } else {
        if (origin->length == 0 || length + origin->length > NAME_MAX_WIRE)
            return -1;
        memcpy(name->wire + length, origin->wire, origin->length);
        length += origin->length;
    }
    name->length = length;
    return 0;
}

/* A decimal number up to `most`. Returns 0, or -1 when it is none. */
static int number_parse(uint32_t *number, const char *text, unsigned long most)
{
    char *end;

    if (!isdigit((unsigned char)*text))
        return -1;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno != 0 || *end != '\0' || value > most)
        return -1;
    *number = (uint32_t)value;
    return 0;
}

static void put32(struct record *record, uint32_t value)
{
    uint32_t wire = htonl(value);
    memcpy(record->rdata + record->rdata_length, &wire, sizeof wire);
    record->rdata_length += sizeof wire;
}

static int put_name(struct record *record, const char *text, const struct name *origin)
{
    struct name name;

    if (name_parse(&name, text, origin) != 0)
        return -1;
    memcpy(record->rdata + record->rdata_length, name.wire, name.length);
    record->rdata_length = (uint16_t)(record->rdata_length + name.length);
    return 0;
}

/* Fills in type and rdata from the words after the owner. Returns NULL, or what is wrong. */
static const char *rdata_parse(struct record *record, char **words, size_t count, const struct name *origin)
{
    uint32_t number;

    record->rdata_length = 0;
    if (strcmp(words[0], "A") == 0 && count == 2) {
        record->type = TYPE_A;
        record->rdata_length = 4;
        return inet_pton(AF_INET, words[1], record->rdata) == 1 ? NULL : "that is no IPv4 address";
    }
    if (strcmp(words[0], "AAAA") == 0 && count == 2) {
        record->type = TYPE_AAAA;
        record->rdata_length = 16;
        return inet_pton(AF_INET6, words[1], record->rdata) == 1 ? NULL : "that is no IPv6 address";
    }
    if ((strcmp(words[0], "NS") == 0 || strcmp(words[0], "CNAME") == 0) && count == 2) {
        record->type = words[0][0] == 'N' ? TYPE_NS : TYPE_CNAME;
        return put_name(record, words[1], origin) == 0 ? NULL : "that is no name";
    }
    if (strcmp(words[0], "MX") == 0 && count == 3) {
        record->type = TYPE_MX;
        if (number_parse(&number, words[1], 65535) != 0)
            return "the preference is not a number from 0 to 65535";
        record->rdata[0] = (uint8_t)(number >> 8);
        record->rdata[1] = (uint8_t)number;
        record->rdata_length = 2;
        return put_name(record, words[2], origin) == 0 ? NULL : "that is no name";
    }
    if (strcmp(words[0], "TXT") == 0 && count == 2) {
        size_t length = strlen(words[1]);
        if (length > 255)
            return "the text is longer than 255 bytes";
        record->type = TYPE_TXT;
        record->rdata[0] = (uint8_t)length;
        memcpy(record->rdata + 1, words[1], length);
        record->rdata_length = (uint16_t)(length + 1);
        return NULL;
    }
    if (strcmp(words[0], "SOA") == 0 && count == 4) {
        record->type = TYPE_SOA;
        if (put_name(record, words[1], origin) != 0 || put_name(record, words[2], origin) != 0)
            return "that is no name";
        if (number_parse(&number, words[3], UINT32_MAX) != 0)
            return "the serial is not a number";
        put32(record, number);
        /* Refresh, retry, expire, and how long an answer of "no" is kept: RFC 1912, 2.2. */
        put32(record, 7200);
        put32(record, 900);
        put32(record, 1209600);
        put32(record, 300);
        return NULL;
    }
    return "not a record: NAME A|AAAA|NS|CNAME|TXT VALUE, NAME MX NUMBER NAME, or NAME SOA NAME NAME SERIAL";
}

static const char *record_add(struct zone *zone, char **words, size_t count)
{
    if (count < 2)
        return "neither a directive nor a record";
    if (zone->origin.length == 0)
        return "`origin NAME.` comes before the first record";
    if (zone->count == RECORDS_MAX)
        return "too many records";
    struct record *record = &zone->records[zone->count];
    if (name_parse(&record->owner, words[0], &zone->origin) != 0 || !name_below(&record->owner, &zone->origin))
        return "the name is not in the zone";
    const char *wrong = rdata_parse(record, words + 1, count - 1, &zone->origin);
    if (wrong != NULL)
        return wrong;
    if (record->type == TYPE_SOA) {
        if (zone->soa != NULL || !name_equal(&record->owner, &zone->origin))
            return "a zone has one SOA, of @";
        zone->soa = record;
    }
    for (size_t i = 0; i < zone->count; i++)
        if (name_equal(&zone->records[i].owner, &record->owner)
            && (zone->records[i].type == TYPE_CNAME || record->type == TYPE_CNAME))
            return "a name with a CNAME has no other record";
    zone->count++;
    return NULL;
}

static const char *line_read(struct zone *zone, char **words, size_t count)
{
    uint32_t number;

    if (strcmp(words[0], "origin") == 0 && count == 2) {
        struct name none = {.length = 0};
        if (zone->origin.length != 0)
            return "the origin is there already";
        return name_parse(&zone->origin, words[1], &none) == 0 ? NULL : "the origin is not a name with a dot at its end";
    }
    if (strcmp(words[0], "ttl") == 0 && count == 2)
        return number_parse(&zone->ttl, words[1], INT32_MAX) == 0 ? NULL : "the ttl is not a number of seconds";
    if (strcmp(words[0], "port") == 0 && count == 2) {
        if (number_parse(&number, words[1], 65535) != 0 || number == 0)
            return "the port is not from 1 to 65535";
        zone->port = (uint16_t)number;
        return NULL;
    }
    if (strcmp(words[0], "log") == 0 && count == 2) {
        if (snprintf(zone->log, sizeof zone->log, "%s", words[1]) >= (int)sizeof zone->log)
            return "the path is too long";
        return NULL;
    }
    return record_add(zone, words, count);
}

/* Splits `line` at blanks; "quotes" keep blanks. Returns the number of words, or -1. */
static int split(char *line, char **words)
{
    int count = 0;

    for (char *at = line; *at != '\0';) {
        at += strspn(at, " \t\r\n");
        if (*at == '\0' || *at == '#')
            break;
        if (count == WORDS_MAX)
            return -1;
        int quoted = *at == '"';
        words[count++] = at += quoted;
        at += strcspn(at, quoted ? "\"" : " \t\r\n");
        if (*at == '\0')
            return quoted ? -1 : count;
        *at++ = '\0';
    }
    return count;
}

int zone_read(struct zone *zone, const char *path)
{
    char line[LINE_MAX_BYTES], *words[WORDS_MAX];
    const char *wrong = NULL;
    int number = 0;
    FILE *file = fopen(path, "re");

    memset(zone, 0, sizeof *zone);
    zone->ttl = 300;
    zone->port = 53;
    zone->records = calloc(RECORDS_MAX, sizeof *zone->records);
    if (file == NULL || zone->records == NULL) {
        fprintf(stderr, "form-dns: %s: %s\n", path, strerror(errno));
        if (file != NULL)
            fclose(file);
        return -1;
    }
    while (wrong == NULL && fgets(line, sizeof line, file) != NULL) {
        number++;
        int count = strchr(line, '\n') == NULL && !feof(file) ? -1 : split(line, words);
        if (count < 0)
            wrong = "the line is too long, or a quote has no end";
        else if (count > 0)
            wrong = line_read(zone, words, (size_t)count);
    }
    if (wrong == NULL && ferror(file))
        wrong = "cannot be read";
    if (wrong == NULL && zone->soa == NULL)
        wrong = "the zone has no SOA";
    fclose(file);
    if (wrong != NULL) {
        fprintf(stderr, "form-dns: %s:%d: %s\n", path, number, wrong);
        return -1;
    }
    return 0;
}
