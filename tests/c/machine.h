/* machine.h - machines of other kinds than TDX guests, which the simulator serves behind sockets. */
#ifndef MACHINE_H
#define MACHINE_H

#include "sim.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Sends a request to a socket of the simulator, and reads the answer to its end. */
static inline size_t machine_ask(const char *name, const void *request, size_t len, void *answer, size_t cap)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", getenv("ATLS_SIM"), name);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    CHECK(send(fd, request, len, MSG_NOSIGNAL) == (ssize_t)len && shutdown(fd, SHUT_WR) == 0);
    size_t total = 0;
    for (ssize_t n = 1; n > 0; total += (size_t)n) {
        n = recv(fd, (char *)answer + total, cap - total, 0);
        CHECK(n >= 0);
    }
    close(fd);
    return total;
}

/* The evidence object of a machine of that kind, from this socket of the simulator's. */
static inline atls_status machine_evidence_from(const char *name, const char *kind, const uint8_t *binder, atls_buf **made)
{
    char request[160], *answer = malloc(1 << 16);
    int len = snprintf(request, sizeof request, "%s ", kind);
    CHECK(answer);
    for (int i = 0; i < 64; i++)
        len += snprintf(request + len, sizeof request - (size_t)len, "%02x", binder[i]);
    request[len++] = '\n';
    size_t got = machine_ask(name, request, (size_t)len, answer, 1 << 16);
    atls_status status = atls_buf_copy(atls_bytes_of(answer, got), made, NULL);
    free(answer);
    return status;
}

/* An honest one. */
static inline atls_status machine_evidence(const char *kind, const uint8_t *binder, atls_buf **made)
{
    return machine_evidence_from("evidence.sock", kind, binder, made);
}

/* A verifier that knows the simulator's roots of all vendors. */
static inline atls_verifier *machine_verifier(void)
{
    static const char *const roots[][2] = {{"amd", "amd-roots.pem"}, {"aws", "aws-root.pem"}, {"microsoft", "microsoft-root.pem"}};
    atls_error *error = NULL;
    atls_verifier *verifier = NULL;
    atls_verifier_config *trust = NULL;
    size_t len;
    OK(atls_verifier_config_new(&trust, &error));
    char *root = sim_file("root.der", &len);
    OK(atls_verifier_config_set_simulated_root(trust, atls_bytes_of(root, len), &error));
    free(root);
    for (size_t i = 0; i < sizeof roots / sizeof *roots; i++) {
        root = sim_file(roots[i][1], &len);
        OK(atls_verifier_config_add_simulated_root(trust, roots[i][0], atls_bytes_of(root, len), &error));
        free(root);
    }
    OK(atls_verifier_new(trust, &verifier, &error));
    atls_verifier_config_free(trust);
    return verifier;
}

#endif
