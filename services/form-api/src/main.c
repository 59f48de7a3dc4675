/* form-api: items over HTTP, kept on disk, until SIGTERM or SIGINT.
 *
 *     GET /health          200 when items can be written
 *     GET /items/KEY       the item
 *     PUT /items/KEY       stores the body: 201 when it is new, 204 when it was replaced
 *     DELETE /items/KEY    204
 */
#define _GNU_SOURCE
#include "items.h"
#include "request.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CLIENTS_MAX = 64, PATIENCE = 10, REPLY_HEAD_MAX = 256 };

/* A connection: one request comes in, one reply goes out. */
struct client {
    int socket; /* -1: free */
    time_t since;
    struct request request;
    char head[REPLY_HEAD_MAX];
    size_t head_length;
    char *body;
    size_t body_length, sent;
    int is_draining; /* the reply is out, and the peer may still be sending */
};

static volatile sig_atomic_t is_ending;
static FILE *log_file;

static void end(int signal_number)
{
    (void)signal_number;
    is_ending = 1;
}

static const char *now_text(char text[32])
{
    time_t now = time(NULL);
    struct tm broken;

    gmtime_r(&now, &broken);
    strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &broken);
    return text;
}

static time_t seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static const char *reason(int status)
{
    switch (status) {
    case 100: return "Continue";
    case 200: return "OK";
    case 201: return "Created";
    case 204: return "No Content";
    case 400: return "Bad Request";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 411: return "Length Required";
    case 413: return "Content Too Large";
    case 431: return "Request Header Fields Too Large";
    case 505: return "HTTP Version Not Supported";
    case 507: return "Insufficient Storage";
    default: return "Service Unavailable";
    }
}

/* Prepares the reply; without a `body` of its own it says the reason. */
static void reply(struct client *client, int status, char *body, size_t length)
{
    char when[32];
    /* Only what request_parse has cut into words, and no control characters, goes to the log. */
    const char *method = client->request.target != NULL ? client->request.method : "-";
    const char *target = client->request.target != NULL ? client->request.target : "-";
    int shown = 0;

    while (target[shown] > ' ' && target[shown] < 127 && shown < 200)
        shown++;
    fprintf(log_file, "%s %d %.16s %.*s\n", now_text(when), status, method, shown, target);
    if (body == NULL && status != 204) {
        body = malloc(64);
        length = body == NULL ? 0 : (size_t)snprintf(body, 64, "%s\n", reason(status));
    }
    client->body = body;
    client->body_length = length;
    char content_length[48] = "";
    if (status != 204)
        snprintf(content_length, sizeof content_length, "Content-Length: %zu\r\n", length);
    client->head_length = (size_t)snprintf(client->head, sizeof client->head,
                                           "HTTP/1.1 %d %s\r\n%sContent-Type: %s\r\nConnection: close\r\n\r\n", status,
                                           reason(status), content_length,
                                           status == 200 ? "application/octet-stream" : "text/plain");
    client->since = seconds();
}

static void reply_to_error(struct client *client)
{
    if (errno == ENOENT)
        reply(client, 404, NULL, 0);
    else
        reply(client, errno == ENOSPC || errno == EDQUOT ? 507 : 503, NULL, 0);
}

static void handle_item(struct client *client, const char *key)
{
    const struct request *request = &client->request;
    size_t length;

    if (!items_is_key(key)) {
        reply(client, 404, NULL, 0);
    } else if (strcmp(request->method, "GET") == 0) {
        char *body = items_read(key, &length);
        if (body == NULL)
            reply_to_error(client);
        else
            reply(client, 200, body, length);
    } else if (strcmp(request->method, "PUT") == 0) {
        int is_new = items_write(key, request->body, request->body_length);
        if (is_new < 0)
            reply_to_error(client);
        else
            reply(client, is_new ? 201 : 204, NULL, 0);
    } else if (strcmp(request->method, "DELETE") == 0) {
        if (items_remove(key) != 0)
            reply_to_error(client);
        else
            reply(client, 204, NULL, 0);
    } else {
        reply(client, 405, NULL, 0);
    }
}

static void handle(struct client *client)
{
    const char *target = client->request.target;

    if (strncmp(target, "/items/", 7) == 0)
        handle_item(client, target + 7);
    else if (strcmp(target, "/health") != 0)
        reply(client, 404, NULL, 0);
    else if (strcmp(client->request.method, "GET") != 0)
        reply(client, 405, NULL, 0);
    else
        reply(client, items_are_writable() ? 200 : 503, NULL, 0);
}

static void drop(struct client *client)
{
    close(client->socket);
    free(client->request.body);
    free(client->body);
    client->socket = -1;
    client->request.body = client->body = NULL;
}

static void receive(struct client *client)
{
    struct request *request = &client->request;
    int in_body = request->head_length > 0;
    char *to = in_body ? request->body + request->body_have : request->head + request->have;
    size_t room = in_body ? request->body_length - request->body_have : HEAD_MAX - request->have;
    ssize_t got = recv(client->socket, to, room, 0);

    if (got <= 0) {
        if (got == 0 || (errno != EAGAIN && errno != EINTR))
            drop(client);
        return;
    }
    if (in_body) {
        request->body_have += (size_t)got;
    } else {
        request->have += (size_t)got;
        int status = request_parse(request, ITEM_MAX);
        if (status == 0)
            return;
        if (status != 1) {
            reply(client, status, NULL, 0);
            return;
        }
        if (request->expects_continue && request->body_have < request->body_length)
            send(client->socket, "HTTP/1.1 100 Continue\r\n\r\n", 25, MSG_NOSIGNAL);
    }
    if (request->body_have == request->body_length)
        handle(client);
}

static void send_reply(struct client *client)
{
    int in_body = client->sent >= client->head_length;
    const char *from = in_body ? client->body + (client->sent - client->head_length) : client->head + client->sent;
    size_t left = client->head_length + (in_body ? client->body_length : 0) - client->sent;
    ssize_t sent = send(client->socket, from, left, MSG_NOSIGNAL | (!in_body && client->body_length ? MSG_MORE : 0));

    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR)
            drop(client);
        return;
    }
    client->sent += (size_t)sent;
    if (client->sent == client->head_length + client->body_length) {
        /* Closing with unread bytes would reset the connection, and the peer might lose the reply. */
        shutdown(client->socket, SHUT_WR);
        client->is_draining = 1;
    }
}

static void drain(struct client *client)
{
    char nowhere[16384];
    ssize_t got = recv(client->socket, nowhere, sizeof nowhere, 0);

    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        drop(client);
}

static void accept_client(int listener, struct client *clients)
{
    int socket = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct client *chosen = &clients[0];

    if (socket < 0)
        return;
    for (int i = 0; i < CLIENTS_MAX; i++) {
        if (clients[i].socket < 0) {
            chosen = &clients[i];
            break;
        }
        if (clients[i].since < chosen->since)
            chosen = &clients[i];
    }
    /* The one that waits longest makes room: nobody can keep others out by connecting. */
    if (chosen->socket >= 0)
        drop(chosen);
    memset(chosen, 0, sizeof *chosen);
    chosen->socket = socket;
    chosen->since = seconds();
}

static void serve(int listener, struct client *clients, const sigset_t *unblocked)
{
    struct pollfd waiting[1 + CLIENTS_MAX];
    const struct timespec second = {.tv_sec = 1};

    while (!is_ending) {
        time_t now = seconds();
        waiting[0] = (struct pollfd){.fd = listener, .events = POLLIN};
        for (int i = 0; i < CLIENTS_MAX; i++) {
            struct client *client = &clients[i];
            if (client->socket >= 0 && now - client->since > PATIENCE)
                drop(client);
            int is_sending = client->head_length > 0 && !client->is_draining;
            /* A negative descriptor is passed over. */
            waiting[1 + i] = (struct pollfd){.fd = client->socket, .events = is_sending ? POLLOUT : POLLIN};
        }
        fflush(log_file);
        /* Signals come only here, so that none is missed between the test and the wait. */
        if (ppoll(waiting, 1 + CLIENTS_MAX, &second, unblocked) <= 0)
            continue;
        for (int i = 0; i < CLIENTS_MAX; i++) {
            struct client *client = &clients[i];
            if (client->socket < 0 || waiting[1 + i].revents == 0)
                continue;
            if (client->is_draining)
                drain(client);
            else if (client->head_length > 0)
                send_reply(client);
            else
                receive(client);
        }
        if (waiting[0].revents != 0)
            accept_client(listener, clients);
    }
}

/* A listening socket for IPv6 and IPv4, or for IPv4 alone where there is no IPv6; -1 with errno otherwise. */
static int listening(uint16_t port)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_ANY_INIT};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_ANY)};
    int on = 1, off = 0, is_six = 1, is_bound;
    int listener = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    for (;;) {
        if (listener >= 0) {
            setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
            if (is_six)
                setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
            is_bound = is_six ? bind(listener, (struct sockaddr *)&six, sizeof six)
                              : bind(listener, (struct sockaddr *)&four, sizeof four);
            if (is_bound == 0 && listen(listener, 128) == 0)
                return listener;
            int why = errno;
            close(listener);
            errno = why;
        }
        if (!is_six || (errno != EADDRNOTAVAIL && errno != EAFNOSUPPORT))
            return -1;
        is_six = 0;
        listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    }
}

static void catch_signals(sigset_t *unblocked)
{
    struct sigaction action = {.sa_handler = end};
    sigset_t blocked;

    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGINT);
    sigprocmask(SIG_BLOCK, &blocked, unblocked);
    sigdelset(unblocked, SIGTERM);
    sigdelset(unblocked, SIGINT);
}

int main(int argc, char **argv)
{
    static struct client clients[CLIENTS_MAX];
    sigset_t unblocked;
    char when[32];
    char *end_of_port = NULL;
    unsigned long port = argc == 4 ? strtoul(argv[1], &end_of_port, 10) : 0;

    if (argc != 4 || port == 0 || port > 65535 || *end_of_port != '\0') {
        fprintf(stderr, "usage: form-api PORT DIRECTORY LOG\n");
        return 2;
    }
    catch_signals(&unblocked);
    if (items_open(argv[2]) != 0) {
        fprintf(stderr, "form-api: %s: %s\n", argv[2], strerror(errno));
        return 1;
    }
    log_file = fopen(argv[3], "ae");
    if (log_file == NULL) {
        fprintf(stderr, "form-api: %s: %s; the log goes here\n", argv[3], strerror(errno));
        log_file = stderr;
    }
    int listener = listening((uint16_t)port);
    if (listener < 0) {
        fprintf(stderr, "form-api: port %lu: %s\n", port, strerror(errno));
        return 1;
    }
    for (int i = 0; i < CLIENTS_MAX; i++)
        clients[i].socket = -1;
    fprintf(log_file, "%s serves port %lu\n", now_text(when), port);
    serve(listener, clients, &unblocked);
    fprintf(log_file, "%s ends\n", now_text(when));
    fclose(log_file);
    return 0;
}
