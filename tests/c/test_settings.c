/* A constant of one family given to the setter of another is refused, and changes nothing. */
#include "test.h"

static _Thread_local atls_error *error;

static void a_constant_of_another_family_is_refused(void)
{
    static const uint32_t server_limits[] = {ATLS_SERVER_LIMIT_CONNECTIONS, ATLS_SERVER_LIMIT_CONNECTIONS_PER_ADDRESS, ATLS_SERVER_LIMIT_HEAD_BYTES, ATLS_SERVER_LIMIT_HEADERS,
        ATLS_SERVER_LIMIT_BODY_BYTES, ATLS_SERVER_LIMIT_EVIDENCE_PER_SECOND, ATLS_SERVER_LIMIT_DATA_BYTES, ATLS_SERVER_LIMIT_BACKLOG};
    static const uint32_t server_deadlines[] = {ATLS_SERVER_DEADLINE_HANDSHAKE, ATLS_SERVER_DEADLINE_HEAD, ATLS_SERVER_DEADLINE_IDLE, ATLS_SERVER_DEADLINE_BODY,
        ATLS_SERVER_DEADLINE_SEND, ATLS_SERVER_DEADLINE_TCP_KEEPALIVE};
    static const uint32_t driver_limits[] = {ATLS_H1_DRIVER_LIMIT_HEAD_BYTES, ATLS_H1_DRIVER_LIMIT_DATA_BYTES, ATLS_H1_DRIVER_LIMIT_BODY_BYTES, ATLS_H1_DRIVER_LIMIT_HEADERS};
    static const uint32_t driver_deadlines[] = {ATLS_H1_DRIVER_DEADLINE_HEAD, ATLS_H1_DRIVER_DEADLINE_BODY, ATLS_H1_DRIVER_DEADLINE_TCP_KEEPALIVE};
    static const uint32_t request_deadlines[] = {ATLS_REQUEST_DEADLINE_HEAD, ATLS_REQUEST_DEADLINE_QUEUE, ATLS_REQUEST_DEADLINE_CONNECT, ATLS_REQUEST_DEADLINE_FIRST_BYTE, ATLS_REQUEST_DEADLINE_IDLE, ATLS_REQUEST_DEADLINE_TOTAL};
    static const uint32_t tunnel_deadlines[] = {ATLS_TUNNEL_DEADLINE_CONNECT, ATLS_TUNNEL_DEADLINE_IDLE, ATLS_TUNNEL_DEADLINE_TOTAL};
    static const struct {
        const uint32_t *all;
        size_t count;
    } families[] = {{server_limits, 8}, {server_deadlines, 6}, {driver_limits, 4}, {driver_deadlines, 3}, {request_deadlines, 6}, {tunnel_deadlines, 3}};
    atls_server_config *server = NULL;
    atls_h1_driver_config *driver = NULL;
    atls_request *request = NULL;
    atls_tunnel_config *tunnel = NULL;
    OK(atls_server_config_new(&server, &error));
    OK(atls_h1_driver_config_new(ATLS_H1_SERVER, &driver, &error));
    OK(atls_request_new_url("GET", "http://localhost/", &request, &error));
    OK(atls_tunnel_config_new(&tunnel, &error));
    for (int family = 0; family < 6; family++)
        for (size_t i = 0; i < families[family].count; i++) {
            uint32_t which = families[family].all[i];
            EXPECT(family == 0 ? ATLS_OK : ATLS_INVALID_ARGUMENT, NULL, atls_server_config_set_limit(server, which, 20, &error));
            EXPECT(family == 1 ? ATLS_OK : ATLS_INVALID_ARGUMENT, NULL, atls_server_config_set_deadline(server, which, 20, &error));
            EXPECT(family == 2 ? ATLS_OK : ATLS_INVALID_ARGUMENT, NULL, atls_h1_driver_config_set_limit(driver, which, 20, &error));
            EXPECT(family == 3 ? ATLS_OK : ATLS_INVALID_ARGUMENT, NULL, atls_h1_driver_config_set_deadline(driver, which, 20, &error));
            EXPECT(family == 4 ? ATLS_OK : ATLS_INVALID_ARGUMENT, NULL, atls_request_set_deadline(request, which, 20, &error));
            EXPECT(family == 5 ? ATLS_OK : ATLS_INVALID_ARGUMENT, NULL, atls_tunnel_config_set_deadline(tunnel, which, 20, &error));
        }
    atls_server_config_free(server);
    atls_h1_driver_config_free(driver);
    atls_request_free(request);
    atls_tunnel_config_free(tunnel);
}

static void versions_of_http_are_a_set(void)
{
    atls_server_config *server = NULL;
    atls_config *client = NULL;
    OK(atls_server_config_new(&server, &error));
    OK(atls_config_new(NULL, 0, &client, &error));
    for (uint32_t versions = 0; versions < 16; versions++) {
        bool known = versions == 0 || versions == ATLS_HTTP_VERSION_1_1 || versions == ATLS_HTTP_VERSION_2 ||
                     versions == (ATLS_HTTP_VERSION_1_1 | ATLS_HTTP_VERSION_2);
        EXPECT(known ? ATLS_OK : ATLS_INVALID_ARGUMENT, NULL, atls_server_config_set_http_versions(server, versions, &error));
        EXPECT(known ? ATLS_OK : ATLS_INVALID_ARGUMENT, NULL, atls_config_set_http_versions(client, versions, &error));
    }
    atls_config_free(client);
    atls_server_config_free(server);
}

TESTS(NULL, NULL, CASE(a_constant_of_another_family_is_refused), CASE(versions_of_http_are_a_set))
