/* completion.c - `atls completion SHELL`: scripts that complete commands, options and files, from the tables. */
#include "options.h"

#include <string.h>

#include "failure.h"

static bool takes_path(const struct option_spec *spec)
{
    return spec->kind == OPTION_FILE || spec->kind == OPTION_FOLDER;
}

static void words_of(const char *words, char separator, FILE *out)
{
    for (; *words; words++)
        fputc(*words == separator ? ' ' : *words, out);
}

static void bash_command(const struct command *command, FILE *out)
{
    fprintf(out, "    %s)\n        case $previous in\n", command->name);
    for (const struct option_spec *spec = command->options; spec->name; spec++) {
        if (!spec->argument)
            continue;
        fputs("        ", out);
        if (spec->letter)
            fprintf(out, "-%c|", spec->letter);
        fprintf(out, "--%s) ", spec->name);
        if (takes_path(spec))
            fprintf(out, "COMPREPLY=($(compgen -%c -- \"$word\"))", spec->kind == OPTION_FILE ? 'f' : 'd');
        if (spec->kind == OPTION_CHOICE) {
            fputs("COMPREPLY=($(compgen -W '", out);
            words_of(spec->argument, '|', out);
            fputs("' -- \"$word\"))", out);
        }
        fputs(takes_path(spec) || spec->kind == OPTION_CHOICE ? "; return ;;\n" : "return ;;\n", out);
    }
    fputs("        esac\n        [[ $word == -* ]] && COMPREPLY=($(compgen -W '", out);
    for (const struct option_spec *spec = command->options; spec->name; spec++)
        fprintf(out, "%s--%s", spec == command->options ? "" : " ", spec->name);
    fputs("' -- \"$word\"))\n", out);
    if (command->words)
        fprintf(out, "        [[ $word != -* ]] && COMPREPLY=($(compgen -W '%s' -- \"$word\"))\n", command->words);
    if (command->files)
        fputs("        [[ $word != -* ]] && COMPREPLY+=($(compgen -f -- \"$word\"))\n", out);
    fputs("        ;;\n", out);
}

static void bash(FILE *out)
{
    fputs("# Completion of atls for bash.\n_atls() {\n    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
          "    COMPREPLY=()\n    if ((COMP_CWORD == 1)); then\n        COMPREPLY=($(compgen -W '", out);
    for (const struct command *const *command = commands; *command; command++)
        fprintf(out, "%s ", (*command)->name);
    fputs("--help --version' -- \"$word\"))\n        return\n    fi\n    case ${COMP_WORDS[1]} in\n", out);
    for (const struct command *const *command = commands; *command; command++)
        bash_command(*command, out);
    fputs("    esac\n}\ncomplete -o filenames -F _atls atls\n", out);
}

/* Text inside '..' and, for zsh, inside [..]. */
static void quoted(const char *text, FILE *out)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", out);
        else if (*text == '[' || *text == ']' || *text == ':')
            fprintf(out, "\\%c", *text);
        else
            fputc(*text, out);
    }
}

static void zsh_value(const struct option_spec *spec, FILE *out)
{
    fputs(":value:", out);
    if (spec->kind == OPTION_CHOICE) {
        fputc('(', out);
        words_of(spec->argument, '|', out);
        fputc(')', out);
    } else if (takes_path(spec)) {
        fputs(spec->kind == OPTION_FILE ? "_files" : "_files -/", out);
    }
}

static void zsh_command(const struct command *command, FILE *out)
{
    fprintf(out, "        %s) _arguments -s", command->name);
    for (const struct option_spec *spec = command->options; spec->name; spec++)
        for (int form = spec->letter ? 0 : 1; form < 2; form++) {
            fprintf(out, " \\\n            '%s", spec->flags & OPTION_REPEATS ? "*" : "");
            if (form == 0)
                fprintf(out, "-%c[", spec->letter);
            else
                fprintf(out, "--%s[", spec->name);
            quoted(spec->help, out);
            fputc(']', out);
            if (spec->argument)
                zsh_value(spec, out);
            fputc('\'', out);
        }
    if (command->words)
        fprintf(out, " \\\n            '1:word:(%s)'", command->words);
    fprintf(out, "%s ;;\n", command->files ? " \\\n            '*:file:_files'" : "");
}

static void zsh(FILE *out)
{
    fputs("#compdef atls\n# Completion of atls for zsh.\n_atls() {\n    local -a words_of_atls=(\n", out);
    for (const struct command *const *command = commands; *command; command++) {
        fprintf(out, "        '%s:", (*command)->name);
        quoted((*command)->summary, out);
        fputs("'\n", out);
    }
    fputs("    )\n    if ((CURRENT == 2)); then\n        _describe command words_of_atls\n        return\n    fi\n"
          "    local name=$words[2]\n    shift words\n    ((CURRENT--))\n    case $name in\n", out);
    for (const struct command *const *command = commands; *command; command++)
        zsh_command(*command, out);
    fputs("    esac\n}\nif [ \"$funcstack[1]\" = \"_atls\" ]; then\n    _atls \"$@\"\nelse\n    compdef _atls atls\nfi\n", out);
}

/* Text inside '..' for fish. */
static void fish_quoted(const char *text, FILE *out)
{
    for (; *text; text++)
        fprintf(out, *text == '\'' || *text == '\\' ? "\\%c" : "%c", *text);
}

static void fish_option(const struct command *command, const struct option_spec *spec, FILE *out)
{
    fprintf(out, "complete -c atls -n '__fish_seen_subcommand_from %s' -l %s", command->name, spec->name);
    if (spec->letter)
        fprintf(out, " -s %c", spec->letter);
    if (spec->kind == OPTION_CHOICE) {
        fputs(" -x -a '", out);
        words_of(spec->argument, '|', out);
        fputc('\'', out);
    } else if (spec->argument) {
        fputs(takes_path(spec) ? " -r -F" : " -x", out);
    }
    fputs(" -d '", out);
    fish_quoted(spec->help, out);
    fputs("'\n", out);
}

static void fish(FILE *out)
{
    fputs("# Completion of atls for fish.\n", out);
    for (const struct command *const *command = commands; *command; command++) {
        fprintf(out, "complete -c atls -f -n __fish_use_subcommand -a %s -d '", (*command)->name);
        fish_quoted((*command)->summary, out);
        fputs("'\n", out);
        for (const struct option_spec *spec = (*command)->options; spec->name; spec++)
            fish_option(*command, spec, out);
        if ((*command)->words)
            fprintf(out, "complete -c atls -f -n '__fish_seen_subcommand_from %s' -a '%s'\n", (*command)->name, (*command)->words);
    }
}

static int run(const struct arguments *args)
{
    const char *shell = args->operands[0];
    if (strcmp(shell, "bash") == 0)
        bash(stdout);
    else if (strcmp(shell, "zsh") == 0)
        zsh(stdout);
    else if (strcmp(shell, "fish") == 0)
        fish(stdout);
    else
        return fail(CODE_CALL, "'%s' is not a shell that is known: bash, zsh or fish", shell);
    return 0;
}

static const struct option_spec options[] = {
    {'h', "help", NULL, OPTION_FLAG, 0, "General", "Print this", NULL},
    {0, NULL, NULL, OPTION_FLAG, 0, NULL, NULL, NULL},
};

static const struct example examples[] = {
    {"source <(atls completion bash)", "Complete in this shell"},
    {NULL, NULL},
};

const struct command command_completion = {
    .name = "completion",
    .operands = "bash|zsh|fish",
    .least = 1,
    .most = 1,
    .words = "bash zsh fish",
    .summary = "Print a script that completes commands and options in a shell",
    .text = "Prints the script to standard output. A package installs it where the shell looks for it; without one, let the shell read it.",
    .options = options,
    .examples = examples,
    .run = run,
};
