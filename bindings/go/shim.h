/* shim.h - what cgo cannot express: callbacks that lead to Go, by numbers in place of pointers. */
#ifndef ATLSGO_SHIM_H
#define ATLSGO_SHIM_H

#include <stdlib.h>

#include <atls.h>

/* `handle` is a cgo.Handle. It is deleted once the library has no more use for it, and also if the call fails. */
atls_status atlsgo_config_set_evidence(atls_config *config, const char *tee, uintptr_t handle, atls_error **error);
atls_status atlsgo_server_set_evidence(atls_server_config *config, const char *tee, uintptr_t handle, atls_error **error);
atls_status atlsgo_config_set_resolver(atls_config *config, uintptr_t handle, atls_error **error);

#endif
