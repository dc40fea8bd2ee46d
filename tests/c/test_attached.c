/* A server brings evidence of GPUs beside its own, by a function of the host's; both ends are the library's. */
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "loop.h"
#include "sim.h"

static _Thread_local atls_error *error;
static uint16_t port;
static _Atomic int under_way, most, calls, drops;

/* How the host's function behaves. */
struct host {
    const char *socket;
    atls_status status;
    bool without, early;
};

/* What the simulator's GPUs answer to a nonce. */
static size_t ask(const char *name, const uint8_t *nonce, char *list, size_t room)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char line[66];
    size_t len = 0;
    ssize_t got;
    for (int i = 0; i < 32; i++)
        sprintf(line + 2 * i, "%02x", nonce[i]);
    line[64] = '\n';
    snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", getenv("ATLS_SIM"), name);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    CHECK(send(fd, line, 65, MSG_NOSIGNAL) == 65);
    while ((got = read(fd, list + len, room - len)) > 0)
        len += (size_t)got;
    CHECK(got == 0);
    close(fd);
    return len;
}

static atls_status on_ask(void *user_data, const uint8_t *nonce, atls_buf **evidence)
{
    static char list[1 << 17];
    const struct host *host = user_data;
    int now = ++under_way;
    most = now > most ? now : most;
    calls++;
    size_t len = ask(host->socket, nonce, list, sizeof list);
    if (!host->without)
        CHECK(atls_buf_copy(atls_bytes_of(list, host->early ? len / 2 : len), evidence, NULL) == ATLS_OK);
    usleep(1000);
    under_way--;
    return host->status;
}

static void on_drop(void *user_data)
{
    (void)user_data;
    drops++;
}

static void on_server(void *user_data, const atls_event *event)
{
    (void)user_data;
    (void)event;
}

static atls_server *serve(struct host *host)
{
    size_t len;
    char path[512];
    atls_server *server = NULL;
    atls_server_config *config = NULL;
    atls_sink sink = {.queue = queue, .call = on_server};
    char *chain = sim_file("peer.pem", &len), *key = sim_file("peer-key.pem", &len);
    snprintf(path, sizeof path, "%s/agent.sock", getenv("ATLS_SIM"));
    most = calls = drops = 0;
    OK(atls_server_config_new(&config, &error));
    OK(atls_server_config_set_certificate(config, chain, key, &error));
    OK(atls_server_config_add_attached_source(config, "nvidia", on_ask, host, on_drop, &error));
    EXPECT(ATLS_INVALID_STATE, "none of the machine's own", atls_server_start(runtime, config, &sink, &server, &error));
    OK(atls_server_config_set_dstack_agent(config, path, &error));
    OK(atls_server_start(runtime, config, &sink, &server, &error));
    OK(atls_server_listen(server, "127.0.0.1", 0, false, &port, &error));
    atls_server_config_free(config);
    free(chain);
    free(key);
    return server;
}

/* A client under gpu-policy.json; if it is refused, why. */
static atls_status join(char *check, size_t room)
{
    size_t len;
    atls_stream *stream = NULL;
    atls_verifier *verifier = NULL;
    atls_verifier_config *trust = NULL;
    atls_config *config = sim_config(port, "gpu-policy.json");
    char *root = sim_file("root.der", &len);
    OK(atls_verifier_config_new(&trust, &error));
    OK(atls_verifier_config_set_simulated_root(trust, atls_bytes_of(root, len), &error));
    free(root);
    root = sim_file("nvidia-root.pem", &len);
    OK(atls_verifier_config_add_simulated_root(trust, "nvidia", atls_bytes_of(root, len), &error));
    free(root);
    OK(atls_verifier_new(trust, &verifier, &error));
    OK(atls_config_set_verifier(config, verifier, &error));
    atls_verifier_config_free(trust);
    atls_verifier_free(verifier);
    atls_status status = atls_stream_connect(config, &stream, &error);
    const atls_verdict *verdict = error ? atls_error_verdict(error) : NULL;
    for (size_t i = 0; verdict && i < atls_verdict_check_count(verdict); i++)
        if (atls_verdict_check_outcome(verdict, i) == ATLS_CHECK_FAIL)
            snprintf(check, room, "%s", atls_verdict_check_name(verdict, i).ptr);
    atls_error_free(error);
    error = NULL;
    atls_stream_free(stream);
    atls_config_free(config);
    return status;
}

/* The server's sink is let go of when its runtime is: what the host's functions have goes at the latest then. */
static void end(atls_server *server)
{
    OK(atls_server_close(server, &error));
    atls_server_free(server);
    loop_end();
    CHECK(drops == 1);
    loop_start();
}

static void *many(void *unused)
{
    char check[64] = "";
    (void)unused;
    for (int i = 0; i < 3; i++)
        CHECK(join(check, sizeof check) == ATLS_OK);
    return NULL;
}

static void the_hosts_function_has_one_call_at_a_time(void)
{
    pthread_t threads[4];
    struct host host = {.socket = "gpus.sock"};
    atls_server *server = serve(&host);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, many, NULL) == 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CHECK(calls == 12 && most == 1 && drops == 0);
    end(server);
}

static void two_gpus_that_are_one_are_refused(void)
{
    char check[64] = "";
    struct host host = {.socket = "evil-gpus.sock"};
    atls_server *server = serve(&host);
    CHECK(join(check, sizeof check) == ATLS_MEASUREMENT_MISMATCH && strcmp(check, "gpu_distinct") == 0);
    end(server);
}

static void a_host_that_has_nothing_leaves_the_server_without_evidence(void)
{
    static struct host hosts[] = {
        {.socket = "gpus.sock", .status = ATLS_IO},
        {.socket = "gpus.sock", .status = ATLS_IO, .without = true},
        {.socket = "gpus.sock", .without = true},
        {.socket = "gpus.sock", .early = true},
    };
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        char check[64] = "";
        atls_server *server = serve(&hosts[i]);
        CHECK(join(check, sizeof check) == ATLS_NO_EVIDENCE && check[0] == '\0' && calls == 1);
        end(server);
    }
}

TESTS(loop_start, loop_end, CASE(the_hosts_function_has_one_call_at_a_time), CASE(two_gpus_that_are_one_are_refused),
      CASE(a_host_that_has_nothing_leaves_the_server_without_evidence))
