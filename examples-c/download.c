/* download.c - downloads to a file at a limited rate, with a progress bar, and resumes where an earlier run stopped.
 *
 * usage: download POLICY.json URL FILE [KIB_PER_SECOND]
 */
#include <time.h>

#include "common.h"

static void progress(uint64_t done, uint64_t total)
{
    int cells = total ? (int)(done * 40 / total) : 0;
    fprintf(stderr, "\r[%-40.*s] %llu bytes", cells, "########################################", (unsigned long long)done);
}

static atls_request *make_request(const char *url, uint64_t have)
{
    char range[40];
    atls_error *error = NULL;
    atls_request *request = NULL;
    check(atls_request_new_url("GET", url, &request, &error), &error);
    if (have > 0) {
        int len = snprintf(range, sizeof range, "bytes=%llu-", (unsigned long long)have);
        check(atls_request_add_header(request, "Range", atls_bytes_of(range, (size_t)len), &error), &error);
    }
    return request;
}

/* Reads as fast as `rate` allows. Unread bytes stay in the socket, so the server has to wait. */
static uint64_t receive(atls_exchange *exchange, FILE *out, uint64_t done, uint64_t total, unsigned rate)
{
    static unsigned char buffer[16384];
    atls_error *error = NULL;
    size_t n;
    do {
        check(atls_exchange_read(exchange, buffer, sizeof buffer, 30000, &n, &error), &error);
        if (fwrite(buffer, 1, n, out) != n) {
            perror("write");
            exit(1);
        }
        progress(done += n, total);
        if (rate > 0) {
            unsigned long long pause = n * 1000000000ULL / 1024 / rate;
            struct timespec wait = {(time_t)(pause / 1000000000), (long)(pause % 1000000000)};
            nanosleep(&wait, NULL);
        }
    } while (n > 0);
    fputc('\n', stderr);
    return done;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: %s POLICY.json URL FILE [KIB_PER_SECOND]\n", argv[0]);
        return 2;
    }
    atls_error *error = NULL;
    atls_client *client = NULL;
    atls_exchange *exchange = NULL;
    atls_head *head = NULL;
    FILE *out = fopen(argv[3], "ab");
    if (!out || fseek(out, 0, SEEK_END) != 0) {
        perror(argv[3]);
        return 2;
    }
    uint64_t have = (uint64_t)ftell(out);

    atls_config *config = make_config(NULL, NULL, argv[1]);
    check(atls_client_new(NULL, config, NULL, &client, &error), &error);
    atls_request *request = make_request(argv[2], have);
    check(atls_client_fetch(client, request, &exchange, &error), &error);
    check(atls_exchange_head(exchange, 0, &head, &error), &error);
    uint32_t status = atls_head_status(head);
    if (status == 200 && have > 0) {
        /* The server does not support ranges: start again. */
        out = freopen(argv[3], "wb", out);
        have = 0;
    }
    if (!out || (status != 200 && status != 206)) {
        fprintf(stderr, "%u %s\n", status, status == 416 ? "(nothing is missing)" : atls_head_reason(head).ptr);
        return status == 416 ? 0 : 1;
    }
    uint64_t left = strtoull(atls_head_get(head, "Content-Length").ptr, NULL, 10);
    uint64_t done = receive(exchange, out, have, have + left, argc > 4 ? (unsigned)atoi(argv[4]) : 0);
    printf("%s: %llu bytes, %llu of them new\n", argv[3], (unsigned long long)done, (unsigned long long)(done - have));

    atls_head_free(head);
    atls_exchange_free(exchange);
    atls_request_free(request);
    atls_client_free(client);
    atls_config_free(config);
    return fclose(out) == 0 ? 0 : 1;
}
