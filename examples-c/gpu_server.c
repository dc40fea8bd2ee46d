/* gpu_server.c - a server inside a TEE with GPUs, which proves them too. The library opens no library of NVIDIA's: a program of the host's asks the GPUs
 * (by NVML, or NVIDIA's own tools), is given the nonce in hex, and prints the list of devices of docs/protocol.md. A report says nothing of the machine
 * that a GPU is in: before it works with a GPU, the guest has to check that it is its own, in confidential mode.
 *
 * usage: gpu_server PORT CHAIN.pem KEY.pem PROGRAM [AGENT_SOCKET]     (serves until standard input ends)
 */
#define _GNU_SOURCE
#include <unistd.h>

#include "serving.h"

#define MAX_LIST (1 << 20)

/* What the program prints, to its end; 0 if it fails. */
static size_t ask(const char *program, const uint8_t *nonce, char *list)
{
    char command[4096];
    size_t len = 0, got;
    int end = snprintf(command, sizeof command - 65, "%s ", program);
    if (end < 0 || (size_t)end >= sizeof command - 65)
        return 0;
    for (int i = 0; i < 32; i++)
        end += sprintf(command + end, "%02x", nonce[i]);
    FILE *out = popen(command, "r");
    if (!out)
        return 0;
    while ((got = fread(list + len, 1, MAX_LIST - len, out)) > 0)
        len += got;
    return pclose(out) == 0 ? len : 0;
}

/* Runs on a thread of the library, one call at a time; a report takes a GPU about a second. */
static atls_status ask_gpus(void *user_data, const uint8_t *nonce, atls_buf **evidence)
{
    char *list = malloc(MAX_LIST);
    size_t len = list ? ask(user_data, nonce, list) : 0;
    atls_status status = ATLS_NO_EVIDENCE; /* the client is given none at all, and leaves */
    if (len > 0)
        status = atls_buf_copy(atls_bytes_of(list, len), evidence, NULL);
    free(list);
    return status;
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: %s PORT CHAIN.pem KEY.pem PROGRAM [AGENT_SOCKET]\n", argv[0]);
        return 2;
    }
    atls_error *error = NULL;
    atls_server_config *config = NULL;
    check(atls_server_config_new(&config, &error), &error);
    set_certificate(config, argv[2], argv[3]);
    check(atls_server_config_set_dstack_agent(config, argc > 5 ? argv[5] : NULL, &error), &error);
    check(atls_server_config_add_attached_source(config, "nvidia", ask_gpus, argv[4], NULL, &error), &error);
    serve_one_answer(config, argv[1], "data: {\"choices\":[{\"delta\":{\"content\":\"Attested GPUs have read this.\"}}]}\n\n");
    atls_server_config_free(config);
    return 0;
}
