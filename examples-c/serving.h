/* serving.h - what the servers among the examples need and none is about: a certificate from files, a place to listen, an end in good order. */
#ifndef SERVING_H
#define SERVING_H

#include "common.h"

/* The certificate of a server, from files. */
static inline void set_certificate(atls_server_config *config, const char *chain_file, const char *key_file)
{
    atls_error *error = NULL;
    struct file chain = read_file(chain_file), key = read_file(key_file);
    check(atls_server_config_set_certificate(config, (char *)chain.data, (char *)key.data, &error), &error);
    free(chain.data);
    free(key.data);
}

/* A server that listens on this machine only; says where. */
static inline atls_server *listen_on(atls_runtime *runtime, atls_queue *queue, const atls_server_config *config,
                                     void (*on_event)(void *, const atls_event *), const char *port)
{
    atls_error *error = NULL;
    atls_server *server = NULL;
    uint16_t bound;
    atls_sink sink = {.queue = queue, .call = on_event};
    check(atls_server_new(runtime, config, &sink, &server, &error), &error);
    check(atls_server_listen(server, "127.0.0.1", (uint16_t)atoi(port), false, &bound, &error), &error);
    printf("listening on 127.0.0.1:%u\n", bound);
    fflush(stdout);
    return server;
}

/* What is under way may come to its end; then all of it is freed. */
static inline void stop_server(atls_server *server, atls_runtime *runtime, atls_queue *queue)
{
    atls_error *error = NULL;
    check(atls_server_drain(server, 5000, &error), &error);
    check(atls_runtime_shutdown(runtime, 10000, &error), &error);
    atls_server_free(server);
    check(atls_queue_stop(queue, &error), &error);
    atls_queue_free(queue);
    atls_runtime_free(runtime);
}

#endif
