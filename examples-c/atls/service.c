/* service.c - the life of a server of the tool. */
#include "service.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "failure.h"
#include "files.h"
#include "service_log.h"
#include "url.h"

/* Tells the main thread that the server has ended. */
#define SIGNAL_OVER SIGUSR2

int listen_parse(const char *text, struct listen_place *place)
{
    char port[8] = "";
    const char *rest = url_part(text, place->host, sizeof place->host);
    if (rest && rest > text && rest[-1] == ':')
        rest = url_part(rest, port, sizeof port);
    else
        rest = NULL;
    place->port = url_port(port);
    if (!rest || *rest || (place->port == 0 && strcmp(port, "0") != 0))
        return fail(CODE_CALL, "--listen: '%s' is not HOST:PORT", url_shown(text));
    return 0;
}

/* Those that service_run() waits for. What the program was started to ignore, as by nohup, stays ignored. */
static void waited_signals(sigset_t *set)
{
    const int all[] = {SIGINT, SIGTERM, SIGHUP, SIGNAL_OVER};
    sigemptyset(set);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct sigaction action;
        if (sigaction(all[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            sigaddset(set, all[i]);
    }
}

/* Each request needs two descriptors. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int service_prepare(struct service *service, const struct arguments *args)
{
    sigset_t set;
    atls_error *error = NULL;
    service->args = args;
    service->forward.logs = !option_given(args, "quiet");
    service->forward.head_ms = option_milliseconds(args, "max-time", 600000);
    raise_descriptor_limit();
    signal(SIGNAL_OVER, SIG_DFL); /* not ignored */
    waited_signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL); /* threads inherit it */
    int code = service_log_start();
    if (code != 0)
        return code;
    atls_status status = atls_runtime_new(0, &service->forward.runtime, &error);
    if (status == ATLS_OK)
        status = atls_queue_new_inline(&service->forward.queue, &error);
    return status == ATLS_OK ? 0 : fail_status(status, error, NULL);
}

static atls_status make_client(struct service *service, const atls_config *config, const atls_client_limits *limits, atls_error **error)
{
    return atls_client_new(service->forward.runtime, config, limits, &service->forward.client, error);
}

int service_connect(struct service *service, const atls_config *config, uint32_t idle_ms, uint32_t max_age_ms)
{
    atls_error *error = NULL;
    atls_client_limits *limits = NULL;
    uint64_t most = option_number(service->args, "max-requests", 1000);
    uint32_t requests = most < UINT32_MAX ? (uint32_t)most : UINT32_MAX;
    atls_status status = atls_client_limits_new(&limits, &error);
    if (status == ATLS_OK)
        status = atls_client_limits_set_requests(limits, requests, &error);
    if (status == ATLS_OK)
        status = atls_client_limits_set_times(limits, idle_ms, max_age_ms, &error);
    if (status == ATLS_OK)
        status = make_client(service, config, limits, &error);
    atls_client_limits_free(limits);
    return status == ATLS_OK ? 0 : fail_status(status, error, NULL);
}

static void on_server(void *user_data, const atls_event *event)
{
    struct service *service = user_data;
    if (event->kind == ATLS_EVENT_REQUEST)
        forward_request(&service->forward, event->source);
    else if (event->kind == ATLS_EVENT_REFUSED)
        forward_refused(&service->forward, event->error);
}

/* After the server's CLOSED. */
static void on_over(void *user_data)
{
    struct service *service = user_data;
    service->is_over = 1;
    kill(getpid(), SIGNAL_OVER); /* blocked in every thread, so it waits for the main one */
}

static int say_port(const struct service *service)
{
    char text[16];
    const char *path = option_text(service->args, "port-file");
    int len = snprintf(text, sizeof text, "%u\n", service->port);
    return path ? file_save(path, text, (size_t)len) : 0;
}

static int start(struct service *service, atls_server_config *config, const struct listen_place *place)
{
    atls_error *error = NULL;
    uint64_t connections = option_number(service->args, "max-connections", 10000);
    atls_sink sink = {.queue = service->forward.queue, .call = on_server, .user_data = service, .drop = on_over};
    atls_status status = atls_server_config_set_limit(config, ATLS_SERVER_LIMIT_CONNECTIONS, connections, &error);
    if (status == ATLS_OK)
        status = atls_server_start(service->forward.runtime, config, &sink, &service->server, &error);
    if (status != ATLS_OK)
        return fail_status(status, error, NULL);
    const char *host = *place->host ? place->host : NULL;
    status = atls_server_listen(service->server, host, place->port, false, &service->port, &error);
    if (status != ATLS_OK)
        return fail_status(status, error, "--listen");
    int code = say_port(service);
    if (code != 0)
        return code;
    bool is_v6 = strchr(place->host, ':') != NULL;
    printf("listening on %s://%s%s%s:%u for %s\n", service->scheme, is_v6 ? "[" : "", host ? host : "*", is_v6 ? "]" : "", service->port,
           service->forward.origin);
    fflush(stdout);
    return 0;
}

static void say_stopping(const struct service *service)
{
    struct message message;
    message_begin(&message);
    fprintf(message.out, "%s: stopping; %zu requests run to their end\n", failure_name(), atls_client_active_requests(service->forward.client));
    message_end(&message);
}

/* Waits for signals until the server has ended. Returns 0, or the code of an end that cut requests short. */
static int wait_for_end(struct service *service)
{
    sigset_t set;
    int signal_number, code = 0;
    unsigned stops = 0;
    waited_signals(&set);
    while (!service->is_over && sigwait(&set, &signal_number) == 0) {
        if (signal_number == SIGHUP && service->reload) {
            service->reload(service);
        } else if (signal_number != SIGNAL_OVER) {
            stops++;
            if (stops == 1) {
                say_stopping(service);
                atls_server_drain(service->server, option_milliseconds(service->args, "drain", 30000), NULL);
            } else {
                code = 128 + signal_number;
                atls_server_close(service->server, NULL);
            }
        }
    }
    return code;
}

int service_run(struct service *service, atls_server_config *config, const struct listen_place *place)
{
    int code = start(service, config, place);
    return code == 0 ? wait_for_end(service) : code;
}

void service_free(struct service *service)
{
    if (service->server)
        atls_server_close(service->server, NULL);
    if (service->forward.queue)
        atls_queue_stop(service->forward.queue, NULL); /* afterwards no callback runs */
    if (service->forward.runtime)
        atls_runtime_shutdown(service->forward.runtime, 0, NULL);
    atls_server_free(service->server);
    atls_client_free(service->forward.client);
    atls_queue_free(service->forward.queue);
    atls_runtime_free(service->forward.runtime);
    service_log_end();
}
