/* The library's pooled client, through its C interface, in the modes of its peers. pool_atls MODE ARGS
 * seq N | conc N CONNS | down PATH TIMES | up BYTES TIMES | hs N
 * conc is event-driven on an inline queue, the others are blocking. hs closes each connection after its request. */
#include "meter.h"
#include <atls.h>
#include <stdatomic.h>
#include <unistd.h>

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

static void make_client(atls_runtime *rt, unsigned most)
{
	char path[512], pem[16384] = "";
	atls_config *config;
	atls_client_limits *limits;
	snprintf(path, sizeof path, "%s/ca.pem", need("BENCH_PKI"));
	FILE *f = fopen(path, "rb");
	if (!f || fread(pem, 1, sizeof pem - 1, f) == 0)
		exit(2);
	fclose(f);
	ok(atls_config_new("localhost", 1, &config, &error));
	ok(atls_config_set_roots(config, false, false, &error));
	ok(atls_config_add_root_pem(config, pem, &error));
	ok(atls_config_set_unattested(config, &error));
	ok(atls_client_limits_new(&limits, &error));
	ok(atls_client_limits_set_requests(limits, most, &error));
	ok(atls_client_new(rt, config, limits, &client, &error));
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

/* --- many at a time: each exchange that ends starts the next --- */

static atls_queue *queue;
static atls_request *small;
static atomic_long left, done;

static void on_event(void *user, const atls_event *e);

static void next(atls_exchange **x)
{
	atls_sink sink = { queue, 0, on_event, x, NULL };
	atls_exchange_free(*x);
	*x = NULL;
	ok(atls_client_start(client, small, &sink, x, &error));
}

static void on_event(void *user, const atls_event *e)
{
	if (e->kind == ATLS_EVENT_DATA)
		memcpy(window, atls_buf_data(e->buf), atls_buf_len(e->buf) < CHUNK ? atls_buf_len(e->buf) : CHUNK);
	if (e->kind == ATLS_EVENT_CLOSED) {
		ok(e->status);
		done++;
		if (left-- > 0)
			next(user);
	}
}

static void many(long at_a_time, long total)
{
	atls_runtime *rt;
	atls_exchange **all = calloc(at_a_time, sizeof *all);
	struct meter m = { 0 };
	ok(atls_runtime_new(1, &rt, &error));
	ok(atls_queue_new_inline(&queue, &error));
	make_client(rt, at_a_time);
	small = request("GET", "/small", 0);
	/* Once for the connections, once for the figure. */
	for (int measured = 0; measured < 2; measured++) {
		done = 0;
		left = measured ? total - at_a_time : 0;
		total = measured ? total : total;
		m = meter_start();
		for (long i = 0; i < at_a_time; i++)
			next(&all[i]);
		while (done < (measured ? total : at_a_time))
			usleep(500);
	}
	meter_finish(m, total, total * 100);
	_exit(0);
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
	if (!strcmp(mode, "conc"))
		many(n, atol(argv[2]));
	make_client(NULL, 10);
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
