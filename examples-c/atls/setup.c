/* setup.c - policy, verifier and configuration from the options and the environment. */
#include "setup.h"

#include <stdlib.h>
#include <string.h>

#include "environment.h"
#include "failure.h"
#include "files.h"

int setup_policy(const struct arguments *args, atls_policy **policy)
{
    struct file json;
    atls_error *error = NULL;
    const char *path = option_text(args, "policy");
    if (!path) {
        fail(CODE_CALL, "--policy FILE is missing: it says what the server must prove, and nothing is sent without it");
        fprintf(stderr, "To draft one from what a server shows: atls measure URL -o policy.json\n");
        return CODE_CALL;
    }
    int code = file_read(path, FILE_LIMIT_DOCUMENT, &json);
    if (code != 0)
        return code;
    atls_status status = atls_policy_new(file_bytes(&json), policy, &error);
    file_free(&json);
    return status == ATLS_OK ? 0 : fail_status(status, error, path);
}

static int add_test_root(atls_verifier_config *trust, atls_verification *question, const char *vendor, const struct file *root)
{
    atls_error *error = NULL;
    atls_status status;
    bool is_pem = root->len > 10 && memcmp(root->data, "-----BEGIN", 10) == 0;
    if (!is_pem && strcmp(vendor, "intel") == 0)
        status = trust ? atls_verifier_config_set_simulated_root(trust, file_bytes(root), &error)
                       : atls_verification_set_simulated_root(question, file_bytes(root), &error);
    else
        status = trust ? atls_verifier_config_add_simulated_root(trust, vendor, file_bytes(root), &error)
                       : atls_verification_add_simulated_root(question, vendor, file_bytes(root), &error);
    return status == ATLS_OK ? 0 : fail_status(status, error, "--test-root");
}

int setup_test_roots(const struct arguments *args, atls_verifier_config *trust, atls_verification *question)
{
    const char *text;
    for (size_t i = 0; (text = option_at(args, "test-root", i)); i++) {
        char vendor[32];
        struct file root;
        size_t len = strcspn(text, "=");
        if (text[len] != '=' || len >= sizeof vendor)
            return fail(CODE_CALL, "--test-root: '%s' is not VENDOR=FILE", text);
        memcpy(vendor, text, len);
        vendor[len] = '\0';
        int code = file_read(text + len + 1, FILE_LIMIT_DOCUMENT, &root);
        if (code == 0)
            code = add_test_root(trust, question, vendor, &root);
        file_free(&root);
        if (code != 0)
            return code;
    }
    if (option_given(args, "test-root"))
        warn("--test-root: evidence is judged under roots for tests, and proves nothing about hardware");
    return 0;
}

/* Of --cacert or SSL_CERT_FILE. `*pem` is empty if there is neither. */
static int read_roots(const struct arguments *args, struct file *pem)
{
    const char *path = option_text(args, "cacert");
    if (!path)
        path = environment_roots();
    *pem = (struct file){NULL, 0};
    int code = path ? file_read(path, FILE_LIMIT_DOCUMENT, pem) : 0;
    if (code == 0 && path && (!pem->data || !strstr((char *)pem->data, "-----BEGIN CERTIFICATE-----"))) {
        file_free(pem);
        return fail(CODE_CALL, "%s: no certificate in PEM", path);
    }
    return code;
}

static int set_roots(const struct arguments *args, atls_config *config)
{
    struct file pem;
    atls_error *error = NULL;
    int code = read_roots(args, &pem);
    if (code != 0 || !pem.data)
        return code;
    atls_status status = atls_config_add_root_pem(config, (char *)pem.data, &error);
    if (status == ATLS_OK)
        status = atls_config_set_roots(config, false, false, &error);
    file_free(&pem);
    return status == ATLS_OK ? 0 : fail_status(status, error, "root certificates");
}

/* scheme://[user[:password]@]host:port */
static int set_proxy(atls_config *config, const char *url, const char *origin)
{
    char *copy = malloc(strlen(url) + 8);
    if (!copy)
        return fail(CODE_SYSTEM, "out of memory");
    size_t scheme = strspn(url, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
    strcpy(copy, scheme > 0 && strncmp(url + scheme, "://", 3) == 0 ? "" : "http://"); /* a password may have "://" */
    strcat(copy, url);
    char *host = strstr(copy, "://") + 3, *at = strrchr(host, '@'), *user = NULL, *password = NULL;
    if (at) {
        *at = '\0';
        user = strdup(host);
        password = user ? strchr(user, ':') : NULL;
        if (password)
            *password++ = '\0';
        if (user)
            url_decode(user);
        if (password)
            url_decode(password);
        memmove(host, at + 1, strlen(at + 1) + 1);
    }
    atls_error *error = NULL;
    atls_status status = atls_config_set_proxy(config, copy, user, user ? password ? password : "" : NULL, ATLS_AUTH_BASIC, &error);
    free(user);
    free(copy);
    return status == ATLS_OK ? 0 : fail_status(status, error, origin);
}

/* `for_host` is NULL for collateral services, which NO_PROXY does not except. */
static int choose_proxy(const struct arguments *args, const char *for_host, atls_config *config)
{
    const char *variable, *url = option_text(args, "proxy");
    if (url)
        return *url ? set_proxy(config, url, "--proxy") : 0;
    url = environment_proxy(&variable);
    if (!url || (for_host && environment_no_proxy(for_host)))
        return 0;
    return set_proxy(config, url, variable);
}

/* How many parts colons make, outside of brackets. */
static int parts_of(const char *text)
{
    int parts = 1, depth = 0;
    for (; *text; text++) {
        depth += (*text == '[') - (*text == ']');
        parts += *text == ':' && depth == 0;
    }
    return parts;
}

static int add_mapping(atls_config *config, const struct url *url, const char *text)
{
    char hosts[2][256], ports[2][8];
    const char *rest = text;
    for (int i = 0; i < 2 && rest; i++) {
        rest = url_part(rest, hosts[i], sizeof hosts[i]);
        rest = rest ? url_part(rest, ports[i], sizeof ports[i]) : NULL;
    }
    if (!rest || *rest || parts_of(text) != 4)
        return fail(CODE_CALL, "--connect-to: '%s' is not HOST1:PORT1:HOST2:PORT2", text);
    uint16_t from = *ports[0] ? url_port(ports[0]) : url ? url->port : 443, to = *ports[1] ? url_port(ports[1]) : from;
    if (from == 0 || to == 0)
        return fail(CODE_CALL, "--connect-to: '%s' has no usable port", text);
    const char *host = *hosts[0] ? hosts[0] : url ? url->host : "", *other = *hosts[1] ? hosts[1] : host;
    if (!*host)
        return 0; /* the host of the URL, and there is none: a route to collateral services */
    atls_error *error = NULL;
    atls_status status = atls_config_map_host(config, host, from, other, to, &error);
    return status == ATLS_OK ? 0 : fail_status(status, error, "--connect-to");
}

static int set_route(const struct arguments *args, const struct url *url, atls_config *config)
{
    const char *text;
    for (size_t i = 0; (text = option_at(args, "connect-to", i)); i++) {
        int code = add_mapping(config, url, text);
        if (code != 0)
            return code;
    }
    return choose_proxy(args, url ? url->host : NULL, config);
}

int setup_config(const struct arguments *args, const struct url *url, atls_config **config)
{
    atls_error *error = NULL;
    atls_status status = atls_config_new(url ? url->host : NULL, url ? url->port : 0, config, &error);
    if (status != ATLS_OK)
        return fail_status(status, error, url ? url_shown(url->text) : NULL);
    int code = set_roots(args, *config);
    if (code == 0)
        code = set_route(args, url, *config);
    if (code == 0 && option_find(args->command, "max-time")) {
        uint32_t limit = option_milliseconds(args, "max-time", 0);
        status = limit ? atls_config_set_deadline(*config, limit, &error) : ATLS_OK;
        code = status == ATLS_OK ? 0 : fail_status(status, error, "--max-time");
    }
    return code;
}

/* Collateral services: the same proxy, and roots beside the built-in ones. */
static int configure_verifier(const struct arguments *args, atls_verifier_config *trust)
{
    struct file pem;
    atls_config *route = NULL;
    atls_error *error = NULL;
    int code = read_roots(args, &pem);
    if (code == 0 && pem.data) {
        atls_status status = atls_verifier_config_add_root_pem(trust, (char *)pem.data, &error);
        code = status == ATLS_OK ? 0 : fail_status(status, error, "root certificates");
    }
    file_free(&pem);
    const char *folder = option_text(args, "collateral-cache");
    if (code == 0 && folder) {
        atls_status status = atls_verifier_config_set_disk_cache(trust, folder, &error);
        code = status == ATLS_OK ? 0 : fail_status(status, error, "--collateral-cache");
    }
    if (code == 0) {
        atls_status status = atls_config_new(NULL, 0, &route, &error);
        code = status == ATLS_OK ? set_route(args, NULL, route) : fail_status(status, error, NULL);
    }
    if (code == 0) {
        atls_status status = atls_verifier_config_set_route(trust, route, &error);
        code = status == ATLS_OK ? 0 : fail_status(status, error, NULL);
    }
    atls_config_free(route);
    return code == 0 ? setup_test_roots(args, trust, NULL) : code;
}

static int import(atls_verifier *verifier, const char *path)
{
    struct file bundle;
    atls_error *error = NULL;
    int code = file_read(path, FILE_LIMIT_COLLATERAL, &bundle);
    if (code != 0)
        return code;
    atls_status status = atls_verifier_import(verifier, file_bytes(&bundle), NULL, &error);
    file_free(&bundle);
    return status == ATLS_OK ? 0 : fail_status(status, error, path);
}

int setup_verifier(const struct arguments *args, atls_verifier **verifier)
{
    atls_error *error = NULL;
    atls_verifier_config *trust = NULL;
    atls_status status = atls_verifier_config_new(&trust, &error);
    int code = status == ATLS_OK ? configure_verifier(args, trust) : fail_status(status, error, NULL);
    if (code == 0) {
        status = atls_verifier_new(trust, verifier, &error);
        code = status == ATLS_OK ? 0 : fail_status(status, error, NULL);
    }
    atls_verifier_config_free(trust);
    const char *path;
    for (size_t i = 0; code == 0 && (path = option_at(args, "collateral", i)); i++)
        code = import(*verifier, path);
    return code;
}

int setup_make(const struct arguments *args, const struct url *url, struct setup *setup)
{
    atls_error *error = NULL;
    *setup = (struct setup){NULL, NULL, NULL};
    int code = option_find(args->command, "policy") ? setup_policy(args, &setup->policy) : 0;
    if (code == 0)
        code = setup_config(args, url, &setup->config);
    if (code == 0)
        code = setup_verifier(args, &setup->verifier);
    if (code != 0)
        return code;
    atls_status status = setup->policy ? atls_config_set_policy(setup->config, setup->policy, &error) : ATLS_OK;
    if (status == ATLS_OK)
        status = atls_config_set_verifier(setup->config, setup->verifier, &error);
    return status == ATLS_OK ? 0 : fail_status(status, error, NULL);
}

void setup_free(struct setup *setup)
{
    atls_config_free(setup->config);
    atls_verifier_free(setup->verifier);
    atls_policy_free(setup->policy);
}
