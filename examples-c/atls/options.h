/* options.h - the command line: one table for each subcommand, from which parsing, usage errors, --help, the man page, docs/tool.md and
 * shell completion are made. Includes nothing of the library. */
#ifndef ATLS_TOOL_OPTIONS_H
#define ATLS_TOOL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum option_kind {
    OPTION_FLAG,    /* takes no value */
    OPTION_TEXT,    /* any text */
    OPTION_FILE,    /* a file; completion offers files */
    OPTION_FOLDER,  /* a folder */
    OPTION_SECONDS, /* a number of seconds above 0, such as 2.5 */
    OPTION_COUNT,   /* a whole number above 0 */
    OPTION_CHOICE,  /* one of the words of `argument`, which are separated by | */
};

enum option_flags {
    OPTION_REPEATS = 1, /* may be given several times */
    OPTION_RARE = 2,    /* --help names it only: the man page describes it */
    OPTION_NEEDED = 4,  /* the command cannot do without */
    OPTION_WRITTEN = 8, /* the file is written, so that - is standard output */
    OPTION_AT = 16,     /* @FILE is a file that is read, @- standard input */
    OPTION_PAIR = 32,   /* NAME=FILE; the file is read */
    OPTION_SECRET = 64, /* messages do not show its value */
};

/* One line of a table. The last one of a table has no name. */
struct option_spec {
    char letter;          /* 0 for none */
    const char *name;     /* without the dashes */
    const char *argument; /* what its value is called; NULL for a flag */
    enum option_kind kind;
    unsigned flags;
    const char *group; /* heading in the man page */
    const char *help;  /* for --help: at most 48 columns */
    const char *more;  /* what the man page says after `help`; may be NULL */
};

struct example {
    const char *line;
    const char *what;
};

struct arguments;

/* A subcommand: its table and the function that runs it, which returns an exit code. */
struct command {
    const char *name;
    const char *operands; /* what is not an option, as the usage line shows it; "" for nothing */
    size_t least, most;   /* how many operands there may be */
    const char *words;    /* the words that the first operand may be, separated by spaces; NULL for any */
    bool files;           /* operands are files */
    const char *summary;  /* one line of at most 78 columns, without a full stop */
    const char *text;     /* paragraphs for the man page, separated by an empty line */
    const struct option_spec *options;
    const struct example *examples; /* the last one has no line; may be NULL */
    int (*run)(const struct arguments *args);
};

struct option_value {
    const struct option_spec *spec;
    const char *text; /* "" for a flag */
};

/* A parsed command line. Text points into argv. */
struct arguments {
    const struct command *command;
    size_t value_count;
    struct option_value *values;
    size_t operand_count;
    const char **operands;
};

/* All subcommands, in the order in which help lists them; NULL at the end (commands.c). */
extern const struct command *const commands[];

const struct command *command_find(const char *name);

/* Parses what follows the name of the subcommand. Returns 0, or an exit code after saying what is wrong. */
int options_parse(const struct command *command, int argc, char **argv, struct arguments *args);
void options_free(struct arguments *args);

/* standard_input.c: 0 if at most one option or operand reads standard input, which can be read once; else an exit code after naming both. */
int standard_input_check(const struct arguments *args);

/* These abort if the command's table has no such option: a defect of the tool. */
bool option_given(const struct arguments *args, const char *name);
/* The only or the last value; NULL if it was not given. */
const char *option_text(const struct arguments *args, const char *name);
size_t option_count(const struct arguments *args, const char *name);
/* The value at `index` of an option that repeats. */
const char *option_at(const struct arguments *args, const char *name, size_t index);
/* In milliseconds, of an OPTION_SECONDS; `otherwise` if it was not given. */
uint32_t option_milliseconds(const struct arguments *args, const char *name, uint32_t otherwise);
/* The value of an OPTION_COUNT; `otherwise` if it was not given. */
uint64_t option_number(const struct arguments *args, const char *name, uint64_t otherwise);

/* "-o, --output FILE", into `line`. */
void option_label(const struct option_spec *spec, char *line, size_t size);
/* Whether the command has an option of this name. */
const struct option_spec *option_find(const struct command *command, const char *name);

/* help.c */
void help_overview(FILE *out);
void help_command(const struct command *command, FILE *out);
void help_usage(const struct command *command, FILE *out);
/* man.c: the page of a subcommand, or of the tool itself for NULL. */
void man_page(const struct command *command, FILE *out);
/* reference.c: docs/tool.md. */
void reference_page(FILE *out);
/* completion.c */
extern const struct command command_completion;

#endif
