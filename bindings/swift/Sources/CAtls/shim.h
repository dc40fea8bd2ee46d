/* The C interface, from wherever pkg-config says that it is. */
#include <atls.h>
