/* The library's server for the benchmark: TLS on 127.0.0.1:PORT with the pages of its native peer. /small and everything else 100 bytes,
 * /256m as many bytes as its name says. Serves until it is killed. With BENCH_AGENT, the socket of a guest agent, it proves itself; with
 * BENCH_H2 it speaks HTTP/2.
 * usage: server_atls PORT */
#include <atls.h>
#include <unistd.h>

#include "meter.h"

#define BIG (256ull << 20)

static atls_runtime *runtime;
static atls_queue *queue;
static uint8_t block[CHUNK];

struct download {
	atls_server_request *request;
	uint64_t left;
};

static void must(atls_status status, atls_error *error)
{
	if (status == ATLS_OK)
		return;
	fprintf(stderr, "%s\n", atls_error_message(error).ptr);
	exit(1);
}

static void send_on(struct download *download)
{
	while (download->left > 0) {
		if (atls_server_request_write(download->request, atls_bytes_of(block, sizeof block), NULL) != ATLS_OK)
			return;
		download->left -= sizeof block;
	}
	atls_server_request_finish(download->request, NULL, NULL);
}

static void on_download(void *user_data, const atls_event *event)
{
	if (event->kind == ATLS_EVENT_WRITABLE)
		send_on(user_data);
}

static void drop_download(void *user_data)
{
	struct download *download = user_data;
	atls_server_request_free(download->request);
	free(download);
}

static void on_server(void *user_data, const atls_event *event)
{
	(void)user_data;
	if (event->kind != ATLS_EVENT_REQUEST)
		return;
	atls_sink sink = { .queue = queue, .call = on_server };
	if (strcmp(atls_server_request_target(event->source).ptr, "/256m") != 0) {
		if (atls_server_request_start(event->source, runtime, &sink, NULL) == ATLS_OK)
			atls_server_request_respond(event->source, 200, NULL, atls_bytes_of(block, 100), NULL);
		return;
	}
	struct download *download = calloc(1, sizeof *download);
	download->request = atls_server_request_ref(event->source);
	download->left = BIG;
	sink.call = on_download;
	sink.user_data = download;
	sink.drop = drop_download;
	if (atls_server_request_start(download->request, runtime, &sink, NULL) != ATLS_OK)
		return drop_download(download);
	atls_server_request_send_head(download->request, 200, NULL, NULL, BIG, NULL);
	send_on(download);
}

static char *pem(const char *name)
{
	static char text[2][20000];
	static int next;
	char path[500], *to = text[next++ % 2];
	snprintf(path, sizeof path, "%s/%s", getenv("BENCH_PKI"), name);
	FILE *in = fopen(path, "r");
	if (!in)
		exit(1);
	to[fread(to, 1, sizeof text[0] - 1, in)] = '\0';
	fclose(in);
	return to;
}

int main(int argc, char **argv)
{
	atls_error *error = NULL;
	atls_server *server = NULL;
	atls_server_config *config = NULL;
	(void)argc;
	must(atls_runtime_new(1, &runtime, &error), error);
	must(atls_queue_new_inline(&queue, &error), error);
	must(atls_server_config_new(&config, &error), error);
	must(atls_server_config_set_certificate(config, pem("cert.pem"), pem("key.pem"), &error), error);
	if (getenv("BENCH_H2"))
		must(atls_server_config_set_http_versions(config, ATLS_HTTP_VERSION_2, &error), error);
	if (getenv("BENCH_AGENT"))
		must(atls_server_config_set_dstack_agent(config, getenv("BENCH_AGENT"), &error), error);
	atls_sink sink = { .queue = queue, .call = on_server };
	must(atls_server_start(runtime, config, &sink, &server, &error), error);
	must(atls_server_listen(server, "127.0.0.1", (uint16_t)atoi(argv[1]), false, NULL, &error), error);
	for (;;)
		pause();
}
