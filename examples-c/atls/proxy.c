/* proxy.c - `atls proxy`: a local HTTP server that forwards to one attested host. */
#include <stdlib.h>
#include <string.h>

#include "failure.h"
#include "files.h"
#include "output.h"
#include "secrets.h"
#include "service.h"
#include "setup.h"
#include "url.h"

static const struct option_spec options[] = {
    {'t', "target", "URL", OPTION_TEXT, OPTION_NEEDED, "Target", "The host to forward to: https://HOST[:PORT]",
     "Nothing is ever sent to another host. Paths come from the requests."},
    {0, "target-token-file", "FILE", OPTION_FILE, 0, "Target", "Send Authorization: Bearer with this token",
     "In place of what clients send, so that they need not know it: an API key, for instance."},
    {0, "max-age", "SECONDS", OPTION_SECONDS, 0, "Target", "Attest anew after this long",
     "No connection to the target is used for a new request when it is older. The policy's \"reattest\" holds besides."},
    {0, "allow-redirects", NULL, OPTION_FLAG, OPTION_RARE, "Target", "Pass on redirects to other origins",
     "A client that follows one leaves the attested host, and may take its prompt along. Without this such a response is answered with 502."},
    {'l', "listen", "HOST:PORT", OPTION_TEXT, 0, "Listening", "Where clients connect (127.0.0.1:8080)",
     "Port 0 lets the system choose. Addresses that are not loopback need --allow-remote and --token-file."},
    {0, "token-file", "FILE", OPTION_FILE, 0, "Listening", "Serve only clients that send this token",
     "As Authorization: Bearer, which is then not passed on, or as Proxy-Authorization: Bearer. At least 16 characters."},
    {0, "allow-host", "NAME", OPTION_TEXT, OPTION_REPEATS, "Listening", "Another name by which clients may call it",
     "Requests whose Host is neither this, nor where it listens, are answered with 403."},
    {0, "allow-origin", "ORIGIN", OPTION_TEXT, OPTION_REPEATS, "Listening", "Serve browser pages of this origin",
     "For example http://localhost:3000. Requests of pages from elsewhere are answered with 403."},
    {0, "allow-remote", NULL, OPTION_FLAG, OPTION_RARE, "Listening", "Listen where other machines can connect",
     "What they send to the proxy is not encrypted. It needs --token-file."},
    OPTIONS_SERVICE,
    OPTION_POLICY,
    OPTIONS_COLLATERAL,
    OPTION_TEST_ROOT,
    OPTIONS_CONNECTION,
    {'v', "verbose", NULL, OPTION_FLAG, 0, "General", "Print the whole verdict at start", "As a table on stderr."},
    OPTION_HELP,
    OPTIONS_END,
};

static const struct example examples[] = {
    {"atls proxy --target https://llm.example --policy policy.json", "Serves http://127.0.0.1:8080."},
    {"OPENAI_BASE_URL=http://127.0.0.1:8080/v1 python chat.py", "A program that knows nothing of attestation."},
    {"curl http://127.0.0.1:8080/v1/models", "Fails with 502 while the policy does not hold."},
    {NULL, NULL},
};

struct proxy {
    struct service service;
    struct setup setup;
    struct url target;
    struct gate gate;
    struct listen_place place;
    char origin[300];
    char *token, *authorization;
    const char **hosts, **origins;
    atls_http *check; /* the connection that shows at start whether the target is attested */
    bool verbose;
};

/* The values of an option that repeats, with NULL at the end. */
static const char **values_of(const struct arguments *args, const char *name)
{
    size_t count = option_count(args, name);
    const char **values = calloc(count + 1, sizeof *values);
    for (size_t i = 0; values && i < count; i++)
        values[i] = option_at(args, name, i);
    return values;
}

static int set_target(struct proxy *proxy, const struct arguments *args)
{
    int code = url_parse(option_text(args, "target"), &proxy->target);
    if (code != 0)
        return code;
    const struct url *url = &proxy->target;
    if (strchr(url->text, '@')) /* before any message that shows it */
        return fail(CODE_CALL, "--target: credentials in a URL are not used; there is --target-token-file");
    if (strcmp(url->path, "/") != 0)
        return fail(CODE_CALL, "--target: '%s' has a path; give it in the clients' URL, as in http://127.0.0.1:8080%s", url->text, url->path);
    bool is_v6 = strchr(url->host, ':') != NULL;
    int len = snprintf(proxy->origin, sizeof proxy->origin, "https://%s%s%s", is_v6 ? "[" : "", url->host, is_v6 ? "]" : "");
    if (url->port != 443)
        snprintf(proxy->origin + len, sizeof proxy->origin - (size_t)len, ":%u", url->port);
    proxy->service.forward.origin = proxy->origin;
    return 0;
}

/* Who may come in. */
static int set_gate(struct proxy *proxy, const struct arguments *args)
{
    const char *listen = option_text(args, "listen"), *file = option_text(args, "token-file");
    int code = listen_parse(listen ? listen : "127.0.0.1:8080", &proxy->place);
    if (code == 0 && file)
        code = secret_read(file, &proxy->token);
    if (code != 0)
        return code;
    if (!is_loopback(proxy->place.host) && !(option_given(args, "allow-remote") && file))
        return fail(CODE_CALL, "--listen: '%s' can be reached from other machines; that needs --allow-remote and --token-file", listen);
    proxy->hosts = values_of(args, "allow-host");
    proxy->origins = values_of(args, "allow-origin");
    if (!proxy->hosts || !proxy->origins)
        return fail(CODE_SYSTEM, "out of memory");
    proxy->gate = (struct gate){proxy->place.host, proxy->hosts, proxy->origins, proxy->token};
    proxy->service.forward.gate = &proxy->gate;
    return 0;
}

static int set_authorization(struct proxy *proxy, const struct arguments *args)
{
    const char *file = option_text(args, "target-token-file");
    int code = file ? secret_bearer(file, &proxy->authorization) : 0;
    proxy->service.forward.authorization = proxy->authorization;
    proxy->service.forward.redirects_may_leave = option_given(args, "allow-redirects");
    return code;
}

static void on_checked(void *user_data, const atls_event *event)
{
    const struct proxy *proxy = user_data;
    struct message message;
    if (event->kind == ATLS_EVENT_CONNECTED) {
        atls_verdict *verdict = atls_http_verdict(event->source);
        message_begin(&message);
        if (verdict && proxy->verbose)
            print_verdict(verdict, message.out);
        else if (verdict)
            fprintf(message.out, "%s: %s is attested (%s)\n", failure_name(), proxy->origin, atls_verdict_tee_type(verdict).ptr);
        message_end(&message);
        atls_verdict_free(verdict);
        atls_http_close(event->source, NULL);
    } else if (event->kind == ATLS_EVENT_CLOSED && event->status != ATLS_OK && event->status != ATLS_CANCELED) {
        message_begin(&message);
        fprintf(message.out, "%s: %s is not attested, so requests are answered with 502\n", failure_name(), proxy->origin);
        message_end(&message);
        fail_status(event->status, atls_error_ref(event->error), NULL);
    }
}

/* Says at start how the target stands. Requests are judged by their own connections, whatever comes of this. */
static int begin_check(struct proxy *proxy)
{
    atls_error *error = NULL;
    atls_sink sink = {.queue = proxy->service.forward.queue, .call = on_checked, .user_data = proxy};
    atls_status status = atls_http_connect_start(proxy->service.forward.runtime, proxy->setup.config, &sink, &proxy->check, &error);
    return status == ATLS_OK ? 0 : fail_status(status, error, NULL);
}

/* The policy is the target's alone: the client refuses every other host. */
static int connect_target(struct proxy *proxy, const struct arguments *args)
{
    atls_error *error = NULL;
    atls_status status = atls_config_clear_policy(proxy->setup.config, &error);
    if (status != ATLS_OK)
        return fail_status(status, error, NULL);
    int code = service_connect(&proxy->service, proxy->setup.config, 0, option_milliseconds(args, "max-age", 0));
    if (code != 0)
        return code;
    status = atls_client_set_policy(proxy->service.forward.client, proxy->target.host, proxy->setup.policy, &error);
    return status == ATLS_OK ? 0 : fail_status(status, error, "--target");
}

static int serve(struct proxy *proxy, const struct arguments *args)
{
    atls_error *error = NULL;
    atls_server_config *config = NULL;
    atls_status status = atls_server_config_new(&config, &error);
    if (status == ATLS_OK)
        status = forward_configure(proxy->setup.config, config, &error);
    int code = status == ATLS_OK ? service_prepare(&proxy->service, args) : fail_status(status, error, NULL);
    if (code == 0)
        code = begin_check(proxy);
    if (code == 0)
        code = connect_target(proxy, args);
    if (code == 0)
        code = service_run(&proxy->service, config, &proxy->place);
    atls_server_config_free(config);
    return code;
}

static int run(const struct arguments *args)
{
    struct proxy proxy = {.verbose = option_given(args, "verbose")};
    proxy.service.scheme = "http";
    int code = set_target(&proxy, args);
    if (code == 0)
        code = set_gate(&proxy, args);
    if (code == 0)
        code = set_authorization(&proxy, args);
    if (code == 0)
        code = setup_make(args, &proxy.target, &proxy.setup);
    if (code == 0)
        code = serve(&proxy, args);
    atls_http_free(proxy.check);
    service_free(&proxy.service);
    setup_free(&proxy.setup);
    url_free(&proxy.target);
    secret_free(proxy.token);
    secret_free(proxy.authorization);
    free(proxy.hosts);
    free(proxy.origins);
    return code;
}

const struct command command_proxy = {
    .name = "proxy",
    .operands = "",
    .summary = "Forward programs of this machine to an attested host",
    .text = "An HTTP server on this machine that forwards every request to one host and to nobody else. The host must satisfy the policy first: while "
            "it does not, requests are answered with 502, and a JSON document says which check failed. Nothing is taken from, or sent to, a host that "
            "was not judged. Both bodies stream.\n\n"
            "Whoever can connect to it uses it: every program and user of this machine, unless there is a token. Pages of other sites that the user's "
            "browser has loaded are kept out by their Host and Origin.\n\n"
            "SIGTERM and SIGINT end it once the requests under way are over; the second one ends it at once.",
    .options = options,
    .examples = examples,
    .run = run,
};
