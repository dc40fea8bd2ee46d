/* SIGPIPE never comes from the library: whatever it writes to a peer, on whichever thread, is written without the signal. It has its default action here. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "loop.h"
#include "sim.h"

static _Thread_local atls_error *error;

/* Every way to write goes through here, that of the library too, and is looked at. */
static atomic_int held, bare, dead_accepted;
static struct sockaddr_un dead;

static void look(int fd, int flags)
{
    int type, before = errno;
    socklen_t len = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0)
        atomic_fetch_add(flags & MSG_NOSIGNAL ? &held : &bare, 1);
    errno = before;
}

ssize_t write(int fd, const void *data, size_t len)
{
    look(fd, 0);
    return syscall(SYS_write, fd, data, len);
}

ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    look(fd, 0);
    return syscall(SYS_writev, fd, pieces, count);
}

ssize_t send(int fd, const void *data, size_t len, int flags)
{
    look(fd, flags);
    return syscall(SYS_sendto, fd, data, len, flags, NULL, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    look(fd, flags);
    return syscall(SYS_sendmsg, fd, message, flags);
}

/* Who connects to the dead agent goes on when it is dead. */
int connect(int fd, const struct sockaddr *address, socklen_t len)
{
    int before = atomic_load(&dead_accepted), done = (int)syscall(SYS_connect, fd, address, len);
    if (done == 0 && address->sa_family == AF_UNIX && strcmp(((const struct sockaddr_un *)(const void *)address)->sun_path, dead.sun_path) == 0)
        while (atomic_load(&dead_accepted) == before)
            usleep(1000);
    return done;
}

static void *agent(void *listener)
{
    for (int fd; (fd = accept(*(int *)listener, NULL, NULL)) >= 0; atomic_fetch_add(&dead_accepted, 1))
        close(fd);
    return NULL;
}

static atomic_int gone, closed;

static void on_request(void *request, const atls_event *event)
{
    (void)request;
    if (event->kind == ATLS_EVENT_CLOSED)
        atomic_fetch_add(&closed, 1);
}

static void on_server(void *user_data, const atls_event *event)
{
    (void)user_data;
    static uint8_t body[1 << 20];
    if (event->kind != ATLS_EVENT_REQUEST)
        return;
    while (!atomic_load(&gone))
        usleep(1000);
    atls_sink sink = {.queue = queue, .call = on_request};
    if (atls_server_request_start(event->source, runtime, &sink, NULL) == ATLS_OK)
        (void)atls_server_request_respond(event->source, 200, NULL, atls_bytes_of(body, sizeof body), NULL);
    else
        atomic_fetch_add(&closed, 1);
}

static atls_server *serve(atls_server_config *config)
{
    atls_server *server = NULL;
    atls_sink sink = {.queue = queue, .call = on_server};
    OK(atls_server_start(runtime, config, &sink, &server, &error));
    atls_server_config_free(config);
    return server;
}

static void end(atls_server *server)
{
    OK(atls_server_close(server, &error));
    atls_server_free(server);
}

/* Blocking, so on this very thread: the quote is asked of an agent that accepts and goes. */
static void an_agent_that_goes_away_raises_no_signal(void)
{
    size_t len;
    uint16_t port;
    pthread_t thread;
    atls_http *http = NULL;
    atls_policy *policy = NULL;
    atls_verifier *verifier = NULL;
    atls_server_config *config = NULL;
    atls_verifier_config *trust = NULL;
    OK(atls_verifier_config_new(&trust, &error));
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    dead.sun_family = AF_UNIX;
    snprintf(dead.sun_path, sizeof dead.sun_path, "/tmp/atls-dead-agent-%d", (int)getpid());
    unlink(dead.sun_path);
    CHECK(bind(listener, (struct sockaddr *)&dead, sizeof dead) == 0 && listen(listener, 10) == 0);
    CHECK(pthread_create(&thread, NULL, agent, &listener) == 0);

    char *chain = sim_file("peer.pem", &len), *key = sim_file("peer-key.pem", &len), *root = sim_file("root.der", &len);
    OK(atls_verifier_config_set_simulated_root(trust, atls_bytes_of(root, len), &error));
    OK(atls_verifier_new(trust, &verifier, &error));
    char *json = sim_file("peer-policy.json", &len);
    OK(atls_policy_new(atls_bytes_of(json, len), &policy, &error));
    OK(atls_server_config_new(&config, &error));
    OK(atls_server_config_set_certificate(config, chain, key, &error));
    OK(atls_server_config_set_client_policy(config, policy, verifier, &error));
    atls_server *server = serve(config);
    OK(atls_server_listen(server, "127.0.0.1", 0, false, &port, &error));
    atls_config *client = sim_config(port, NULL);
    OK(atls_config_set_dstack_agent(client, dead.sun_path, &error));
    for (int i = 0; i < 3; i++)
        EXPECT(ATLS_NO_EVIDENCE, "guest agent", atls_http_connect(client, &http, &error));
    CHECK(atomic_load(&dead_accepted) == 3);
    shutdown(listener, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(listener);
    unlink(dead.sun_path);
    end(server);
    atls_config_free(client);
    atls_policy_free(policy);
    atls_verifier_free(verifier);
    atls_verifier_config_free(trust);
    free(chain), free(key), free(root), free(json);
}

/* A client that asks by a Unix socket and does not stay: through a listener's socket, or one that the host hands over. */
static void clients_that_do_not_stay(bool adopted)
{
    static const char ask[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    struct sockaddr_un here = {.sun_family = AF_UNIX};
    int pair[2] = {-1, -1}, before = atomic_load(&closed);
    atls_server_config *config = NULL;
    OK(atls_server_config_new(&config, &error));
    atls_server *server = serve(config);
    atomic_store(&gone, 0);
    if (adopted) {
        CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
        OK(atls_server_adopt_connection(server, pair[1], &error));
    } else {
        snprintf(here.sun_path, sizeof here.sun_path, "/tmp/atls-short-stay-%d", (int)getpid());
        unlink(here.sun_path);
        OK(atls_server_listen_unix(server, here.sun_path, &error));
        pair[0] = socket(AF_UNIX, SOCK_STREAM, 0);
        CHECK(connect(pair[0], (struct sockaddr *)&here, sizeof here) == 0);
        unlink(here.sun_path);
    }
    CHECK(send(pair[0], ask, sizeof ask - 1, MSG_NOSIGNAL) == sizeof ask - 1);
    close(pair[0]);
    atomic_store(&gone, 1);
    for (int i = 0; i < 5000 && atomic_load(&closed) == before; i++)
        usleep(1000);
    CHECK(atomic_load(&closed) > before);
    end(server);
}

/* A socket of the host's that is driven, and whose other end is closed while there is more to write. */
static void a_driven_socket_that_is_closed_raises_no_signal(void)
{
    static const uint8_t block[50000];
    int pair[2];
    atls_headers *headers = NULL;
    atls_h1_driver *driver = NULL;
    atls_h1_driver_config *config = NULL;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    OK(atls_h1_driver_config_new(ATLS_H1_CLIENT, &config, &error));
    OK(atls_headers_new(true, &headers, &error));
    OK(atls_headers_add(headers, "Host", atls_bytes_of("a", 1), &error));
    OK(atls_headers_add(headers, "Transfer-Encoding", atls_bytes_of("chunked", 7), &error));
    atls_sink sink = {.queue = queue, .call = on_request};
    int before = atomic_load(&closed);
    OK(atls_h1_driver_adopt_start(runtime, config, pair[1], &sink, &driver, &error));
    OK(atls_h1_driver_send_request(driver, "POST", "/", headers, &error));
    while (atls_h1_driver_write(driver, atls_bytes_of(block, sizeof block), NULL) == ATLS_OK)
        ;
    for (int i = 0; i < 5000 && atomic_load(&held) == 0; i++)
        usleep(1000);
    close(pair[0]);
    for (int i = 0; i < 5000 && atomic_load(&closed) == before; i++)
        usleep(1000);
    CHECK(atomic_load(&closed) == before + 1);
    atls_headers_free(headers);
    atls_h1_driver_free(driver);
    atls_h1_driver_config_free(config);
}

static void a_client_of_a_listener_that_leaves_raises_no_signal(void)
{
    clients_that_do_not_stay(false);
}

static void an_adopted_client_that_leaves_raises_no_signal(void)
{
    clients_that_do_not_stay(true);
}

static void set_up(void)
{
    sim_start();
    loop_start();
    atomic_store(&held, 0);
}

static void tear_down(void)
{
    CHECK(atomic_load(&held) > 0 && atomic_load(&bare) == 0);
    loop_end();
}

TESTS(set_up, tear_down, CASE(an_agent_that_goes_away_raises_no_signal), CASE(a_client_of_a_listener_that_leaves_raises_no_signal),
      CASE(an_adopted_client_that_leaves_raises_no_signal), CASE(a_driven_socket_that_is_closed_raises_no_signal))
