/* output.h - what the tool prints: checked writes to stdout, JSON, verdicts as tables, a progress bar on terminals. */
#ifndef ATLS_TOOL_OUTPUT_H
#define ATLS_TOOL_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <atls.h>

/* Opens /dev/null in place of standard descriptors that are closed, so that no file gets their numbers. Writing to them still fails. */
void output_setup(void);

/* Flushes stdout. Returns 0, CODE_OUTPUT_CLOSED without a message, or CODE_SYSTEM after one. */
int output_finish(void);
/* The same for an error that a write to stdout has just set in errno. */
int output_failed(void);

/* `text` as a JSON string, with its quotes. */
void print_json_text(const char *text, FILE *out);

/* A line for each check, and what it comes to. */
void print_verdict(const atls_verdict *verdict, FILE *out);
/* Text from elsewhere on one line: control characters and what is not UTF-8 become ?, and what is longer than `most` bytes is cut. */
void print_safe(const char *text, size_t most, FILE *out);

/* A bar on stderr while a transfer takes longer than a second; nothing if stderr is no terminal. `total` is 0 if it is not known. */
void progress_begin(const char *what, uint64_t total);
void progress_add(uint64_t bytes);
/* Removes the bar, if there is one. */
void progress_end(void);

#endif
