/* RFC 1035, section 4; RFC 6891 for EDNS; RFC 2308 for answers of "no". */
#define _POSIX_C_SOURCE 200809L
#include "answer.h"

#include <ctype.h>
#include <string.h>

enum { HEADER = 12, CLASS_IN = 1, CLASS_ANY = 255, TYPE_OPT = 41, CHAIN_MAX = 8 };
enum { NOERROR = 0, FORMERR = 1, SERVFAIL = 2, NXDOMAIN = 3, NOTIMP = 4, REFUSED = 5, BADVERS = 16 };

struct question {
    struct name name;
    uint16_t type;
    uint16_t class;
    size_t end; /* in the query */
    int has_opt;
    unsigned version;
    size_t size; /* of an answer over UDP */
};

struct writer {
    uint8_t *bytes;
    size_t length;
    size_t limit;
    int is_full;
};

static uint16_t get16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static void put(struct writer *writer, const void *bytes, size_t length)
{
    if (writer->is_full || length > writer->limit - writer->length) {
        writer->is_full = 1;
        return;
    }
    memcpy(writer->bytes + writer->length, bytes, length);
    writer->length += length;
}

static void put16(struct writer *writer, unsigned value)
{
    uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};
    put(writer, bytes, sizeof bytes);
}

/* Reads the one question, and the OPT record when it is what follows. Returns 0, or -1 when it is malformed. */
static int question_parse(struct question *question, const uint8_t *query, size_t length)
{
    size_t at = HEADER;

    memset(question, 0, sizeof *question);
    for (;;) {
        /* A question cannot point backwards, because nothing stands before it. */
        if (at >= length || query[at] > 63)
            return -1;
        size_t label = query[at];
        if (at + label + 1 > length || question->name.length + label + 1 > NAME_MAX_WIRE)
            return -1;
        for (size_t i = 0; i <= label; i++)
            question->name.wire[question->name.length++] = (uint8_t)(i ? tolower(query[at + i]) : query[at]);
        at += label + 1;
        if (label == 0)
            break;
    }
    if (at + 4 > length)
        return -1;
    question->type = get16(query + at);
    question->class = get16(query + at + 2);
    question->end = at += 4;
    question->size = 512;
    if (get16(query + 6) == 0 && get16(query + 8) == 0 && get16(query + 10) > 0) {
        if (at + 11 > length)
            return -1;
        if (query[at] == 0 && get16(query + at + 1) == TYPE_OPT) {
            size_t size = get16(query + at + 3);
            question->has_opt = 1;
            question->version = query[at + 6];
            question->size = size < 512 ? 512 : size > UDP_MAX ? UDP_MAX : size;
        }
    }
    return 0;
}

static void put_record(struct writer *writer, const struct zone *zone, const struct record *record,
                       const struct question *question)
{
    uint8_t ttl[4] = {(uint8_t)(zone->ttl >> 24), (uint8_t)(zone->ttl >> 16), (uint8_t)(zone->ttl >> 8),
                      (uint8_t)zone->ttl};

    if (name_equal(&record->owner, &question->name))
        put16(writer, 0xc000 | HEADER);
    else
        put(writer, record->owner.wire, record->owner.length);
    put16(writer, record->type);
    put16(writer, CLASS_IN);
    put(writer, ttl, sizeof ttl);
    put16(writer, record->rdata_length);
    put(writer, record->rdata, record->rdata_length);
}

/* Writes the records of `name` and of what it is another name for. Returns the rcode. */
static unsigned put_answers(struct writer *writer, const struct zone *zone, const struct question *question,
                            unsigned *count)
{
    struct name name = question->name;

    for (int depth = 0; depth < CHAIN_MAX; depth++) {
        const struct record *alias = NULL;
        unsigned before = *count;
        int exists = 0;

        for (size_t i = 0; i < zone->count; i++) {
            const struct record *record = &zone->records[i];
            if (!name_equal(&record->owner, &name)) {
                exists |= name_below(&record->owner, &name);
                continue;
            }
            exists = 1;
            /* ANY is answered with one record, as RFC 8482 allows: all of them serve amplification only. */
            if (record->type == question->type || (question->type == TYPE_ANY && *count == before)) {
                put_record(writer, zone, record, question);
                ++*count;
            } else if (record->type == TYPE_CNAME) {
                alias = record;
            }
        }
        if (*count > before || !exists || alias == NULL)
            return exists ? NOERROR : NXDOMAIN;
        put_record(writer, zone, alias, question);
        ++*count;
        memcpy(name.wire, alias->rdata, alias->rdata_length);
        name.length = alias->rdata_length;
        if (!name_below(&name, &zone->origin))
            return NOERROR;
    }
    return SERVFAIL;
}

static void put_opt(struct writer *writer, unsigned rcode)
{
    uint8_t opt[11] = {0, 0, TYPE_OPT, UDP_MAX >> 8, UDP_MAX & 255, (uint8_t)(rcode >> 4), 0, 0, 0, 0, 0};
    put(writer, opt, sizeof opt);
}

/* Writes everything after the question. Returns the rcode. */
static unsigned put_body(struct writer *writer, const struct zone *zone, const struct question *question,
                         unsigned *answers, unsigned *authorities)
{
    if (question->has_opt && question->version != 0)
        return BADVERS;
    if ((question->class != CLASS_IN && question->class != CLASS_ANY) || !name_below(&question->name, &zone->origin))
        return REFUSED;
    unsigned rcode = put_answers(writer, zone, question, answers);
    if (*answers == 0 && rcode != SERVFAIL) {
        put_record(writer, zone, zone->soa, question);
        *authorities = 1;
    }
    return rcode;
}

size_t answer(const struct zone *zone, const uint8_t *query, size_t length, uint8_t *reply, int is_udp)
{
    struct question question;
    unsigned rcode, answers = 0, authorities = 0, flags, is_cut = 0;

    /* Answering an answer would start an endless conversation. */
    if (length < HEADER || query[2] & 0x80)
        return 0;
    unsigned opcode = query[2] >> 3 & 15;
    int has_question = get16(query + 4) == 1 && question_parse(&question, query, length) == 0;
    struct writer writer = {.bytes = reply, .length = HEADER, .limit = ANSWER_MAX};
    if (opcode != 0 || !has_question) {
        rcode = opcode != 0 ? NOTIMP : FORMERR;
        question.has_opt = 0;
        has_question = 0;
    } else {
        put(&writer, query + HEADER, question.end - HEADER);
        /* The OPT record must have room at the end. */
        writer.limit = (is_udp ? question.size : ANSWER_MAX) - (question.has_opt ? 11 : 0);
        rcode = put_body(&writer, zone, &question, &answers, &authorities);
        if (writer.is_full) {
            is_cut = 1;
            answers = authorities = 0;
            writer.length = question.end;
            writer.is_full = 0;
        }
        writer.limit = ANSWER_MAX;
        if (question.has_opt)
            put_opt(&writer, rcode);
    }
    int is_ours = rcode == NOERROR || rcode == NXDOMAIN;
    /* QR, the opcode, AA, TC, and RD as it came. */
    flags = 0x8000u | opcode << 11 | (is_ours ? 0x0400u : 0) | (is_cut ? 0x0200u : 0) | (query[2] & 1u) << 8 | (rcode & 15);
    struct writer header = {.bytes = reply, .limit = HEADER};
    put(&header, query, 2);
    put16(&header, flags);
    put16(&header, has_question ? 1 : 0);
    put16(&header, answers);
    put16(&header, authorities);
    put16(&header, question.has_opt ? 1 : 0);
    return writer.length;
}
