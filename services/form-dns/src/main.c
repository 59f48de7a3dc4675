/* form-dns: answers for a static zone over UDP and TCP, until SIGTERM or SIGINT. */
#define _GNU_SOURCE
#include "answer.h"
#include "zone.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CLIENTS_MAX = 64, PATIENCE = 5 };

/* A TCP connection: first two bytes of length and a query come in, then the answer goes out, and so on. */
struct client {
    int socket; /* -1: free */
    time_t since;
    size_t received, sent, to_send;
    uint8_t in[2 + QUERY_MAX];
    uint8_t out[2 + ANSWER_MAX];
};

static volatile sig_atomic_t is_ending;
static FILE *log_file;

static void end(int signal_number)
{
    (void)signal_number;
    is_ending = 1;
}

static void __attribute__((format(printf, 1, 2))) log_line(const char *format, ...)
{
    char when[32];
    time_t now = time(NULL);
    struct tm broken;
    va_list arguments;

    gmtime_r(&now, &broken);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &broken);
    fprintf(log_file, "%s ", when);
    va_start(arguments, format);
    vfprintf(log_file, format, arguments);
    va_end(arguments);
    fputc('\n', log_file);
    fflush(log_file);
}

static time_t seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

/* A bound socket for IPv6 and IPv4, or for IPv4 alone where there is no IPv6; -1 with errno otherwise. */
static int bound(int type, uint16_t port)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_ANY_INIT};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_ANY)};
    int on = 1, off = 0;

    type |= SOCK_NONBLOCK | SOCK_CLOEXEC;
    int listener = socket(AF_INET6, type, 0);
    if (listener >= 0) {
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
        if (bind(listener, (struct sockaddr *)&six, sizeof six) == 0)
            return listener;
        int reason = errno;
        close(listener);
        if (reason != EADDRNOTAVAIL && reason != EAFNOSUPPORT) {
            errno = reason;
            return -1;
        }
    }
    listener = socket(AF_INET, type, 0);
    if (listener < 0)
        return -1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&four, sizeof four) == 0)
        return listener;
    int reason = errno;
    close(listener);
    errno = reason;
    return -1;
}

static void serve_udp(const struct zone *zone, int udp)
{
    uint8_t query[QUERY_MAX], reply[ANSWER_MAX];
    struct sockaddr_storage peer;

    /* A limited number at a time, so that TCP has its turn. */
    for (int turn = 0; turn < 64; turn++) {
        socklen_t peer_length = sizeof peer;
        ssize_t got = recvfrom(udp, query, sizeof query, 0, (struct sockaddr *)&peer, &peer_length);
        if (got < 0)
            return;
        size_t length = answer(zone, query, (size_t)got, reply, 1);
        if (length > 0)
            sendto(udp, reply, length, 0, (struct sockaddr *)&peer, peer_length);
    }
}

static void drop(struct client *client)
{
    close(client->socket);
    client->socket = -1;
}

static void accept_client(int tcp, struct client *clients)
{
    int socket = accept4(tcp, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
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

/* Goes on with a connection as far as that does not wait. */
static void serve_client(const struct zone *zone, struct client *client)
{
    if (client->to_send > 0) {
        ssize_t sent = send(client->socket, client->out + client->sent, client->to_send - client->sent, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            drop(client);
            return;
        }
        client->sent += sent > 0 ? (size_t)sent : 0;
        if (client->sent < client->to_send)
            return;
        client->to_send = client->sent = client->received = 0;
        client->since = seconds();
        return;
    }
    /* Never more than the query that has begun: what follows stays in the kernel. */
    size_t wanted = client->received < 2 ? 2 : 2 + (size_t)(client->in[0] << 8 | client->in[1]);
    if (wanted > sizeof client->in) {
        drop(client);
        return;
    }
    ssize_t got = recv(client->socket, client->in + client->received, wanted - client->received, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
        drop(client);
        return;
    }
    client->received += got > 0 ? (size_t)got : 0;
    if (client->received < 2 || client->received < 2 + (size_t)(client->in[0] << 8 | client->in[1]))
        return;
    size_t length = answer(zone, client->in + 2, client->received - 2, client->out + 2, 0);
    if (length == 0) {
        drop(client);
        return;
    }
    client->out[0] = (uint8_t)(length >> 8);
    client->out[1] = (uint8_t)length;
    client->to_send = length + 2;
}

static void serve(const struct zone *zone, int udp, int tcp, struct client *clients, const sigset_t *unblocked)
{
    struct pollfd waiting[2 + CLIENTS_MAX];
    const struct timespec second = {.tv_sec = 1};

    while (!is_ending) {
        time_t now = seconds();
        waiting[0] = (struct pollfd){.fd = udp, .events = POLLIN};
        waiting[1] = (struct pollfd){.fd = tcp, .events = POLLIN};
        for (int i = 0; i < CLIENTS_MAX; i++) {
            if (clients[i].socket >= 0 && now - clients[i].since > PATIENCE)
                drop(&clients[i]);
            /* A negative descriptor is passed over. */
            waiting[2 + i] =
                (struct pollfd){.fd = clients[i].socket, .events = clients[i].to_send > 0 ? POLLOUT : POLLIN};
        }
        /* Signals come only here, so that none is missed between the test and the wait. */
        if (ppoll(waiting, 2 + CLIENTS_MAX, &second, unblocked) <= 0)
            continue;
        for (int i = 0; i < CLIENTS_MAX; i++)
            if (clients[i].socket >= 0 && waiting[2 + i].revents != 0)
                serve_client(zone, &clients[i]);
        if (waiting[0].revents != 0)
            serve_udp(zone, udp);
        if (waiting[1].revents != 0)
            accept_client(tcp, clients);
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
    int only_check = argc == 3 && strcmp(argv[1], "--check") == 0;
    static struct client clients[CLIENTS_MAX];
    struct zone zone;
    sigset_t unblocked;

    if (argc != 2 && !only_check) {
        fprintf(stderr, "usage: form-dns [--check] FILE\n");
        return 2;
    }
    if (zone_read(&zone, argv[argc - 1]) != 0)
        return 2;
    if (only_check)
        return 0;
    catch_signals(&unblocked);
    log_file = zone.log[0] != '\0' ? fopen(zone.log, "ae") : NULL;
    if (log_file == NULL) {
        if (zone.log[0] != '\0')
            fprintf(stderr, "form-dns: %s: %s; the log goes here\n", zone.log, strerror(errno));
        log_file = stderr;
    }
    int udp = bound(SOCK_DGRAM, zone.port), tcp = bound(SOCK_STREAM, zone.port);
    if (udp < 0 || tcp < 0 || listen(tcp, 64) != 0) {
        fprintf(stderr, "form-dns: port %u: %s\n", zone.port, strerror(errno));
        return 1;
    }
    for (int i = 0; i < CLIENTS_MAX; i++)
        clients[i].socket = -1;
    log_line("serves %zu records on port %u", zone.count, zone.port);
    serve(&zone, udp, tcp, clients, &unblocked);
    log_line("ends");
    free(zone.records);
    return 0;
}
