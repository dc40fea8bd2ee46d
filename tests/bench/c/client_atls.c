/* The library, through its C interface. client_atls MODE ARGS
 * seq N | down PATH TIMES | up BYTES TIMES | hs N                                 over HTTP, unattested, as its peers
 * raw BYTES                                                                        a raw stream that downloads
 * attested N | plain N      N connections to the simulator in ATLS_SIM, with and without attestation
 * cycles N                  N times connect, attest, fetch, close; rss must not grow
 * slow BYTES                BYTES streamed to a reader that takes 1 MiB a time and rests between; rss must not grow
 * With BENCH_TUNNEL=ws://... the modes against the bench's server go through a tunnel.
 * All but slow are blocking; events_atls.c has the event-driven modes. */
#include "meter.h"
#include <atls.h>
#include <stdatomic.h>
#include <unistd.h>

static atls_error *error;
static atls_config *config;
static unsigned char window[CHUNK];

static void ok(atls_status status)
{
	if (status == ATLS_OK)
		return;
	fprintf(stderr, "%s: %s\n", atls_status_name(status).ptr, atls_error_message(error).ptr);
	exit(1);
}

static char *slurp(const char *folder, const char *name, size_t *len)
{
	char path[512];
	char *data = calloc(1, 1 << 17);
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *f = fopen(path, "rb");
	if (!f)
		exit(2);
	*len = fread(data, 1, (1 << 17) - 1, f);
	fclose(f);
	return data;
}

static atls_request *request(const char *method, const char *path, int closes)
{
	atls_request *r;
	ok(atls_request_new(method, path, "localhost", &r, &error));
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

static uint64_t fetch(atls_http *http, atls_request *r)
{
	atls_exchange *x;
	ok(atls_http_fetch(http, r, &x, &error));
	return finish(x);
}

static atls_http *open_http(void)
{
	atls_http *http;
	ok(atls_http_connect(config, &http, &error));
	return http;
}

static void simulated(int attested)
{
	const char *folder = need("ATLS_SIM");
	size_t len;
	unsigned port;
	char *ports = slurp(folder, "ports", &len);
	sscanf(ports, "HTTP=%u", &port);
	ok(atls_config_new("localhost", port, &config, &error));
	ok(atls_config_add_root_pem(config, slurp(folder, "web-ca.pem", &len), &error));
	if (!attested) {
		ok(atls_config_set_unattested(config, &error));
		return;
	}
	atls_verifier_config *trust = NULL;
	ok(atls_verifier_config_new(&trust, &error));
	atls_verifier *verifier;
	atls_policy *policy;
	char *root = slurp(folder, "root.der", &len);
	ok(atls_verifier_config_set_simulated_root(trust, atls_bytes_of(root, len), &error));
	ok(atls_verifier_new(trust, &verifier, &error));
	char *json = slurp(folder, "policy.json", &len);
	ok(atls_policy_new(atls_bytes_of(json, len), &policy, &error));
	ok(atls_config_set_policy(config, policy, &error));
	ok(atls_config_set_verifier(config, verifier, &error));
}

static void connections(uint64_t n)
{
	for (int warm = 0; warm < 3; warm++)
		atls_http_free(open_http());
	struct meter m = meter_start();
	for (uint64_t i = 0; i < n; i++)
		atls_http_free(open_http());
	meter_finish(m, n, 0);
}

/* --- nothing may grow --- */

static void cycles(uint64_t n)
{
	struct meter m;
	atls_request *r = request("GET", "/small", 0);
	for (uint64_t i = 0; i < n; i++) {
		if (i == n / 10)
			m = meter_start();
		atls_http *http = open_http();
		fetch(http, r);
		atls_http_free(http);
	}
	meter_finish(m, n - n / 10, 0);
}

static atls_queue *queue;
static atomic_long got, ended, connected;

static void on_connection(void *user, const atls_event *e)
{
	(void)user;
	if (e->kind == ATLS_EVENT_CONNECTED)
		connected++;
}

static void on_slow(void *user, const atls_event *e)
{
	(void)user;
	if (e->kind == ATLS_EVENT_DATA)
		got += atls_buf_len(e->buf);
	if (e->kind == ATLS_EVENT_CLOSED) {
		ok(e->status);
		ended = 1;
	}
}

static void slow(uint64_t bytes)
{
	atls_runtime *rt;
	atls_http *http;
	atls_exchange *x;
	char path[64];
	struct meter m;
	ok(atls_config_set_credit(config, 0, false, &error));
	ok(atls_runtime_new(1, &rt, &error));
	ok(atls_queue_new_dispatching(&queue, &error));
	atls_sink sink = { queue, 0, on_connection, NULL, NULL }, body = { queue, 0, on_slow, NULL, NULL };
	ok(atls_http_connect_start(rt, config, &sink, &http, &error));
	while (!connected)
		usleep(1000);
	snprintf(path, sizeof path, "/bytes/%llu", (unsigned long long)bytes);
	ok(atls_http_start(http, request("GET", path, 0), &body, &x, &error));
	for (uint64_t granted = 0; granted < bytes; granted += 1 << 20) {
		if (granted == 16 << 20)
			m = meter_start();
		ok(atls_exchange_grant(x, 1 << 20, &error));
		while (got < (long)(granted + (1 << 20)) && got < (long)bytes)
			usleep(100);
		usleep(2000);
	}
	while (!ended)
		usleep(1000);
	meter_finish(m, 1, bytes);
	_exit(0);
}

int main(int argc, char **argv)
{
	const char *mode = argv[1];
	uint64_t n = strtoull(argv[argc - 1], NULL, 10);
	struct meter m;
	if (!strcmp(mode, "attested") || !strcmp(mode, "plain")) {
		simulated(mode[0] == 'a');
		connections(n);
		return 0;
	}
	if (!strcmp(mode, "cycles") || !strcmp(mode, "slow")) {
		simulated(1);
		mode[0] == 'c' ? cycles(n) : slow(n);
		return 0;
	}
	size_t len;
	ok(atls_config_new("localhost", atoi(need("BENCH_PORT")), &config, &error));
	ok(atls_config_set_roots(config, false, false, &error));
	ok(atls_config_add_root_pem(config, slurp(need("BENCH_PKI"), "ca.pem", &len), &error));
	ok(atls_config_set_unattested(config, &error));
	if (getenv("BENCH_TUNNEL"))
		ok(atls_config_set_tunnel(config, getenv("BENCH_TUNNEL"), &error));
	if (!strcmp(mode, "raw")) {
		const char *get = "GET /256m HTTP/1.1\r\nhost: localhost\r\n\r\n";
		atls_stream *s;
		size_t k;
		ok(atls_stream_connect(config, &s, &error));
		m = meter_start();
		for (uint64_t i = 0; i < n; i++) {
			uint64_t want = (256u << 20), have = 0;
			ok(atls_stream_write_all(s, atls_bytes_of_text(get), 0, &error));
			while (have < want) {
				ok(atls_stream_read(s, window, sizeof window, 0, &k, &error));
				have += k;
			}
		}
		meter_finish(m, n, n << 28);
		return 0;
	}
	atls_request *r = request("GET", !strcmp(mode, "down") ? argv[2] : "/small", !strcmp(mode, "hs"));
	if (!strcmp(mode, "hs")) {
		for (uint64_t i = 0; i <= n; i++) {
			if (i == 1 || n == 0)
				m = meter_start();
			atls_http *h = open_http();
			fetch(h, r);
			atls_http_free(h);
		}
		meter_finish(m, n, n * 100);
		return 0;
	}
	atls_http *http = open_http();
	atls_request *warm = request("GET", "/small", 0);
	fetch(http, warm);
	uint64_t bytes = 0;
	m = meter_start();
	if (!strcmp(mode, "up")) {
		uint64_t size = strtoull(argv[2], NULL, 10);
		atls_request *post = request("POST", "/sink", 0);
		memset(window, 'u', sizeof window);
		ok(atls_request_set_body_stream(post, size, &error));
		for (uint64_t i = 0; i < n; i++) {
			atls_exchange *x;
			ok(atls_http_fetch(http, post, &x, &error));
			for (uint64_t sent = 0; sent < size; sent += CHUNK)
				ok(atls_exchange_write_all(x, atls_bytes_of(window, CHUNK), 0, &error));
			ok(atls_exchange_finish(x, &error));
			finish(x);
			memset(window, 'u', sizeof window);
		}
		bytes = n * size;
	} else {
		for (uint64_t i = 0; i < n; i++)
			bytes += fetch(http, r);
	}
	meter_finish(m, n, bytes);
	return 0;
}
