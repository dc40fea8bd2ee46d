/* service.h - the life of `atls proxy` and `atls serve`: listening, the line that says so, signals, an orderly end. */
#ifndef ATLS_TOOL_SERVICE_H
#define ATLS_TOOL_SERVICE_H

#include <signal.h>
#include <stdbool.h>

#include <atls.h>

#include "forward.h"
#include "options.h"

/* Lines for a command's table. */
#define OPTIONS_SERVICE                                                                                                                   \
    {0, "port-file", "FILE", OPTION_FILE, OPTION_RARE | OPTION_WRITTEN, "Listening", "Write the port to a file once it listens",                           \
     "For --listen with port 0, with which the system chooses one. The file appears whole."},                                             \
    {0, "drain", "SECONDS", OPTION_SECONDS, OPTION_RARE, "Listening", "How long a stop waits for requests (30)",                          \
     "SIGTERM or SIGINT stops listening and lets requests under way run to their end, this long. A second signal ends them."},            \
    {0, "max-connections", "COUNT", OPTION_COUNT, OPTION_RARE, "Limits", "Open connections of clients (10000)",                           \
     "Further ones are closed as they come."},                                                                                            \
    {0, "max-requests", "COUNT", OPTION_COUNT, OPTION_RARE, "Limits", "Requests at the target at a time (1000)",                          \
     "Further ones wait up to 30 seconds, and are then answered with 503."},                                                              \
    {'m', "max-time", "SECONDS", OPTION_SECONDS, 0, "Limits", "How long a response may take to begin (600)",                              \
     "Then the request is answered with 504. Its body may take as long as it wants."},                                                    \
    {'q', "quiet", NULL, OPTION_FLAG, 0, "General", "No line on stderr for each request",                                                 \
     "A line has the time, the method, the path without its query, the status, the bytes of the response's body and the milliseconds that " \
     "it took; after two spaces follows what went wrong, if anything did."}

/* Where to listen. */
struct listen_place {
    char host[256]; /* without brackets; "" for all addresses */
    uint16_t port;
};

/* HOST:PORT, [ADDRESS]:PORT, or :PORT for all addresses. Returns 0, or an exit code after a message. */
int listen_parse(const char *text, struct listen_place *place);

struct service {
    struct forward forward;
    atls_server *server;
    uint16_t port; /* that it listens on */
    const char *scheme; /* for the line that says where it listens */
    void (*reload)(struct service *service); /* for SIGHUP; NULL if it stops, as the end of the terminal */
    const struct arguments *args;
    volatile sig_atomic_t is_over;
};

/* Before any thread is started: keeps the signals for service_run(), and makes the runtime and the queue. From here on messages wait for no
 * reader. */
int service_prepare(struct service *service, const struct arguments *args);
/* The client, of this configuration and these limits; `max_age_ms` and `idle_ms` are those of connections, 0 for the defaults. */
int service_connect(struct service *service, const atls_config *config, uint32_t idle_ms, uint32_t max_age_ms);
/* Serves until a signal ends it. Returns an exit code. */
int service_run(struct service *service, atls_server_config *config, const struct listen_place *place);
void service_free(struct service *service);

#endif
