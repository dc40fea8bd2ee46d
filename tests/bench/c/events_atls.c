/* Small requests through the library's events. events_atls QUEUE WHOSE MODE ARGS
 * QUEUE: inline | polled | dispatching. WHOSE: http, a connection for each that is at a time; client, the pool of a client.
 * conc N AT_A_TIME    N requests in all; each that ends starts the next
 * idle CONNS          CONNS connections beside a first one, one request on each, all kept (http only)
 * fresh AT_A_TIME     so many requests of a client that has met nobody; the time is that of the first answer (client only)
 * With BENCH_POLICY and BENCH_ROOT, files of a simulator, the server is attested. */
#include "meter.h"
#include <atls.h>
#include <poll.h>
#include <stdatomic.h>
#include <unistd.h>

#define BATCH 64

static atls_error *error;
static atls_runtime *runtime;
static atls_config *config;
static atls_client *client;
static atls_queue *queue;
static atls_request *small;
static int is_polled;
static unsigned char window[CHUNK];
static atomic_long left, done, connected;
static double first_answer;

struct slot {
	atls_http *http;
	atls_exchange *exchange;
};

static void ok(atls_status status)
{
	if (status == ATLS_OK)
		return;
	fprintf(stderr, "%s: %s\n", atls_status_name(status).ptr, atls_error_message(error).ptr);
	exit(1);
}

static void on_exchange(void *user, const atls_event *event);

static void next(struct slot *slot)
{
	atls_sink sink = { queue, (uint64_t)(uintptr_t)slot, on_exchange, slot, NULL };
	atls_exchange_free(slot->exchange);
	slot->exchange = NULL;
	if (client)
		ok(atls_client_start(client, small, &sink, &slot->exchange, &error));
	else
		ok(atls_http_start(slot->http, small, &sink, &slot->exchange, &error));
}

static void on_exchange(void *user, const atls_event *event)
{
	if (event->kind == ATLS_EVENT_DATA) {
		size_t len = atls_buf_len(event->buf);
		memcpy(window, atls_buf_data(event->buf), len < CHUNK ? len : CHUNK);
		__asm__ volatile("" : : "r"(window) : "memory");
	}
	if (event->kind == ATLS_EVENT_CLOSED) {
		ok(event->status);
		if (first_answer == 0)
			first_answer = wall_seconds();
		if (left-- > 0)
			next(user);
		done++;
	}
}

static void on_connection(void *user, const atls_event *event)
{
	(void)user;
	if (event->kind == ATLS_EVENT_CONNECTED)
		connected++;
}

/* Waits a while; of a polled queue, also does what the other kinds do on threads of their own. */
static void pump(void)
{
	static atls_event events[BATCH];
	size_t count;
	if (!is_polled) {
		usleep(100);
		return;
	}
	struct pollfd wait = { .fd = atls_queue_fd(queue), .events = POLLIN };
	poll(&wait, 1, 1000);
	do {
		ok(atls_queue_next(queue, events, sizeof *events, BATCH, &count, &error));
		for (size_t i = 0; i < count; i++) {
			void *slot = (void *)(uintptr_t)events[i].token;
			slot ? on_exchange(slot, &events[i]) : on_connection(NULL, &events[i]);
			atls_event_release(&events[i]);
		}
	} while (count == BATCH);
}

static atls_bytes contents(const char *path)
{
	char *text = calloc(1, 1 << 17);
	FILE *file = fopen(path, "rb");
	size_t len = file ? fread(text, 1, (1 << 17) - 1, file) : 0;
	if (len == 0)
		exit(2);
	fclose(file);
	return atls_bytes_of(text, len);
}

static void trust(void)
{
	atls_policy *policy;
	atls_verifier *verifier;
	atls_verifier_config *roots;
	if (!getenv("BENCH_POLICY")) {
		ok(atls_config_set_unattested(config, &error));
		return;
	}
	ok(atls_policy_new(contents(need("BENCH_POLICY")), &policy, &error));
	ok(atls_config_set_policy(config, policy, &error));
	ok(atls_verifier_config_new(&roots, &error));
	ok(atls_verifier_config_set_simulated_root(roots, contents(need("BENCH_ROOT")), &error));
	ok(atls_verifier_new(roots, &verifier, &error));
	ok(atls_config_set_verifier(config, verifier, &error));
}

static void settings(const char *kind, int pooled, long at_a_time)
{
	char path[512], url[256];
	snprintf(path, sizeof path, "%s/ca.pem", need("BENCH_PKI"));
	ok(atls_runtime_new(1, &runtime, &error));
	ok(atls_config_new("localhost", atoi(need("BENCH_PORT")), &config, &error));
	ok(atls_config_set_roots(config, false, false, &error));
	ok(atls_config_add_root_pem(config, (const char *)contents(path).ptr, &error));
	trust();
	is_polled = !strcmp(kind, "polled");
	if (is_polled)
		ok(atls_queue_new_polled(&queue, &error));
	else if (!strcmp(kind, "inline"))
		ok(atls_queue_new_inline(&queue, &error));
	else if (!strcmp(kind, "dispatching"))
		ok(atls_queue_new_dispatching(&queue, &error));
	else
		exit(2);
	if (pooled) {
		atls_client_limits *limits;
		ok(atls_client_limits_new(&limits, &error));
		ok(atls_client_limits_set_requests(limits, at_a_time, &error));
		ok(atls_client_new(runtime, config, limits, &client, &error));
		snprintf(url, sizeof url, "https://localhost:%s/small", need("BENCH_PORT"));
		ok(atls_request_new_url("GET", url, &small, &error));
	} else {
		ok(atls_request_new("GET", "/small", "localhost", &small, &error));
	}
	ok(atls_request_add_header(small, "user-agent", atls_bytes_of_text("bench/1"), &error));
	ok(atls_request_add_header(small, "accept", atls_bytes_of_text("*/*"), &error));
}

/* Connections from one number to another, with a request on each. */
static void open_all(struct slot *slots, long from, long count)
{
	for (long i = from; i < count; i++) {
		if (!client) {
			atls_sink sink = { queue, 0, on_connection, NULL, NULL };
			ok(atls_http_connect_start(runtime, config, &sink, &slots[i].http, &error));
			while (connected <= i)
				pump();
		}
		next(&slots[i]);
		while (!client && done <= i)
			pump();
		/* A host is done with an exchange that has ended: what is left is the connection. */
		if (!client) {
			atls_exchange_free(slots[i].exchange);
			slots[i].exchange = NULL;
		}
	}
	while (done < count)
		pump();
}

int main(int argc, char **argv)
{
	if (argc < 5)
		return 2;
	int is_idle = !strcmp(argv[3], "idle");
	long total = atol(argv[4]), at_a_time = atol(argv[argc - 1]);
	struct slot *slots = calloc(at_a_time + 1, sizeof *slots);
	settings(argv[1], !strcmp(argv[2], "client"), at_a_time);
	if (is_idle) {
		open_all(slots, 0, 1);
		struct meter meter = meter_start();
		open_all(slots, 1, at_a_time + 1);
		meter_finish(meter, at_a_time, 0);
		hold();
		_exit(0);
	}
	if (!strcmp(argv[3], "fresh")) {
		struct meter meter = meter_start();
		open_all(slots, 0, at_a_time);
		printf("{\"ops\":%ld,\"bytes\":0,\"wall\":%.6f,\"cpu\":%.6f}\n", at_a_time, first_answer - meter.wall,
		       cpu_seconds() - meter.cpu);
		fflush(stdout);
		_exit(0);
	}
	open_all(slots, 0, at_a_time);
	done = 0;
	left = total - at_a_time;
	struct meter meter = meter_start();
	for (long i = 0; i < at_a_time; i++)
		next(&slots[i]);
	while (done < total)
		pump();
	meter_finish(meter, total, total * 100);
	_exit(0);
}
