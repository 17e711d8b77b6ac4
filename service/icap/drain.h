/* Stops c-icap without loss. By itself it breaks off on SIGTERM whatever waits for data. Here its main process, told to stop, first
 *
 *   1. says so for stop.notice: health checks (service.c) get an error, each reply ends its connection, all goes on being served;
 *   2. waits until no transaction is under way, up to stop.wait from the signal on, and takes no new connections then, or as soon as
 *      they do not cease to come;
 *
 * and only then lets c-icap have the signal. A second SIGTERM, SIGINT and c-icap's own command `stop' do not wait. All state is in
 * memory that ends with the server, so a server that has been started is never draining.
 *
 * Only service/icap uses it. Threads: drain_begin, drain_end and drain_is_on from any of them; the others from the main one. */
#ifndef SALLYPORT_ICAP_DRAIN_H
#define SALLYPORT_ICAP_DRAIN_H

#include "sallyport/conf.h"
#include "sallyport/log.h"

/* In c-icap's main process before it forks, and again after its `reconfigure'. max_children: processes that may serve at the same
 * time. log is copied. False without memory. Nothing happens if stop.wait is 0: c-icap then stops in its own way. */
bool drain_set_up(const struct sp_conf *conf, unsigned max_children, const struct sp_log *log) SP_MUST_CHECK;

/* Before the module leaves memory. The signal is c-icap's again. */
void drain_tear_down(void);

/* A transaction of this process. Each begin has its end, when its reply has been handed to the kernel. */
void drain_begin(void);
void drain_end(void);

bool drain_is_on(void);

#endif
