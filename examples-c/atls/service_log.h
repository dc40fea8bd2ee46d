/* service_log.h - what a server of the tool says on stderr, without ever waiting for whoever reads it. */
#ifndef ATLS_TOOL_SERVICE_LOG_H
#define ATLS_TOOL_SERVICE_LOG_H

/* From now on messages (failure.h) go into a queue, which one thread writes. Those that do not fit are dropped, and their number is said
 * once there is room again. Signals must be blocked before: the thread is not for them. Returns 0, or an exit code after a message. */
int service_log_start(void);
/* Waits until all is written, but not for long if nobody reads. Nothing if it was not started. */
void service_log_end(void);

#endif
