
/** `len` bytes at `data`, which may be NULL with a length of 0. */
static inline atls_bytes atls_bytes_of(const void *ATLS_NULLABLE data, size_t len)
{
    atls_bytes bytes;
    bytes.ptr = (const uint8_t *)data;
    bytes.len = len;
    return bytes;
}

/** The bytes of a string, without its NUL. NULL is no bytes. */
static inline atls_bytes atls_bytes_of_text(const char *ATLS_NULLABLE text)
{
    return atls_bytes_of(text, text ? strlen(text) : 0);
}
