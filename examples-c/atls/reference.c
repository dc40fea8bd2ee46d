/* reference.c - the page docs/tool.md, from the tables; a test compares it with the file. */
#include "options.h"

#include <string.h>

#include "environment.h"
#include "failure.h"

static void put(const char *text, FILE *out)
{
    for (; *text; text++) {
        if (*text == '|' || *text == '<')
            fputc('\\', out);
        fputc(*text, out);
    }
}

static void command_chapter(const struct command *command, FILE *out)
{
    fprintf(out, "\n## `atls %s`\n\n    atls %s [options]%s%s\n\n%s.\n\n%s\n", command->name, command->name, *command->operands ? " " : "",
            command->operands, command->summary, command->text);
    fputs("\n| Option | Meaning |\n|---|---|\n", out);
    for (const struct option_spec *spec = command->options; spec->name; spec++) {
        char letter[16] = "";
        if (spec->letter)
            snprintf(letter, sizeof letter, "`-%c`, ", spec->letter);
        fprintf(out, "| %s`--%s%s", letter, spec->name, spec->argument ? " " : "");
        put(spec->argument ? spec->argument : "", out);
        fputs("` | ", out);
        put(spec->help, out);
        fputs(spec->flags & OPTION_REPEATS ? ". May be given several times. " : spec->more ? ". " : ".", out);
        put(spec->more ? spec->more : "", out);
        fputs(" |\n", out);
    }
    for (const struct example *example = command->examples; example && example->line; example++)
        fprintf(out, "\n%s:\n\n    %s\n", example->what, example->line);
}

void reference_page(FILE *out)
{
    fputs("# The command `atls`\n\nWritten by `atls --reference`; a test holds it against the tool.\n\n| Command | |\n|---|---|\n", out);
    for (const struct command *const *command = commands; *command; command++)
        fprintf(out, "| `atls %s` | %s |\n", (*command)->name, (*command)->summary);
    for (const struct command *const *command = commands; *command; command++)
        command_chapter(*command, out);
    fputs("\n## Exit codes\n\n| Code | Meaning |\n|---|---|\n", out);
    for (const struct code_text *code = code_texts; code->text; code++)
        fprintf(out, "| %d | %s |\n", code->code, code->text);
    fputs("\n## Environment\n\nThe tool reads these; the library reads no environment.\n\n| Variable | Meaning |\n|---|---|\n", out);
    for (const struct variable *variable = environment_variables; variable->name; variable++)
        fprintf(out, "| `%s` | %s |\n", variable->name, variable->text);
}
