
ATLS_END

#ifdef __cplusplus
}
#endif

#endif /* ATLS_H */
