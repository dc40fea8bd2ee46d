/* commands.c - the list of subcommands. Each has a file of its own. */
#include "commands.h"

const struct command *const commands[] = {
    &command_completion,
    NULL,
};
