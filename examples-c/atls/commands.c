/* commands.c - the list of subcommands. Each has a file of its own. */
#include "commands.h"

const struct command *const commands[] = {
    &command_measure,
    &command_get,
    &command_post,
    &command_verify,
    &command_collateral,
    &command_proxy,
    &command_serve,
    &command_completion,
    NULL,
};
