/* The collateral store: what the log says of its sources, and a disk that takes nothing. tests/rust/collateral*.rs have the rest. */
#define _XOPEN_SOURCE 700
#include "sim.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

static struct sim sim;
static char warnings[1 << 16], steps[1 << 18];

static void on_log(void *user_data, uint32_t level, atls_str line)
{
    (void)user_data;
    char *place = level == ATLS_LOG_WARNING ? warnings : steps;
    size_t room = level == ATLS_LOG_WARNING ? sizeof warnings : sizeof steps;
    CHECK(strlen(place) + line.len + 2 < room);
    strcat(strcat(place, line.ptr), "\n");
}

static int count(const char *text, const char *part)
{
    int n = 0;
    for (text = strstr(text, part); text; text = strstr(text + 1, part))
        n++;
    return n;
}

/* Connects under policy.json with `member` in the place of its pccs_url; %s in it is that URL. */
static atls_status connect_with(const char *member, atls_verifier *verifier, char *message, size_t room)
{
    atls_error *error = NULL;
    atls_policy *policy = NULL;
    atls_stream *stream = NULL;
    size_t len;
    static char text[1 << 17], url[200];
    char *json = sim_file("policy.json", &len), *at = strstr(json, "\"pccs_url\":\"");
    CHECK(at && sscanf(at, "\"pccs_url\":\"%199[^\"]", url) == 1);
    int n = snprintf(text, sizeof text, "%.*s", (int)(at - json), json);
    n += snprintf(text + n, sizeof text - n, member, url);
    n += snprintf(text + n, sizeof text - n, "%s", at + strlen("\"pccs_url\":\"\"") + strlen(url));
    free(json);
    atls_config *config = sim_config(sim.raw, NULL);
    OK(atls_policy_new(atls_bytes_of(text, (size_t)n), &policy, &error));
    OK(atls_config_set_policy(config, policy, &error));
    OK(atls_config_set_verifier(config, verifier, &error));
    atls_status status = atls_stream_connect(config, &stream, &error);
    snprintf(message, room, "%s", error ? atls_error_message(error).ptr : "");
    atls_error_free(error);
    atls_stream_free(stream);
    atls_policy_free(policy);
    atls_config_free(config);
    return status;
}

static void each_source_that_failed_is_logged(void)
{
    char said[4096];
    atls_verifier *verifier = sim_verifier(NULL);
    warnings[0] = steps[0] = '\0';
    atls_log_set(ATLS_LOG_DEBUG, on_log, NULL);
    CHECK(connect_with("\"collateral\":{\"sources\":[\"http://localhost:1/hidden-path\",\"%s\"]}", verifier, said, sizeof said) == ATLS_OK);
    atls_log_set(ATLS_LOG_OFF, NULL, NULL);
    CHECK(count(warnings, "collateral: localhost:1: ") == 4 && count(warnings, "COLLATERAL_UNAVAILABLE") == 4);
    CHECK(count(warnings, "tcb_info/") == 1 && count(warnings, "root_crl") == 1);
    CHECK(count(steps, "asking for root_crl") >= 2 && count(steps, ": taken, ") == 4);
    CHECK(!strstr(warnings, "hidden-path") && !strstr(steps, "hidden-path") && !strstr(steps, "certification/v4"));
    atls_verifier_free(verifier);

    /* The host learns of all of them. */
    verifier = sim_verifier(NULL);
    CHECK(connect_with("\"collateral\":{\"sources\":[\"http://localhost:1\",\"http://localhost:2\"]}%.0s", verifier, said, sizeof said) ==
          ATLS_COLLATERAL_UNAVAILABLE);
    CHECK(strstr(said, "http://localhost:1: ") && strstr(said, "http://localhost:2: ") && strstr(said, "root_crl"));
    atls_verifier_free(verifier);
}

static int files(const char *folder, const char *end)
{
    int n = 0;
    DIR *dir = opendir(folder);
    CHECK(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        size_t len = strlen(entry->d_name), tail = strlen(end);
        n += entry->d_name[0] != '.' && len >= tail && strcmp(entry->d_name + len - tail, end) == 0;
    }
    closedir(dir);
    return n;
}

static atls_verifier *disk_verifier(const char *folder)
{
    atls_error *error = NULL;
    atls_verifier *verifier = NULL;
    size_t len;
    atls_verifier_config *config = NULL;
    OK(atls_verifier_config_new(&config, &error));
    char *root = sim_file("root.der", &len);
    OK(atls_verifier_config_set_simulated_root(config, atls_bytes_of(root, len), &error));
    OK(atls_verifier_config_set_disk_cache(config, folder, &error));
    OK(atls_verifier_new(config, &verifier, &error));
    free(root);
    atls_verifier_config_free(config);
    return verifier;
}

/* A disk that takes no more than 100 bytes of a file: the connection is as good without it, and nothing is left. */
static void a_full_disk_harms_no_connection(void)
{
    char folder[] = "/tmp/atls-verifier-XXXXXX", command[100], said[4096];
    struct rlimit limit, small;
    CHECK(mkdtemp(folder));
    CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    small = limit;
    small.rlim_cur = 100;
    signal(SIGXFSZ, SIG_IGN);
    warnings[0] = '\0';
    atls_log_set(ATLS_LOG_WARNING, on_log, NULL);
    for (int round = 0; round < 2; round++) {
        atls_verifier *verifier = disk_verifier(folder);
        CHECK(setrlimit(RLIMIT_FSIZE, round == 0 ? &small : &limit) == 0);
        atls_status status = connect_with("\"pccs_url\":\"%s\"", verifier, said, sizeof said);
        CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
        CHECK(status == ATLS_OK);
        CHECK(count(warnings, "not kept on disk") == 4);
        CHECK(files(folder, ".json") == (round == 0 ? 0 : 4) && files(folder, "") == files(folder, ".json") + 1);
        atls_verifier_free(verifier);
    }
    atls_log_set(ATLS_LOG_OFF, NULL, NULL);
    snprintf(command, sizeof command, "rm -r %s", folder);
    CHECK(system(command) == 0);
}

static void a_route_is_copied_and_checked(void)
{
    atls_error *error = NULL;
    atls_config *route = NULL;
    atls_verifier_config *config = NULL;
    OK(atls_verifier_config_new(&config, &error));
    OK(atls_config_new(NULL, 0, &route, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "config", atls_verifier_config_set_route(NULL, route, &error));
    OK(atls_verifier_config_set_route(config, route, &error));
    /* A copy: what becomes of the other one does not matter. */
    OK(atls_config_add_root_pem(route, "not a certificate", &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "root certificate", atls_verifier_config_set_route(config, route, &error));
    atls_config_free(route);
    OK(atls_verifier_config_set_route(config, NULL, &error));
    atls_verifier_config_free(config);
}

static void set_up(void)
{
    sim = sim_start();
}

TESTS(set_up, NULL, CASE(a_route_is_copied_and_checked), CASE(each_source_that_failed_is_logged), CASE(a_full_disk_harms_no_connection))
