/* shim.c - functions that the library calls, and that call Go. They run on threads of the library that may wait. */
#include "shim.h"

#include "_cgo_export.h"

static atls_status make_evidence(void *handle, const uint8_t *binder, bool fresh, atls_buf **evidence)
{
    return atlsgoEvidence((uintptr_t)handle, (uint8_t *)binder, fresh, evidence);
}

static int32_t resolve(void *handle, const char *host, atls_addresses *addresses)
{
    return atlsgoResolve((uintptr_t)handle, (char *)host, addresses);
}

static void drop(void *handle)
{
    atlsgoDrop((uintptr_t)handle);
}

atls_status atlsgo_config_set_evidence(atls_config *config, const char *tee, uintptr_t handle, atls_error **error)
{
    return atls_config_set_evidence_source(config, tee, make_evidence, (void *)handle, drop, error);
}

atls_status atlsgo_server_set_evidence(atls_server_config *config, const char *tee, uintptr_t handle, atls_error **error)
{
    return atls_server_config_set_evidence_source(config, tee, make_evidence, (void *)handle, drop, error);
}

atls_status atlsgo_config_set_resolver(atls_config *config, uintptr_t handle, atls_error **error)
{
    atls_resolver resolver = {.resolve = resolve, .drop = drop, .user_data = (void *)handle};
    atls_status status = atls_config_set_resolver(config, &resolver, error);
    if (status != ATLS_OK)
        drop((void *)handle);
    return status;
}
