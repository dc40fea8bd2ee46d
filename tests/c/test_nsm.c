/* Nitro enclaves: the security module, behind an ioctl that this program answers in the kernel's place, by way of the simulator's module. */
#include "attesting.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

static const unsigned long ask_module = 0xC0200A00;

/* What the driver answers: 0 is what the module says, -1 leaves it to the kernel, all else is errno. */
static _Atomic int driver;
static _Atomic int asked;

/* In place of the C library's, for the library too. */
int ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    if (request != ask_module || driver < 0)
        return (int)syscall(SYS_ioctl, fd, request, argument);
    struct {
        struct iovec request, response;
    } *exchange = argument;
    CHECK(sizeof *exchange == 32 && exchange->request.iov_len <= 0x1000 && exchange->response.iov_len == 0x3000);
    asked++;
    if (driver > 0) {
        errno = driver;
        return -1;
    }
    exchange->response.iov_len =
        machine_ask("nsm.sock", exchange->request.iov_base, exchange->request.iov_len, exchange->response.iov_base, 0x3000);
    return 0;
}

static atls_check outcome(atls_http *http, const char *name)
{
    atls_verdict *verdict = atls_http_verdict(http);
    CHECK(verdict && atls_verdict_trusted(verdict) && atls_verdict_bound_to_session(verdict));
    atls_check found = ATLS_CHECK_FAIL;
    for (size_t i = 0; i < atls_verdict_check_count(verdict); i++) {
        if (strcmp(atls_verdict_check_name(verdict, i).ptr, name) == 0)
            found = atls_verdict_check_outcome(verdict, i);
    }
    atls_verdict_free(verdict);
    return found;
}

static void an_enclave_serves_with_the_key_that_its_module_names(void)
{
    atls_http *http = NULL;
    atls_server_config *config = server_config();
    EXPECT(ATLS_INVALID_ARGUMENT, "/nowhere/nsm", atls_server_config_set_nsm(config, "/nowhere/nsm", &error));
    OK(atls_server_config_set_nsm(config, "/dev/null", &error));
    atls_server *server = start(config);
    atls_config *wants = client("nitro-policy.json");
    OK(atls_http_connect(wants, &http, &error));
    CHECK(outcome(http, "public_key") == ATLS_CHECK_PASS && outcome(http, "report_data") == ATLS_CHECK_PASS && asked == 1);
    atls_http_free(http);
    atls_config_free(wants);
    /* It is no TDX guest. */
    EXPECT(ATLS_NO_EVIDENCE, "nitro", get(client("strict-policy.json"), (char[32]){0}));
    CHECK(asked == 1);
    end(server);
}

static void an_enclave_proves_itself_as_a_client(void)
{
    char kind[32];
    atls_server_config *config = server_config();
    OK(atls_server_config_set_dstack_agent(config, path_of("agent.sock"), &error));
    atls_policy *policy = policy_of("nitro-policy.json");
    atls_verifier *verifier = machine_verifier();
    OK(atls_server_config_set_client_policy(config, policy, verifier, &error));
    atls_policy_free(policy);
    atls_verifier_free(verifier);
    atls_server *server = start(config);
    atls_config *enclave = client("tdx-first.json");
    EXPECT(ATLS_INVALID_ARGUMENT, "/nowhere/nsm", atls_config_set_nsm(enclave, "/nowhere/nsm", &error));
    OK(atls_config_set_nsm(enclave, "/dev/null", &error));
    OK(get(enclave, kind));
    CHECK(strcmp(kind, "tdx") == 0 && strcmp(client_kind, "nitro") == 0 && asked == 1);
    end(server);
}

static void a_module_that_gives_nothing_is_no_evidence(void)
{
    char kind[32];
    atls_server_config *config = server_config();
    OK(atls_server_config_set_nsm(config, "/dev/null", &error));
    atls_server *server = start(config);
    driver = EMSGSIZE;
    EXPECT(ATLS_NO_EVIDENCE, "500", get(client("nitro-policy.json"), kind));
    /* The kernel, which knows of no module there. */
    driver = -1;
    EXPECT(ATLS_NO_EVIDENCE, "500", get(client("nitro-policy.json"), kind));
    driver = 0;
    OK(get(client("nitro-policy.json"), kind));
    CHECK(strcmp(kind, "nitro") == 0 && asked == 2);
    end(server);
}

static void set_up(void)
{
    sim_start();
    loop_start();
    driver = asked = 0;
}

TESTS(set_up, loop_end, CASE(an_enclave_serves_with_the_key_that_its_module_names), CASE(an_enclave_proves_itself_as_a_client),
      CASE(a_module_that_gives_nothing_is_no_evidence))
