/* man.c - man pages in roff, from the tables. */
#include "options.h"

#include <string.h>

#include <atls.h>

#include "environment.h"
#include "failure.h"

/* Escapes what roff would take for its own. */
static void put(const char *text, FILE *out)
{
    bool line_start = true;
    for (; *text; text++) {
        if (line_start && (*text == '.' || *text == '\''))
            fputs("\\&", out);
        line_start = *text == '\n';
        if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else if (*text == '^')
            fputs("\\(ha", out);
        else if (*text == '~')
            fputs("\\(ti", out);
        else
            fputc(*text, out);
    }
}

static void line(const char *macro, const char *text, FILE *out)
{
    fprintf(out, "%s ", macro);
    put(text, out);
    fputc('\n', out);
}

/* Paragraphs, separated by an empty line. */
static void paragraphs(const char *text, FILE *out)
{
    const char *end;
    for (; (end = strstr(text, "\n\n")); text = end + 2) {
        char part[4096];
        snprintf(part, sizeof part, "%.*s", (int)(end - text), text);
        put(part, out);
        fputs("\n.PP\n", out);
    }
    put(text, out);
    fputc('\n', out);
}

static void option(const struct option_spec *spec, FILE *out)
{
    fputs(".TP\n", out);
    if (spec->letter)
        fprintf(out, "\\fB\\-%c\\fR, ", spec->letter);
    fputs("\\fB\\-\\-", out);
    put(spec->name, out);
    fputs("\\fR", out);
    if (spec->argument) {
        fputs(" \\fI", out);
        put(spec->argument, out);
        fputs("\\fR", out);
    }
    fputc('\n', out);
    put(spec->help, out);
    fputs(".\n", out);
    if (spec->flags & OPTION_REPEATS)
        fputs("May be given several times.\n", out);
    if (spec->more) {
        put(spec->more, out);
        fputc('\n', out);
    }
}

static void options(const struct command *command, FILE *out)
{
    const char *group = "";
    for (const struct option_spec *spec = command->options; spec->name; spec++) {
        if (strcmp(group, spec->group) != 0) {
            group = spec->group;
            line(spec == command->options ? ".SH OPTIONS\n.SS" : ".SS", group, out);
        }
        option(spec, out);
    }
}

static void tail(const struct command *only, FILE *out)
{
    fputs(".SH EXIT STATUS\n", out);
    for (const struct code_text *code = code_texts; code->text; code++) {
        fprintf(out, ".TP\n.B %d\n", code->code);
        put(code->text, out);
        fputc('\n', out);
    }
    fputs(".SH ENVIRONMENT\n", out);
    for (const struct variable *variable = environment_variables; variable->name; variable++) {
        line(".TP\n.B", variable->name, out);
        put(variable->text, out);
        fputc('\n', out);
    }
    if (only && only->examples) {
        fputs(".SH EXAMPLES\n", out);
        for (const struct example *example = only->examples; example->line; example++) {
            fputs(example == only->examples ? "" : ".PP\n", out);
            put(example->what, out);
            line(":\n.PP\n.RS 4\n.nf\n.B", example->line, out);
            fputs(".fi\n.RE\n", out);
        }
    }
    fputs(".SH SEE ALSO\n", out);
    const char *comma = "";
    for (const struct command *const *command = commands; *command; command++)
        if (*command != only) {
            fprintf(out, "%s.BR atls\\-%s (1)", comma, (*command)->name);
            comma = ",\n";
        }
    fprintf(out, "%s\n", only ? ",\n.BR atls (1)" : "");
}

void man_page(const struct command *command, FILE *out)
{
    char title[64] = "atls";
    if (command)
        snprintf(title, sizeof title, "atls-%s", command->name);
    fputs(".TH ", out);
    put(title, out);
    fprintf(out, " 1 \"\" \"libatls %s\" \"User Commands\"\n.SH NAME\n", atls_version().ptr);
    put(title, out);
    fputs(" \\- ", out);
    put(command ? command->summary : "talk to servers in trusted execution environments", out);
    fputs("\n.SH SYNOPSIS\n.B atls", out);
    if (!command) {
        fputs("\n.I COMMAND\n[options]\n.SH DESCRIPTION\n", out);
        paragraphs("Opens TLS 1.3 to a server, asks it for hardware evidence that is bound to this very session, judges it under a "
                   "policy, and only then sends data.\n\nThe commands, each with a page of its own:", out);
        for (const struct command *const *each = commands; *each; each++) {
            line(".TP\n.B", (*each)->name, out);
            put((*each)->summary, out);
            fputs(".\n", out);
        }
    } else {
        fprintf(out, " %s\n[options]", command->name);
        fputc('\n', out);
        if (*command->operands)
            line(".I", command->operands, out);
        fputs(".SH DESCRIPTION\n", out);
        paragraphs(command->text, out);
        options(command, out);
    }
    tail(command, out);
}
