/* The host in an address as the decision log has it: "https://user@Example.COM:8443/path" or, of a CONNECT, "example.com:443". Only for
 * showing and counting: nothing is decided with it. Any bytes are accepted. Pure. */
#ifndef SALLYPORT_WEB_HOST_H
#define SALLYPORT_WEB_HOST_H

#include "sallyport/str.h"

/* Inside url; empty if there is none. Without user, port and brackets, in the case that it had. */
struct sp_str sp_web_host(struct sp_str url);

#endif
