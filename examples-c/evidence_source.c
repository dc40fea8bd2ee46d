/* evidence_source.c - a server that gets evidence of its machine by itself: from a program on a Unix socket that is sent the kind
 * and the 64 bytes of a binder, and answers with the evidence object (docs/protocol.md). A host does so if its TEE has a daemon of its own.
 *
 * usage: evidence_source PORT CHAIN.pem KEY.pem TEE SOCKET     (TEE: tdx, snp, nitro, ..; serves until standard input ends)
 */
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "serving.h"

#define MAX_EVIDENCE (1 << 20)

static struct source {
    const char *tee, *path;
} source;

/* Asks for evidence over `binder` and reads the answer to its end; -1 if that fails. */
static ssize_t ask(const struct source *source, const uint8_t *binder, char *answer)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char question[256];
    ssize_t got = -1, len = 0;
    int asked = snprintf(question, sizeof question, "%.100s ", source->tee);
    for (int i = 0; i < 64; i++)
        asked += sprintf(question + asked, "%02x%s", binder[i], i == 63 ? "\n" : "");
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", source->path);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0
        && send(fd, question, (size_t)asked, MSG_NOSIGNAL) == asked)
        while (len < MAX_EVIDENCE && (got = read(fd, answer + len, (size_t)(MAX_EVIDENCE - len))) > 0)
            len += got;
    if (fd >= 0)
        close(fd);
    return got == 0 ? len : -1;
}

/* Runs on a thread of the library, one call at a time. */
static atls_status make_evidence(void *user_data, const uint8_t *binder, bool fresh, atls_buf **evidence)
{
    char *answer = malloc(MAX_EVIDENCE);
    ssize_t len = answer ? ask(user_data, binder, answer) : -1;
    atls_status status = ATLS_NO_EVIDENCE;
    (void)fresh; /* all of it is made now in any case */
    if (len > 0)
        status = atls_buf_copy(atls_bytes_of(answer, (size_t)len), evidence, NULL);
    free(answer);
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: %s PORT CHAIN.pem KEY.pem TEE SOCKET\n", argv[0]);
        return 2;
    }
    atls_error *error = NULL;
    atls_server_config *config = NULL;
    check(atls_server_config_new(&config, &error), &error);
    set_certificate(config, argv[2], argv[3]);
    source = (struct source){.tee = argv[4], .path = argv[5]};
    check(atls_server_config_set_evidence_source(config, source.tee, make_evidence, &source, NULL, &error), &error);
    serve_one_answer(config, argv[1], "data: {\"choices\":[{\"delta\":{\"content\":\"An attested machine has read this.\"}}]}\n\n");
    atls_server_config_free(config);
    return 0;
}
