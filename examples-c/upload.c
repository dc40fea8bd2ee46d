/* upload.c - streams a file as a request body, with a progress bar. Asks the server first whether it wants the body at all.
 *
 * usage: upload POLICY.json URL FILE
 */
#include "common.h"

static void progress(uint64_t done, uint64_t total)
{
    int cells = total ? (int)(done * 40 / total) : 40;
    fprintf(stderr, "\r[%-40.*s] %3d %%", cells, "########################################", total ? (int)(done * 100 / total) : 100);
}

static atls_request *make_request(const char *url, uint64_t size)
{
    atls_error *error = NULL;
    atls_request *request = NULL;
    check(atls_request_new_url("POST", url, &request, &error), &error);
    check(atls_request_set_body_stream(request, size, &error), &error);
    check(atls_request_set_expect_continue(request, 1000, &error), &error);
    /* The deadline for the response head would include the whole upload: none here, but one for each piece below. */
    check(atls_request_set_deadline(request, ATLS_REQUEST_DEADLINE_HEAD, UINT32_MAX, &error), &error);
    return request;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: %s POLICY.json URL FILE\n", argv[0]);
        return 2;
    }
    atls_error *error = NULL;
    atls_client *client = NULL;
    atls_exchange *exchange = NULL;
    atls_head *head = NULL;
    atls_buf *answer = NULL;
    FILE *in = fopen(argv[3], "rb");
    if (!in || fseek(in, 0, SEEK_END) != 0) {
        perror(argv[3]);
        return 2;
    }
    uint64_t size = (uint64_t)ftell(in), sent = 0;
    rewind(in);
    if (size == 0) {
        fprintf(stderr, "%s is empty\n", argv[3]);
        return 2;
    }

    atls_config *config = make_config(NULL, NULL, argv[1]);
    check(atls_client_new(NULL, config, NULL, &client, &error), &error);
    atls_request *request = make_request(argv[2], size);
    check(atls_client_fetch(client, request, &exchange, &error), &error);

    static unsigned char piece[65536];
    size_t n;
    while ((n = fread(piece, 1, sizeof piece, in)) > 0) {
        /* Waits if the server is slower than the file. Fails if the server has already responded: the response says why. */
        if (atls_exchange_write_all(exchange, atls_bytes_of(piece, n), 30000, &error) != ATLS_OK) {
            atls_error_free(error);
            error = NULL;
            break;
        }
        progress(sent += n, size);
    }
    fputc('\n', stderr);
    if (sent == size)
        check(atls_exchange_finish(exchange, &error), &error);
    check(atls_exchange_head(exchange, 60000, &head, &error), &error);
    check(atls_exchange_read_all(exchange, 1 << 20, 0, &answer, &error), &error);
    printf("%u: %s\n", atls_head_status(head), (const char *)atls_buf_data(answer));

    uint32_t status = atls_head_status(head);
    atls_buf_free(answer);
    atls_head_free(head);
    atls_exchange_free(exchange);
    atls_request_free(request);
    atls_client_free(client);
    atls_config_free(config);
    fclose(in);
    return status / 100 == 2 ? 0 : 1;
}
