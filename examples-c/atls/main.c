/* main.c - the command `atls`: finds the subcommand, parses its options and runs it. */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "failure.h"
#include "output.h"
#include "url.h"

/* Not for users: the build makes man pages and docs/tool.md of it. */
static int print_pages(int argc, char **argv)
{
    if (strcmp(argv[1], "--reference") == 0) {
        reference_page(stdout);
        return 0;
    }
    const char *name = argc > 2 ? argv[2] : "atls";
    const struct command *command = command_find(name);
    if (!command && strcmp(name, "atls") != 0)
        return fail(CODE_CALL, "there is no command '%s'", name);
    man_page(command, stdout);
    return 0;
}

/* The names of the commands, for the build. */
static void print_names(void)
{
    for (const struct command *const *command = commands; *command; command++)
        puts((*command)->name);
}

static int run(const struct command *command, int argc, char **argv)
{
    char name[64];
    struct arguments args;
    snprintf(name, sizeof name, "atls %s", command->name);
    failure_set_name(name);
    int code = options_parse(command, argc, argv, &args);
    if (code == 0 && option_given(&args, "help"))
        help_command(command, stdout);
    else if (code == 0)
        code = command->run(&args);
    progress_end();
    options_free(&args);
    int end = output_finish();
    failure_set_name("atls");
    return code ? code : end;
}

int main(int argc, char **argv)
{
    output_setup();
    signals_setup();
    const char *first = argc > 1 ? argv[1] : "";
    if (!*first) {
        help_overview(stderr);
        return CODE_CALL;
    }
    if (strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0 || (strcmp(first, "help") == 0 && argc == 2))
        help_overview(stdout);
    else if (strcmp(first, "--version") == 0 || strcmp(first, "-V") == 0)
        printf("atls %s\n", atls_version().ptr);
    else if (strcmp(first, "--commands") == 0)
        print_names();
    else if (strcmp(first, "--man") == 0 || strcmp(first, "--reference") == 0) {
        int code = print_pages(argc, argv);
        return code ? code : output_finish();
    } else {
        bool helps = strcmp(first, "help") == 0;
        const char *name = helps ? argv[2] : first;
        const struct command *command = command_find(name);
        if (command && helps)
            help_command(command, stdout);
        else if (command)
            return run(command, argc - 2, argv + 2);
        else {
            fail(CODE_CALL, "there is no command '%s'", url_shown(name));
            help_overview(stderr);
            return CODE_CALL;
        }
    }
    return output_finish();
}
