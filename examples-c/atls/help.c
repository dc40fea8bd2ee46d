/* help.c - --help and usage lines, from the tables. Each fits a screen of 80 columns and 24 lines; tests/tool holds that. */
#include "options.h"

#include <string.h>

void help_overview(FILE *out)
{
    fputs("usage: atls COMMAND [options]\n\nTalk to servers in trusted execution environments, and know that you do.\n\n", out);
    for (const struct command *const *command = commands; *command; command++)
        fprintf(out, "  %-11s %s\n", (*command)->name, (*command)->summary);
    fputs("\nOptions of a command: atls COMMAND --help. In full: man atls-COMMAND.\n"
          "atls --version prints the version.\n", out);
}

static bool any_needed(const struct command *command)
{
    for (const struct option_spec *spec = command->options; spec->name; spec++)
        if (spec->flags & OPTION_NEEDED)
            return true;
    return false;
}

void help_usage(const struct command *command, FILE *out)
{
    fprintf(out, "usage: atls %s", command->name);
    for (const struct option_spec *spec = command->options; any_needed(command) && spec->name; spec++)
        if (spec->flags & OPTION_NEEDED)
            fprintf(out, " --%s %s", spec->name, spec->argument);
    fprintf(out, " [options]%s%s\n", *command->operands ? " " : "", command->operands);
    if (out == stderr)
        fprintf(out, "try: atls %s --help\n", command->name);
}

void help_command(const struct command *command, FILE *out)
{
    bool rare = false;
    help_usage(command, out);
    fprintf(out, "%s.\n\n", command->summary);
    for (const struct option_spec *spec = command->options; spec->name; spec++) {
        char label[80];
        option_label(spec, label, sizeof label);
        rare = rare || (spec->flags & OPTION_RARE);
        if (!(spec->flags & OPTION_RARE))
            fprintf(out, "%-29s %s\n", label, spec->help);
    }
    if (!rare)
        return;
    int column = fprintf(out, "Also (man atls-%s):", command->name);
    for (const struct option_spec *spec = command->options; spec->name; spec++) {
        if (!(spec->flags & OPTION_RARE))
            continue;
        if (column + (int)strlen(spec->name) + 3 > 79)
            column = fprintf(out, "\n ") - 1;
        column += fprintf(out, " --%s", spec->name);
    }
    fputc('\n', out);
}
