/* commands.h - the subcommands, each in the file of its name. */
#ifndef ATLS_TOOL_COMMANDS_H
#define ATLS_TOOL_COMMANDS_H

#include "options.h"

extern const struct command command_measure;
extern const struct command command_get;
extern const struct command command_post;
extern const struct command command_verify;
extern const struct command command_collateral;
extern const struct command command_proxy;
extern const struct command command_serve;

#endif
