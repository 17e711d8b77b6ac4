/* What is said to the service manager and got from it. Nothing here can fail the daemon: a manager that does not listen is as
 * good as none. Only a socket that is not the one of the configuration is refused, for clients would ask in vain. */
#include "config.h"

#include "notify.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

enum sp_status sp_notify_take_socket(const char *path, struct sp_error *err, int *fd_out)
{
    *fd_out = -1;
    const int n = sd_listen_fds(1), fd = SD_LISTEN_FDS_START;
    if (n == 0)
        return SP_OK;
    if (n < 0)
        return sp_error_set(err, SP_ERR_CONF, "LISTEN_FDS of the service manager: %s", strerror(-n));
    if (n > 1)
        return sp_error_set(err, SP_ERR_CONF, "the service manager hands over %d descriptors: there is but one socket, %s", n, path);
    if (sd_is_socket_unix(fd, SOCK_SEQPACKET, 1, path, 0) <= 0)
        return sp_error_set(
            err, SP_ERR_CONF, "the socket of the service manager is not what run_dir says: ListenSequentialPacket=%s", path);
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return sp_error_set(err, SP_ERR_IO, "the socket of the service manager: %s", strerror(errno));
    *fd_out = fd;
    return SP_OK;
}

void sp_notify_ready(void)
{
    sd_notify(0, "READY=1");
}

void sp_notify_status(const char *text)
{
    sd_notifyf(0, "STATUS=%s", text);
}

void sp_notify_stopping(void)
{
    sd_notify(0, "STOPPING=1");
}

void sp_notify_alive(void)
{
    uint64_t patience_us;
    if (sd_watchdog_enabled(0, &patience_us) > 0)
        sd_notify(0, "WATCHDOG=1");
}
