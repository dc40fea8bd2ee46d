/* options.c - parses command lines by the table of the subcommand, and says what is wrong with one. */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "failure.h"
#include "url.h"

const struct command *command_find(const char *name)
{
    for (const struct command *const *command = commands; *command; command++)
        if (strcmp((*command)->name, name) == 0)
            return *command;
    return NULL;
}

const struct option_spec *option_find(const struct command *command, const char *name)
{
    for (const struct option_spec *spec = command->options; spec->name; spec++)
        if (strcmp(spec->name, name) == 0)
            return spec;
    return NULL;
}

static const struct option_spec *find_letter(const struct command *command, char letter)
{
    for (const struct option_spec *spec = command->options; spec->name; spec++)
        if (spec->letter && spec->letter == letter)
            return spec;
    return NULL;
}

void option_label(const struct option_spec *spec, char *line, size_t size)
{
    char letter[8] = "    ";
    if (spec->letter)
        snprintf(letter, sizeof letter, "-%c, ", spec->letter);
    snprintf(line, size, "%s--%s%s%s", letter, spec->name, spec->argument ? " " : "", spec->argument ? spec->argument : "");
}

/* How many letters have to be changed, added or left out; `left` and `right` are short. */
static size_t distance(const char *left, const char *right)
{
    size_t row[64], width = strlen(right);
    if (width >= 64)
        return width;
    for (size_t j = 0; j <= width; j++)
        row[j] = j;
    for (size_t i = 0; left[i]; i++) {
        size_t corner = row[0];
        row[0] = i + 1;
        for (size_t j = 1; j <= width; j++) {
            size_t change = corner + (left[i] != right[j - 1]);
            corner = row[j];
            size_t less = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            row[j] = change < less ? change : less;
        }
    }
    return row[width];
}

static int unknown(const struct command *command, const char *given)
{
    const struct option_spec *nearest = NULL;
    size_t least = 3;
    for (const struct option_spec *spec = command->options; given[1] == '-' && spec->name; spec++) {
        size_t far = distance(given + 2, spec->name);
        if (far < least) {
            least = far;
            nearest = spec;
        }
    }
    if (nearest)
        fail(CODE_CALL, "unknown option '%s'; did you mean --%s?", url_shown(given), nearest->name);
    else
        fail(CODE_CALL, "unknown option '%s'", url_shown(given));
    help_usage(command, stderr);
    return CODE_CALL;
}

/* Says what is wrong with a value, and shows the option's own line. */
static int wrong(const struct option_spec *spec, const char *text, const char *what)
{
    char label[80];
    option_label(spec, label, sizeof label);
    fail(CODE_CALL, "--%s: '%s' is not %s", spec->name, url_shown(text), what);
    fprintf(stderr, "usage: %s  %s\n", label, spec->help);
    return CODE_CALL;
}

static bool is_number(const char *text, double most, double *number)
{
    char *end;
    if (!isdigit((unsigned char)text[0]) && text[0] != '.')
        return false;
    if (strspn(text, "0123456789.") != strlen(text))
        return false;
    *number = strtod(text, &end);
    return *end == '\0' && isfinite(*number) && *number <= most;
}

static bool is_choice(const char *text, const char *choices)
{
    size_t len = strlen(text);
    while (len > 0 && *choices) {
        size_t word = strcspn(choices, "|");
        if (word == len && strncmp(choices, text, len) == 0)
            return true;
        choices += word + (choices[word] == '|');
    }
    return false;
}

static int check_value(const struct option_spec *spec, const char *text)
{
    double number;
    switch (spec->kind) {
    case OPTION_SECONDS:
        if (!is_number(text, 4294967.0, &number) || number < 0.001)
            return wrong(spec, text, "a number of seconds");
        return 0;
    case OPTION_COUNT:
        if (!is_number(text, 9007199254740992.0, &number) || number < 1 || strchr(text, '.'))
            return wrong(spec, text, "a whole number above 0");
        return 0;
    case OPTION_CHOICE:
        return is_choice(text, spec->argument) ? 0 : wrong(spec, text, spec->argument);
    case OPTION_FILE:
    case OPTION_FOLDER:
        return *text ? 0 : wrong(spec, text, spec->kind == OPTION_FILE ? "a file" : "a folder");
    default:
        return 0;
    }
}

static int add_value(struct arguments *args, const struct option_spec *spec, const char *text)
{
    for (size_t i = 0; !(spec->flags & OPTION_REPEATS) && spec->argument && i < args->value_count; i++)
        if (args->values[i].spec == spec) {
            if (spec->flags & OPTION_SECRET)
                return fail(CODE_CALL, "--%s is given twice", spec->name);
            return fail(CODE_CALL, "--%s is given twice, as '%s' and '%s'", spec->name, url_shown(args->values[i].text), url_shown(text));
        }
    args->values[args->value_count++] = (struct option_value){spec, text};
    return spec->argument ? check_value(spec, text) : 0;
}

static int missing(const struct command *command, const struct option_spec *spec)
{
    fail(CODE_CALL, "--%s needs a value: %s", spec->name, spec->argument);
    help_usage(command, stderr);
    return CODE_CALL;
}

/* "--name", "--name=value", "--name value". `*next` is the index of the word that follows. */
static int parse_long(struct arguments *args, int argc, char **argv, int *next)
{
    char name[64];
    const char *word = argv[*next - 1] + 2, *equals = strchr(word, '=');
    size_t len = equals ? (size_t)(equals - word) : strlen(word);
    if (len >= sizeof name)
        return unknown(args->command, argv[*next - 1]);
    memcpy(name, word, len);
    name[len] = '\0';
    const struct option_spec *spec = option_find(args->command, name);
    if (!spec)
        return unknown(args->command, argv[*next - 1]);
    if (!spec->argument) {
        if (equals)
            return fail(CODE_CALL, "--%s takes no value: '%s'", spec->name, url_shown(equals + 1));
        return add_value(args, spec, "");
    }
    if (equals)
        return add_value(args, spec, equals + 1);
    if (*next >= argc)
        return missing(args->command, spec);
    return add_value(args, spec, argv[(*next)++]);
}

/* "-i", "-iv", "-oFILE", "-o FILE". */
static int parse_letters(struct arguments *args, int argc, char **argv, int *next)
{
    char *word = argv[*next - 1];
    for (char *at = word + 1; *at; at++) {
        const struct option_spec *spec = find_letter(args->command, *at);
        char shown[3] = {'-', *at, '\0'};
        if (!spec)
            return unknown(args->command, shown);
        int code;
        if (!spec->argument) {
            if ((code = add_value(args, spec, "")) != 0)
                return code;
            continue;
        }
        if (at[1])
            return add_value(args, spec, at + 1);
        if (*next >= argc)
            return missing(args->command, spec);
        return add_value(args, spec, argv[(*next)++]);
    }
    return 0;
}

static int check_operands(const struct arguments *args)
{
    const struct command *command = args->command;
    if (args->operand_count > command->most)
        fail(CODE_CALL, "unexpected argument '%s'", url_shown(args->operands[command->most]));
    else if (args->operand_count < command->least)
        fail(CODE_CALL, "%s is missing", command->operands);
    else {
        for (const struct option_spec *spec = command->options; spec->name; spec++)
            if ((spec->flags & OPTION_NEEDED) && !option_given(args, spec->name)) {
                fail(CODE_CALL, "--%s %s is missing", spec->name, spec->argument);
                help_usage(command, stderr);
                return CODE_CALL;
            }
        return 0;
    }
    help_usage(command, stderr);
    return CODE_CALL;
}

int options_parse(const struct command *command, int argc, char **argv, struct arguments *args)
{
    *args = (struct arguments){.command = command};
    size_t room = 1;
    for (int i = 0; i < argc; i++)
        room += strlen(argv[i]) + 1; /* each letter may be a flag of its own */
    args->values = calloc(room, sizeof *args->values);
    args->operands = calloc((size_t)argc + 1, sizeof *args->operands);
    if (!args->values || !args->operands)
        return fail(CODE_SYSTEM, "out of memory");
    bool only_operands = false;
    for (int next = 0; next < argc;) {
        char *word = argv[next++];
        int code = 0;
        if (only_operands || word[0] != '-' || word[1] == '\0')
            args->operands[args->operand_count++] = word;
        else if (strcmp(word, "--") == 0)
            only_operands = true;
        else
            code = word[1] == '-' ? parse_long(args, argc, argv, &next) : parse_letters(args, argc, argv, &next);
        if (code != 0)
            return code;
    }
    if (option_given(args, "help"))
        return 0;
    int code = check_operands(args);
    return code == 0 ? standard_input_check(args) : code;
}

void options_free(struct arguments *args)
{
    free(args->values);
    free(args->operands);
}

size_t option_count(const struct arguments *args, const char *name)
{
    const struct option_spec *spec = option_find(args->command, name);
    size_t count = 0;
    if (!spec)
        abort();
    for (size_t i = 0; i < args->value_count; i++)
        count += args->values[i].spec == spec;
    return count;
}

bool option_given(const struct arguments *args, const char *name)
{
    return option_count(args, name) > 0;
}

const char *option_at(const struct arguments *args, const char *name, size_t index)
{
    const struct option_spec *spec = option_find(args->command, name);
    for (size_t i = 0; i < args->value_count; i++)
        if (args->values[i].spec == spec && index-- == 0)
            return args->values[i].text;
    return NULL;
}

const char *option_text(const struct arguments *args, const char *name)
{
    size_t count = option_count(args, name);
    return count ? option_at(args, name, count - 1) : NULL;
}

uint32_t option_milliseconds(const struct arguments *args, const char *name, uint32_t otherwise)
{
    const char *text = option_text(args, name);
    return text ? (uint32_t)(strtod(text, NULL) * 1000 + 0.5) : otherwise;
}

uint64_t option_number(const struct arguments *args, const char *name, uint64_t otherwise)
{
    const char *text = option_text(args, name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}
