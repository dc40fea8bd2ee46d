/* One cycle of the sans-I/O connection: a client writes a request, a server reads it, answers, and the client reads that.
 *
 * h1_atls length|chunked BODY N
 * The headers are those of tests/bench/sample, found through BENCH_SAMPLE; framing adds one. What is written goes through a buffer, as it
 * would through a socket's. */
#include "meter.h"
#include <atls.h>

static unsigned char wire[1 << 20], body[1 << 19];
static size_t wire_len;

static void ok(atls_status status)
{
	if (status != ATLS_OK) {
		fprintf(stderr, "%s\n", atls_status_name(status).ptr);
		exit(1);
	}
}

static atls_bytes bytes(const char *text)
{
	return (atls_bytes){ (const uint8_t *)text, strlen(text) };
}

/* The lines "Name: value" of a file, and one more. */
static size_t load(const char *name, const char *more, const char *value, atls_h1_header *headers)
{
	static char text[2][4096];
	static int used;
	char path[512], *line = text[used++];
	size_t count = 0;
	snprintf(path, sizeof path, "%s/%s", getenv("BENCH_SAMPLE"), name);
	FILE *f = fopen(path, "rb");
	if (!f || fread(line, 1, 4095, f) == 0)
		exit(2);
	fclose(f);
	for (char *end; (end = strchr(line, '\n')); line = end + 1) {
		char *colon = strstr(line, ": ");
		*end = *colon = 0;
		headers[count++] = (atls_h1_header){ bytes(line), bytes(colon + 2), NULL };
	}
	headers[count++] = (atls_h1_header){ bytes(more), bytes(value), NULL };
	return count;
}

static void put(atls_bytes out)
{
	memcpy(wire + wire_len, out.ptr, out.len);
	wire_len += out.len;
}

static void put_body(atls_h1_conn *conn, size_t len)
{
	atls_bytes before, after, end;
	ok(atls_h1_conn_send_data(conn, len, &before, &after, NULL));
	put(before);
	put((atls_bytes){ body, len });
	put(after);
	ok(atls_h1_conn_send_end_of_message(conn, NULL, 0, &end, NULL));
	put(end);
}

static void get(atls_h1_conn *conn, size_t len)
{
	const atls_h1_event *event;
	size_t got = 0;
	ok(atls_h1_conn_receive(conn, atls_bytes_of(wire, wire_len), NULL));
	wire_len = 0;
	do {
		ok(atls_h1_conn_next_event(conn, &event, NULL));
		if (event->kind == ATLS_H1_DATA)
			got += event->data.len;
	} while (event->kind != ATLS_H1_END_OF_MESSAGE);
	if (got != len)
		exit(3);
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	int chunked = argv[1][0] == 'c';
	size_t len = strtoull(argv[2], NULL, 10), n = strtoull(argv[3], NULL, 10);
	const char *name = chunked ? "Transfer-Encoding" : "Content-Length", *value = chunked ? "chunked" : argv[2];
	atls_h1_header request[32], response[32];
	size_t requests = load("request.txt", name, value, request), responses = load("response.txt", name, value, response);
	atls_h1_conn *client, *server;
	atls_bytes out;
	ok(atls_h1_conn_new(ATLS_H1_CLIENT, 0, &client, NULL));
	ok(atls_h1_conn_new(ATLS_H1_SERVER, 0, &server, NULL));
	struct meter m = meter_start();
	for (size_t i = 0; i < n; i++) {
		ok(atls_h1_conn_send_request(client, bytes("POST"), bytes("/v1/sessions/42/messages?stream=false"), request, requests,
					     &out, NULL));
		put(out);
		put_body(client, len);
		get(server, len);
		ok(atls_h1_conn_send_response(server, 200, bytes("OK"), response, responses, &out, NULL));
		put(out);
		put_body(server, len);
		get(client, len);
		ok(atls_h1_conn_start_next_cycle(client, NULL));
		ok(atls_h1_conn_start_next_cycle(server, NULL));
	}
	meter_finish(m, n, 0);
	return 0;
}
