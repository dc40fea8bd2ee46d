/* The library's pooled client, through its C interface, in the modes of its peers. pool_atls MODE ARGS
 * seq N | down PATH TIMES | up BYTES TIMES | hs N
 * All are blocking; events_atls.c has requests at a time. hs closes each connection after its request. */
#include "meter.h"
#include <atls.h>

static atls_error *error;
static atls_client *client;
static unsigned char window[CHUNK];

static void ok(atls_status status)
{
	if (status == ATLS_OK)
		return;
	fprintf(stderr, "%s: %s\n", atls_status_name(status).ptr, atls_error_message(error).ptr);
	exit(1);
}

static void make_client(void)
{
	char path[512], pem[16384] = "";
	atls_config *config;
	snprintf(path, sizeof path, "%s/ca.pem", need("BENCH_PKI"));
	FILE *f = fopen(path, "rb");
	if (!f || fread(pem, 1, sizeof pem - 1, f) == 0)
		exit(2);
	fclose(f);
	ok(atls_config_new("localhost", 1, &config, &error));
	ok(atls_config_set_roots(config, false, false, &error));
	ok(atls_config_add_root_pem(config, pem, &error));
	ok(atls_config_set_unattested(config, &error));
	ok(atls_client_new(NULL, config, NULL, &client, &error));
}

static atls_request *request(const char *method, const char *path, int closes)
{
	char url[256];
	atls_request *r;
	snprintf(url, sizeof url, "https://localhost:%s%s", need("BENCH_PORT"), path);
	ok(atls_request_new_url(method, url, &r, &error));
	ok(atls_request_add_header(r, "user-agent", atls_bytes_of("bench/1", 7), &error));
	ok(atls_request_add_header(r, "accept", atls_bytes_of("*/*", 3), &error));
	if (closes)
		ok(atls_request_add_header(r, "connection", atls_bytes_of("close", 5), &error));
	return r;
}

static uint64_t finish(atls_exchange *x)
{
	uint64_t total = 0;
	size_t n;
	do {
		ok(atls_exchange_read(x, window, sizeof window, 0, &n, &error));
		__asm__ volatile("" : : "r"(window) : "memory");
		total += n;
	} while (n);
	atls_exchange_free(x);
	return total;
}

static uint64_t fetch(atls_request *r)
{
	atls_exchange *x;
	ok(atls_client_fetch(client, r, &x, &error));
	return finish(x);
}

static void upload(uint64_t size, uint64_t times)
{
	atls_request *post = request("POST", "/sink", 0);
	struct meter m = meter_start();
	memset(window, 'u', sizeof window);
	ok(atls_request_set_body_stream(post, size, &error));
	for (uint64_t i = 0; i < times; i++) {
		atls_exchange *x;
		ok(atls_client_fetch(client, post, &x, &error));
		for (uint64_t sent = 0; sent < size; sent += CHUNK)
			ok(atls_exchange_write_all(x, atls_bytes_of(window, CHUNK), 0, &error));
		ok(atls_exchange_finish(x, &error));
		finish(x);
		memset(window, 'u', sizeof window);
	}
	meter_finish(m, times, times * size);
}

int main(int argc, char **argv)
{
	const char *mode = argv[1];
	uint64_t n = strtoull(argv[argc - 1], NULL, 10), bytes = 0;
	make_client();
	atls_request *r = request("GET", !strcmp(mode, "down") ? argv[2] : "/small", !strcmp(mode, "hs"));
	fetch(request("GET", "/small", !strcmp(mode, "hs")));
	if (!strcmp(mode, "up")) {
		upload(strtoull(argv[2], NULL, 10), n);
		return 0;
	}
	struct meter m = meter_start();
	for (uint64_t i = 0; i < n; i++)
		bytes += fetch(r);
	meter_finish(m, n, bytes);
	return 0;
}
