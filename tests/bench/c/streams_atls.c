/* Idle raw streams of the library's, all on one runtime. streams_atls N
 * Prints what N of them take beside the first. */
#include "meter.h"
#include <atls.h>
#include <stdatomic.h>
#include <unistd.h>

static atls_error *error;
static atls_runtime *runtime;
static atls_queue *queue;
static atls_config *config;
static atomic_long connected;

static void ok(atls_status status)
{
	if (status == ATLS_OK)
		return;
	fprintf(stderr, "%s: %s\n", atls_status_name(status).ptr, atls_error_message(error).ptr);
	exit(1);
}

static void on_event(void *user, const atls_event *event)
{
	(void)user;
	if (event->kind == ATLS_EVENT_CONNECTED)
		connected++;
	if (event->kind == ATLS_EVENT_CLOSED) {
		fprintf(stderr, "a stream ended: %s\n", atls_status_name(event->status).ptr);
		_exit(1);
	}
}

static void open_one(void)
{
	long before = connected;
	atls_stream *stream;
	atls_sink sink = { queue, 0, on_event, NULL, NULL };
	ok(atls_stream_connect_start(runtime, config, &sink, &stream, &error));
	while (connected == before)
		usleep(100);
}

int main(int argc, char **argv)
{
	char path[512], pem[16384] = "";
	if (argc != 2)
		return 2;
	long count = atol(argv[1]);
	snprintf(path, sizeof path, "%s/ca.pem", need("BENCH_PKI"));
	FILE *file = fopen(path, "rb");
	if (!file || fread(pem, 1, sizeof pem - 1, file) == 0)
		return 2;
	fclose(file);
	ok(atls_runtime_new(1, &runtime, &error));
	ok(atls_queue_new_inline(&queue, &error));
	ok(atls_config_new("localhost", atoi(need("BENCH_PORT")), &config, &error));
	ok(atls_config_set_roots(config, false, false, &error));
	ok(atls_config_add_root_pem(config, pem, &error));
	ok(atls_config_set_unattested(config, &error));
	open_one();
	struct meter meter = meter_start();
	for (long i = 0; i < count; i++)
		open_one();
	meter_finish(meter, count, 0);
	_exit(0);
}
