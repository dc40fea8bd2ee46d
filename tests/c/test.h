/* test.h - what the C tests share. A program has a table of cases; each stands alone, for ctest runs each in a process of its own:
 *
 *     TESTS(set_up, tear_down, CASE(first_case), CASE(second_case))
 *
 * The program without an argument runs all of them in their order, with a name this one, and with --list it prints the names. CMake reads them from
 * the source, so they stand in it as CASE(name). */
#ifndef TEST_H
#define TEST_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <atls.h>

/* The case that runs, for what is printed when it fails. */
static const char *test_name = "";

#define CHECK(condition)                                                                                                \
    do {                                                                                                                \
        if (!(condition)) {                                                                                             \
            fprintf(stderr, "%s:%d: %s: CHECK(%s) failed\n", __FILE__, __LINE__, test_name, #condition);                \
            exit(1);                                                                                                    \
        }                                                                                                               \
    } while (0)

/* Checks for one status and, where `part` is not NULL, that the message holds it; frees the error. */
static inline void expect(const char *file, int line, atls_status wanted, const char *part, atls_status status, atls_error **error)
{
    const char *message = *error ? atls_error_message(*error).ptr : "";
    if (status != wanted || (part && !strstr(message, part))) {
        fprintf(stderr, "%s:%d: %s: got %s \"%s\", wanted %s \"%s\"\n", file, line, test_name, atls_status_name(status).ptr, message,
                atls_status_name(wanted).ptr, part ? part : "");
        exit(1);
    }
    if (status != ATLS_OK && *error)
        CHECK(atls_error_status(*error) == status);
    atls_error_free(*error);
    *error = NULL;
}
#define EXPECT(wanted, part, call) expect(__FILE__, __LINE__, wanted, part, (call), &error)
#define OK(call) EXPECT(ATLS_OK, NULL, call)

struct test_case {
    const char *name;
    void (*run)(void);
};
#define CASE(name) {#name, name}

/* Runs the case that is named, or all of them, each between `set_up` and `tear_down`, which may be NULL. */
static inline int test_main(int argc, char **argv, const struct test_case *cases, size_t count, void (*set_up)(void), void (*tear_down)(void))
{
    const char *wanted = argc > 1 ? argv[1] : NULL;
    bool list = wanted && strcmp(wanted, "--list") == 0, found = !wanted || list;
    for (size_t i = 0; i < count; i++) {
        if (list)
            puts(cases[i].name);
        if (list || (wanted && strcmp(wanted, cases[i].name) != 0))
            continue;
        found = true;
        test_name = cases[i].name;
        if (set_up)
            set_up();
        cases[i].run();
        if (tear_down)
            tear_down();
    }
    if (!found)
        fprintf(stderr, "%s: no case \"%s\"\n", argv[0], wanted);
    return found ? 0 : 1;
}
#define TESTS(set_up, tear_down, ...)                                                                                   \
    static const struct test_case CASES[] = {__VA_ARGS__};                                                              \
    int main(int argc, char **argv)                                                                                     \
    {                                                                                                                   \
        return test_main(argc, argv, CASES, sizeof CASES / sizeof *CASES, set_up, tear_down);                           \
    }

#endif
