/* serve.c - `atls serve`: a TLS server that proves itself and forwards to a local one. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "failure.h"
#include "files.h"
#include "secrets.h"
#include "service.h"
#include "url.h"

static const struct option_spec options[] = {
    {'u', "upstream", "URL", OPTION_TEXT, OPTION_NEEDED, "Upstream", "The server to forward to: http://HOST[:PORT]",
     "On this machine. Another one needs --any-upstream."},
    {0, "any-upstream", NULL, OPTION_FLAG, OPTION_RARE, "Upstream", "Let it be on another machine",
     "What is sent there is not encrypted, and leaves what was attested: only for a network that does not, such as that of the containers of one "
     "confidential machine."},
    {0, "forwarded", NULL, OPTION_FLAG, 0, "Upstream", "Tell it of the client, by X-Forwarded-* too",
     "Such fields of clients are removed in any case."},
    {'l', "listen", "HOST:PORT", OPTION_TEXT, 0, "Listening", "Where clients connect (:443, on all addresses)", "Port 0 lets the system choose."},
    {0, "cert", "FILE", OPTION_FILE, OPTION_NEEDED, "Listening", "Certificate chain (PEM), the server's own first",
     "Read again with the key on SIGHUP, for new connections. If that fails, the former one stays."},
    {0, "key", "FILE", OPTION_FILE, OPTION_NEEDED, "Listening", "Its private key (PEM)", NULL},
    {0, "name", "NAME", OPTION_TEXT, OPTION_REPEATS, "Listening", "A name of this server",
     "If there are any, it does not prove itself in sessions that were opened for another name."},
    {0, "agent", "SOCKET", OPTION_TEXT, 0, "Evidence", "From the dstack guest agent", "'default' looks in its usual places."},
    {0, "tsm", "FOLDER", OPTION_TEXT, 0, "Evidence", "From configfs-tsm of the kernel (TDX, SEV-SNP)", "'default' is /sys/kernel/config/tsm/report."},
    {0, "nsm", "DEVICE", OPTION_TEXT, 0, "Evidence", "From the module of a Nitro enclave", "'default' is /dev/nsm."},
    {0, "azure-vtpm", "DEVICE", OPTION_TEXT, 0, "Evidence", "From the TPM of a confidential VM on Azure", "'default' is /dev/tpmrm0."},
    OPTIONS_SERVICE,
    {'h', "help", NULL, OPTION_FLAG, 0, "General", "Print this", NULL},
    {0, NULL, NULL, OPTION_FLAG, 0, NULL, NULL, NULL},
};

static const struct example examples[] = {
    {"atls serve --agent default --upstream http://127.0.0.1:8000 --cert chain.pem --key key.pem", "In a dstack guest."},
    {"atls serve --tsm default --upstream http://127.0.0.1:8000 --cert chain.pem --key key.pem", "In another TDX or SEV-SNP guest."},
    {NULL, NULL},
};

struct serving {
    struct service service;
    struct listen_place place;
    char origin[300];
};

static int set_upstream(struct serving *serving, const struct arguments *args)
{
    char host[256], port[8] = "80";
    const char *text = option_text(args, "upstream"), *rest = NULL;
    if (strncasecmp(text, "http://", 7) == 0)
        rest = url_part(text + 7, host, sizeof host);
    size_t len = rest && rest[-1] == ':' ? strcspn(rest, "/") : 0;
    if (len > 0 && len < sizeof port) {
        memcpy(port, rest, len);
        port[len] = '\0';
        rest += len;
    } else if (rest) {
        host[strcspn(host, "/")] = '\0'; /* url_part() ends at a colon only */
        rest = strchr(text + 7, '/') ? strchr(text + 7, '/') : "";
    }
    if (!rest || !*host || url_port(port) == 0 || (*rest && strcmp(rest, "/") != 0) || strpbrk(host, "@?#/"))
        return fail(CODE_CALL, "--upstream: '%s' is not http://HOST or http://HOST:PORT", url_shown(text));
    if (!is_loopback(host) && !option_given(args, "any-upstream"))
        return fail(CODE_CALL, "--upstream: '%s' is another machine, and what is sent there is not encrypted; --any-upstream allows it", host);
    bool is_v6 = strchr(host, ':') != NULL;
    snprintf(serving->origin, sizeof serving->origin, "http://%s%s%s%s%s", is_v6 ? "[" : "", host, is_v6 ? "]" : "",
             url_port(port) == 80 ? "" : ":", url_port(port) == 80 ? "" : port);
    serving->service.forward.origin = serving->origin;
    serving->service.forward.redirects_may_leave = true; /* the upstream is what was attested, and clients judge where they go */
    serving->service.forward.forwarded = option_given(args, "forwarded") ? FORWARDED_SET : FORWARDED_REMOVE;
    return 0;
}

static int read_identity(const struct arguments *args, struct file *chain, struct file *key)
{
    *key = *chain = (struct file){NULL, 0};
    int code = file_read(option_text(args, "cert"), FILE_LIMIT_DOCUMENT, chain);
    return code == 0 ? file_read(option_text(args, "key"), FILE_LIMIT_DOCUMENT, key) : code;
}

static const char *pem_of(const struct file *file)
{
    return file->data ? (const char *)file->data : "";
}

static void free_identity(struct file *chain, struct file *key)
{
    file_free(chain);
    secret_erase(key->data, key->len);
    file_free(key);
}

static int set_identity(atls_server_config *config, const struct arguments *args)
{
    struct file chain, key;
    atls_error *error = NULL;
    int code = read_identity(args, &chain, &key);
    if (code == 0) {
        atls_status status = atls_server_config_set_certificate(config, pem_of(&chain), pem_of(&key), &error);
        code = status == ATLS_OK ? 0 : fail_status(status, error, "--cert, --key");
    }
    free_identity(&chain, &key);
    return code;
}

/* On SIGHUP: the certificate may have been renewed. */
static void reload(struct service *service)
{
    struct file chain, key;
    atls_error *error = NULL;
    int code = read_identity(service->args, &chain, &key);
    if (code == 0) {
        atls_status status = atls_server_set_certificate(service->server, pem_of(&chain), pem_of(&key), &error);
        code = status == ATLS_OK ? 0 : fail_status(status, error, "--cert, --key");
    }
    free_identity(&chain, &key);
    struct message message;
    message_begin(&message);
    fprintf(message.out, "%s: %s\n", failure_name(), code == 0 ? "the certificate was read again" : "the former certificate stays");
    message_end(&message);
}

static const char *place_of(const char *value)
{
    return strcmp(value, "default") == 0 ? NULL : value;
}

/* The library asks the agent when a client asks for evidence: a wrong path would be noticed only then. */
static int check_socket(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return fail_errno(path);
    return S_ISSOCK(info.st_mode) ? 0 : fail(CODE_CALL, "--agent: '%s' is not a socket", path);
}

static atls_status add_source(atls_server_config *config, const char *kind, const char *value, atls_error **error)
{
    const char *place = place_of(value);
    if (strcmp(kind, "agent") == 0)
        return atls_server_config_set_dstack_agent(config, place, error);
    if (strcmp(kind, "tsm") == 0)
        return atls_server_config_set_tsm(config, place, error);
    if (strcmp(kind, "nsm") == 0)
        return atls_server_config_set_nsm(config, place, error);
    return atls_server_config_set_azure_vtpm(config, place, NULL, error);
}

static int set_evidence(atls_server_config *config, const struct arguments *args)
{
    static const char *const kinds[] = {"agent", "tsm", "nsm", "azure-vtpm"};
    atls_error *error = NULL;
    size_t count = 0;
    const char *name, *agent = option_text(args, "agent");
    int code = agent && place_of(agent) ? check_socket(agent) : 0;
    if (code != 0)
        return code;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const char *value = option_text(args, kinds[i]);
        atls_status status = value ? add_source(config, kinds[i], value, &error) : ATLS_OK;
        if (status != ATLS_OK)
            return fail_status(status, error, value);
        count += value != NULL;
    }
    if (count == 0)
        return fail(CODE_CALL, "no source of evidence, and a server without one proves nothing: --agent, --tsm, --nsm or --azure-vtpm is missing");
    for (size_t i = 0; (name = option_at(args, "name", i)); i++) {
        atls_status status = atls_server_config_add_name(config, name, &error);
        if (status != ATLS_OK)
            return fail_status(status, error, "--name");
    }
    return 0;
}

/* The upstream closes idle connections when it likes, and a new one on the same machine costs little: so none is kept for long. */
#define UPSTREAM_IDLE_MS 1500

static int serve(struct serving *serving, atls_server_config *config, const struct arguments *args)
{
    atls_error *error = NULL;
    atls_config *upstream = NULL;
    atls_status status = atls_config_new(NULL, 0, &upstream, &error);
    if (status == ATLS_OK)
        status = atls_config_set_unattested(upstream, &error); /* it is this side that proves itself */
    if (status == ATLS_OK)
        status = forward_configure(upstream, config, &error);
    int code = status == ATLS_OK ? service_prepare(&serving->service, args) : fail_status(status, error, NULL);
    if (code == 0)
        code = service_connect(&serving->service, upstream, UPSTREAM_IDLE_MS, 0);
    if (code == 0)
        code = service_run(&serving->service, config, &serving->place);
    atls_config_free(upstream);
    return code;
}

static int run(const struct arguments *args)
{
    struct serving serving = {.service = {.scheme = "https", .reload = reload}};
    atls_error *error = NULL;
    atls_server_config *config = NULL;
    const char *listen = option_text(args, "listen");
    int code = set_upstream(&serving, args);
    if (code == 0)
        code = listen_parse(listen ? listen : ":443", &serving.place);
    if (code == 0) {
        atls_status status = atls_server_config_new(&config, &error);
        code = status == ATLS_OK ? 0 : fail_status(status, error, NULL);
    }
    if (code == 0)
        code = set_identity(config, args);
    if (code == 0)
        code = set_evidence(config, args);
    if (code == 0)
        code = serve(&serving, config, args);
    service_free(&serving.service);
    atls_server_config_free(config);
    return code;
}

const struct command command_serve = {
    .name = "serve",
    .operands = "",
    .summary = "Prove this machine to clients, and forward to a server on it",
    .text = "A TLS server for a machine in a trusted execution environment. It answers clients that ask for evidence, by the protocols atlas-v1 and "
            "exporter-v1, and forwards all other requests to a server on the same machine, which needs to know nothing of it. Both bodies stream.\n\n"
            "The fields Forwarded, X-Forwarded-* and X-Real-IP of clients are removed, so that the upstream may believe those that --forwarded sets. "
            "So are Proxy and all names with other characters than letters, digits and hyphens, which an upstream could take for these.\n\n"
            "SIGTERM and SIGINT end it once the requests under way are over; the second one ends it at once. SIGHUP reads certificate and key again.",
    .options = options,
    .examples = examples,
    .run = run,
};
