/* The same requests to one attested server, directly or through a proxy that has attested it. proxied_atls URL MODE N
 * An https: URL is attested by the policy in BENCH_POLICY, under BENCH_ROOT; an http: URL is the proxy's.
 * seq: small requests; down: 256 MiB. One after the other on one connection. */
#include "meter.h"
#include <atls.h>

static atls_error *error;
static unsigned char window[CHUNK];

static void ok(atls_status status)
{
	if (status == ATLS_OK)
		return;
	fprintf(stderr, "%s: %s\n", atls_status_name(status).ptr, atls_error_message(error).ptr);
	exit(1);
}

static atls_bytes contents(const char *path)
{
	static char text[3][65536];
	static int next;
	char *to = text[next++];
	FILE *f = fopen(path, "rb");
	size_t n = f ? fread(to, 1, sizeof text[0] - 1, f) : 0;
	if (n == 0)
		exit(2);
	fclose(f);
	to[n] = '\0';
	return atls_bytes_of(to, n);
}

static void trust(atls_config *config)
{
	char path[512];
	atls_policy *policy;
	atls_verifier *verifier;
	atls_verifier_config *roots;
	snprintf(path, sizeof path, "%s/ca.pem", need("BENCH_PKI"));
	ok(atls_config_add_root_pem(config, (const char *)contents(path).ptr, &error));
	ok(atls_policy_new(contents(need("BENCH_POLICY")), &policy, &error));
	ok(atls_config_set_policy(config, policy, &error));
	ok(atls_verifier_config_new(&roots, &error));
	ok(atls_verifier_config_set_simulated_root(roots, contents(need("BENCH_ROOT")), &error));
	ok(atls_verifier_new(roots, &verifier, &error));
	ok(atls_config_set_verifier(config, verifier, &error));
}

static uint64_t fetch(atls_client *client, const char *url)
{
	uint64_t total = 0;
	size_t n;
	atls_request *request;
	atls_exchange *exchange;
	atls_head *head;
	ok(atls_request_new_url("GET", url, &request, &error));
	ok(atls_client_fetch(client, request, &exchange, &error));
	ok(atls_exchange_head(exchange, 0, &head, &error));
	if (atls_head_status(head) != 200)
		exit(1);
	do {
		ok(atls_exchange_read(exchange, window, sizeof window, 0, &n, &error));
		total += n;
	} while (n);
	atls_head_free(head);
	atls_exchange_free(exchange);
	atls_request_free(request);
	return total;
}

int main(int argc, char **argv)
{
	char url[300];
	atls_config *config;
	atls_client *client;
	if (argc != 4)
		return 2;
	int download = !strcmp(argv[2], "down"), attested = !strncmp(argv[1], "https", 5);
	uint64_t n = strtoull(argv[3], NULL, 10), bytes = 0;
	ok(atls_config_new(NULL, 0, &config, &error));
	if (attested)
		trust(config);
	else
		ok(atls_config_set_unattested(config, &error));
	ok(atls_client_new(NULL, config, NULL, &client, &error));
	snprintf(url, sizeof url, "%s/small", argv[1]);
	fetch(client, url); /* connects, and has the server attested */
	snprintf(url, sizeof url, "%s/%s", argv[1], download ? "256m" : "small");
	struct meter m = meter_start();
	for (uint64_t i = 0; i < n; i++)
		bytes += fetch(client, url);
	meter_finish(m, n, bytes);
	return 0;
}
